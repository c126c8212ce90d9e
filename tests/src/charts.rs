//! Charts on disk rendered by our engine with the arguments of `helm template`: what the golden suite and
//! the comparison with the real Helm share.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use helm_chart::{File, ignore};
use helm_engine::{ChartSource, Output, TemplateArgs};
use helm_functions::{Environment, NativeEnvironment};

/// Renders a chart (archive or folder). `words` are those after `helm template NAME CHART`.
///
/// # Errors
/// When a file cannot be read or a flag is unknown; an error of the rendering is part of the output.
pub fn render(name: &str, chart: &Path, words: &[String]) -> Result<Output> {
    let mut args = arguments(words)?;
    name.clone_into(&mut args.name);
    args.limits.templates.stack_bytes = STACK_BYTES - (1 << 20);
    let source = source(chart)?;
    let run = move || {
        let environment: Rc<dyn Environment> = Rc::new(NativeEnvironment);
        let read = &mut |path: &str| fs::read(path).map_err(|error| error.to_string());
        helm_engine::template(&source, &args, &environment, read)
    };
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(run)?;
    thread
        .join()
        .map_err(|_| anyhow::anyhow!("rendering {} panicked", chart.display()))
}

/// Helm lets templates nest a thousand deep, which takes more stack than a thread usually has.
const STACK_BYTES: usize = 128 << 20;

/// The chart at a path, as the command line finds it.
///
/// # Errors
/// When a file cannot be read, or the rules in `.helmignore` are none.
pub fn source(chart: &Path) -> Result<ChartSource> {
    if !chart.is_dir() {
        let bytes = fs::read(chart).with_context(|| format!("read {}", chart.display()))?;
        return Ok(ChartSource::Archive(chart.display().to_string(), bytes));
    }
    let rules = match fs::read_to_string(chart.join(ignore::FILE_NAME)) {
        Ok(text) => ignore::Rules::parse(&text)?,
        Err(_) => ignore::Rules::default(),
    };
    let mut files = Vec::new();
    collect(chart, chart, &rules, &mut files)?;
    Ok(ChartSource::Folder(files))
}

fn collect(root: &Path, folder: &Path, rules: &ignore::Rules, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let is_folder = path.is_dir();
        if rules.ignores(&name, is_folder) {
            continue;
        }
        if is_folder {
            collect(root, &path, rules, files)?;
        } else {
            files.push(File::new(name, fs::read(&path)?));
        }
    }
    Ok(())
}

/// The flags of `helm template`.
///
/// # Errors
/// An unknown flag, one without its value, or a values file that cannot be read.
pub fn arguments(words: &[String]) -> Result<TemplateArgs> {
    let mut args = TemplateArgs::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut next = || {
            words
                .next()
                .cloned()
                .with_context(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "-n" | "--namespace" => args.namespace = next()?,
            "-f" | "--values" => {
                let name = next()?;
                let text = fs::read(&name).with_context(|| format!("read {name}"))?;
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
            other => bail!("helm template has no flag {other} here"),
        }
    }
    Ok(args)
}
