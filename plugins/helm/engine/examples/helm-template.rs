//! `helm-template NAME CHART [flags]`: the command on real files, for checks by hand and by scripts.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use helm_chart::{File, ignore};
use helm_engine::{ChartSource, TemplateArgs, template};
use helm_functions::{Environment, NativeEnvironment};

type Failure = Box<dyn std::error::Error>;

fn folder(
    root: &Path,
    path: &Path,
    rules: &ignore::Rules,
    files: &mut Vec<File>,
) -> Result<(), Failure> {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let is_folder = fs::metadata(&path)?.is_dir();
        if rules.ignores(&name, is_folder) {
            continue;
        }
        if is_folder {
            folder(root, &path, rules, files)?;
        } else {
            files.push(File::new(name, fs::read(&path)?));
        }
    }
    Ok(())
}

fn source(chart: &str) -> Result<ChartSource, Failure> {
    let path = Path::new(chart);
    if !path.is_dir() {
        return Ok(ChartSource::Archive(chart.to_owned(), fs::read(path)?));
    }
    let rules = match fs::read_to_string(path.join(ignore::FILE_NAME)) {
        Ok(text) => ignore::Rules::parse(&text)?,
        Err(_) => ignore::Rules::default(),
    };
    let mut files = Vec::new();
    folder(path, path, &rules, &mut files)?;
    Ok(ChartSource::Folder(files))
}

fn run() -> Result<u8, Failure> {
    let mut args = TemplateArgs::default();
    let mut plain = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "-n" | "--namespace" => args.namespace = next()?,
            "-f" | "--values" => {
                let name = next()?;
                let text = fs::read(&name)?;
                args.values.files.push((name, text));
            }
            "--set" => args.values.set.push(next()?),
            "--set-string" => args.values.set_string.push(next()?),
            "--set-json" => args.values.set_json.push(next()?),
            "--set-file" => args.values.set_file.push(next()?),
            "--set-literal" => args.values.set_literal.push(next()?),
            "--kube-version" => args.kube_version = Some(next()?),
            "-a" | "--api-versions" => {
                args.api_versions
                    .extend(next()?.split(',').map(str::to_owned));
            }
            "--is-upgrade" => args.is_upgrade = true,
            "--include-crds" => args.include_crds = true,
            "-s" | "--show-only" => args.show_only.push(next()?),
            "--no-hooks" => args.no_hooks = true,
            "--skip-tests" => args.skip_tests = true,
            "--skip-schema-validation" => args.skip_schema_validation = true,
            _ => plain.push(word),
        }
    }
    let chart = match plain.as_slice() {
        [name, chart] => {
            args.name.clone_from(name);
            chart
        }
        [chart] => chart,
        _ => return Err("usage: helm-template [NAME] CHART [flags]".into()),
    };
    let environment: Rc<dyn Environment> = Rc::new(NativeEnvironment);
    let read = &mut |path: &str| fs::read(path).map_err(|error| error.to_string());
    let output = template(&source(chart)?, &args, &environment, read);
    std::io::stdout().write_all(output.stdout.as_bytes())?;
    std::io::stderr().write_all(output.stderr.as_bytes())?;
    Ok(output.exit_code)
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let mut stderr = std::io::stderr();
            let written = writeln!(stderr, "Error: {error}");
            ExitCode::from(if written.is_ok() { 1 } else { 2 })
        }
    }
}
