//! `optikon chart template`: what `helm template` prints, byte for byte.

use std::{
    fs,
    path::{Component, Path},
    process::ExitCode,
    rc::Rc,
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use helm_engine::{Output, OutputFile, TemplateArgs, name_from_template, template};
use helm_functions::{Environment, NativeEnvironment};

use super::{
    source,
    values::{ValueFlags, read_file},
};
use crate::cli::output;

/// Deep includes need more stack than a thread has by default.
const STACK_BYTES: usize = 128 << 20;

/// Whom a dry run asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// Nobody: what this command always does.
    Client,
    /// Helm's word for the same.
    Unset,
    /// The cluster.
    Server,
}

/// The flags of `helm template`.
#[derive(Debug, Args)]
pub(crate) struct TemplateFlags {
    /// `[NAME] CHART`: the release's name, and an archive or a folder.
    #[arg(required = true, num_args = 1.., value_names = ["NAME", "CHART"])]
    words: Vec<String>,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
    /// Asks for a made-up name; as with Helm, without NAME there is one anyway: `release-name`.
    #[arg(long, short = 'g')]
    generate_name: bool,
    /// A template that gives the release's name, instead of NAME.
    #[arg(
        long,
        value_name = "TEMPLATE",
        default_value = "",
        hide_default_value = true
    )]
    name_template: String,
    #[command(flatten)]
    values: ValueFlags,
    /// The Kubernetes version that templates see.
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// An API version that templates see beside the usual ones.
    #[arg(long, short = 'a', value_name = "GROUP/VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Renders as for an upgrade.
    #[arg(long)]
    is_upgrade: bool,
    /// Prints CRDs too.
    #[arg(long)]
    include_crds: bool,
    /// Has no effect, as with Helm: CRDs are left out unless they are asked for.
    #[arg(long)]
    skip_crds: bool,
    /// Prints only these templates; may hold `*`, may be given again.
    #[arg(long, short = 's', value_name = "TEMPLATE")]
    show_only: Vec<String>,
    /// Leaves hooks out.
    #[arg(long)]
    no_hooks: bool,
    /// Leaves tests out.
    #[arg(long)]
    skip_tests: bool,
    /// Does not check values against the chart's schema.
    #[arg(long)]
    skip_schema_validation: bool,
    /// Writes a file for each template below this folder instead of printing.
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<String>,
    /// With --output-dir: puts the release's name between the folder and the chart's.
    #[arg(long)]
    release_name: bool,
    /// Prints what was rendered even if it is no YAML.
    #[arg(long)]
    debug: bool,
    /// Only `client`: nothing here asks a cluster.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "unset")]
    dry_run: Option<DryRun>,
    /// Refused: it would ask a cluster.
    #[arg(long, hide = true, conflicts_with = "dry_run")]
    validate: bool,
    /// Refused: dependencies are not fetched.
    #[arg(long, hide = true)]
    dependency_update: bool,
}

/// Renders and prints; exit code 1 with Helm's own error text.
pub(crate) fn run(flags: TemplateFlags) -> Result<ExitCode> {
    let worker = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || render(flags));
    let worker = worker.context("cannot start a thread")?;
    let rendered = worker
        .join()
        .map_err(|_| anyhow!("rendering failed; this is a bug"))?;
    Ok(rendered.unwrap_or_else(|error| {
        output::raw_error(format!("Error: {error:#}\n").as_bytes());
        ExitCode::FAILURE
    }))
}

/// Name and chart, in Helm's words where they do not fit.
fn name_and_chart(flags: &TemplateFlags) -> Result<(String, String)> {
    match flags.words.as_slice() {
        [name, chart] => {
            if flags.generate_name {
                bail!("cannot set --generate-name and also specify a name");
            }
            if !flags.name_template.is_empty() {
                bail!("cannot set --name-template and also specify a name");
            }
            Ok((name.clone(), chart.clone()))
        }
        [chart] if flags.name_template.is_empty() => {
            Ok((TemplateArgs::default().name, chart.clone()))
        }
        [chart] => {
            let environment: Rc<dyn Environment> = Rc::new(NativeEnvironment);
            let name = name_from_template(&flags.name_template, &environment);
            Ok((name.map_err(|error| anyhow!(error))?, chart.clone()))
        }
        [_, _, rest @ ..] => bail!(
            "expected at most two arguments, unexpected arguments: {}",
            rest.join(", ")
        ),
        [] => bail!("\"optikon chart template\" requires at least 1 argument"),
    }
}

fn refuse(flags: &TemplateFlags) -> Result<()> {
    if flags.validate || flags.dry_run == Some(DryRun::Server) {
        bail!(
            "chart template asks no cluster: to have a chart checked by clusters, install it with a dry run through the gateway"
        );
    }
    if flags.dependency_update {
        bail!("dependencies are not fetched: put them into the chart's folder charts/ first");
    }
    Ok(())
}

fn render(flags: TemplateFlags) -> Result<ExitCode> {
    refuse(&flags)?;
    let (name, chart) = name_and_chart(&flags)?;
    let chart = source::read(&chart)?;
    let mut args = TemplateArgs {
        name,
        namespace: flags.namespace,
        ..TemplateArgs::default()
    };
    args.values = flags.values.sources()?;
    args.kube_version = flags.kube_version;
    args.api_versions = flags.api_versions;
    args.is_upgrade = flags.is_upgrade;
    args.include_crds = flags.include_crds;
    args.show_only = flags.show_only;
    args.no_hooks = flags.no_hooks;
    args.skip_tests = flags.skip_tests;
    args.skip_schema_validation = flags.skip_schema_validation;
    args.debug = flags.debug;
    args.has_output_dir = flags.output_dir.is_some();
    args.limits.templates.stack_bytes = STACK_BYTES - (1 << 20);
    let environment: Rc<dyn Environment> = Rc::new(NativeEnvironment);
    let rendered = template(&chart, &args, &environment, &mut read_file);
    if let Some(folder) = &flags.output_dir {
        let below = flags.release_name.then_some(args.name.as_str());
        write_files(folder, below, &rendered)?;
    }
    output::raw(rendered.stdout.as_bytes());
    output::raw_error(rendered.stderr.as_bytes());
    Ok(ExitCode::from(rendered.exit_code))
}

/// Writes what was rendered below a folder, and says so line by line.
fn write_files(folder: &str, below: Option<&str>, rendered: &Output) -> Result<()> {
    let mut written: Vec<String> = Vec::new();
    for OutputFile { path, text, is_crd } in &rendered.files {
        let is_plain = |part| matches!(part, Component::Normal(_));
        if !Path::new(path).components().all(is_plain) {
            bail!(
                "{path} would lie outside {folder}: the chart's name or a file's is no plain path"
            );
        }
        let file = match below.filter(|_| !is_crd) {
            Some(name) => format!("{folder}/{name}/{path}"),
            None => format!("{folder}/{path}"),
        };
        let what = || format!("cannot write {file}");
        if let Some(parent) = Path::new(&file).parent() {
            fs::create_dir_all(parent).with_context(what)?;
        }
        let mut options = fs::OpenOptions::new();
        options.create(true);
        if written.contains(&file) {
            options.append(true);
        } else {
            options.write(true).truncate(true);
        }
        let mut open = options.open(&file).with_context(what)?;
        std::io::Write::write_all(&mut open, text.as_bytes()).with_context(what)?;
        output::say(format_args!("wrote {file}"));
        written.push(file);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: TemplateFlags,
    }

    fn flags(words: &[&str]) -> TemplateFlags {
        let line = std::iter::once(&"template").chain(words);
        Line::try_parse_from(line).unwrap().flags
    }

    fn named(words: &[&str]) -> Result<(String, String), String> {
        name_and_chart(&flags(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_found_as_helm_finds_them() {
        let chart = |name: &str| Ok((name.to_owned(), "chart".to_owned()));
        assert_eq!(named(&["web", "chart"]), chart("web"));
        assert_eq!(named(&["chart"]), chart("release-name"));
        assert_eq!(named(&["chart", "-g"]), chart("release-name"));
        assert_eq!(
            named(&["chart", "--name-template", "web-{{ \"X\" | lower }}"]),
            chart("web-x")
        );
        let refused = |words: &[&str]| named(words).unwrap_err();
        assert_eq!(
            refused(&["web", "chart", "-g"]),
            "cannot set --generate-name and also specify a name"
        );
        assert_eq!(
            refused(&["web", "chart", "--name-template", "x"]),
            "cannot set --name-template and also specify a name"
        );
        assert_eq!(
            refused(&["web", "chart", "a", "b"]),
            "expected at most two arguments, unexpected arguments: a, b"
        );
        assert!(
            refused(&["chart", "--name-template", "{{ nope }}"]).contains("\"nope\" not defined")
        );
    }

    #[test]
    fn nothing_asks_a_cluster_and_nothing_is_fetched() {
        let asked = |words: &[&str]| refuse(&flags(words)).map_err(|error| error.to_string());
        assert_eq!(asked(&["chart", "--dry-run"]), Ok(()));
        assert_eq!(asked(&["chart", "--dry-run=client"]), Ok(()));
        assert!(asked(&["chart", "--dry-run=server"]).is_err());
        assert!(asked(&["chart", "--validate"]).is_err());
        assert!(asked(&["chart", "--dependency-update"]).is_err());
        assert!(
            read_file("https://example.com/values.yaml")
                .unwrap_err()
                .contains("not fetched")
        );
        assert_eq!(
            read_file("/nowhere/values.yaml").unwrap_err(),
            "open /nowhere/values.yaml: no such file or directory"
        );
    }

    #[test]
    fn lists_may_hold_commas_and_values_may_begin_with_a_hyphen() {
        let flags = flags(&[
            "chart",
            "-f",
            "a.yaml,b.yaml",
            "-f",
            "-",
            "--set",
            "-a=1",
            "-a",
            "x/v1,y/v1",
        ]);
        assert_eq!(flags.values.values, ["a.yaml", "b.yaml", "-"]);
        assert_eq!(flags.values.set, ["-a=1"]);
        assert_eq!(flags.api_versions, ["x/v1", "y/v1"]);
    }

    #[test]
    fn files_stay_below_their_folder_and_documents_of_one_template_together() {
        let folder = std::env::temp_dir().join(format!("optikon-template-{}", std::process::id()));
        let path = folder.display().to_string();
        let one = |path: &str, text: &str, is_crd| OutputFile {
            path: path.to_owned(),
            text: text.to_owned(),
            is_crd,
        };
        let rendered = Output {
            files: vec![
                one("c/crds/k.yaml", "k\n", true),
                one("c/templates/a.yaml", "1\n", false),
                one("c/templates/a.yaml", "2\n", false),
            ],
            ..Output::default()
        };
        for _ in 0..2 {
            write_files(&path, Some("web"), &rendered).unwrap();
        }
        let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
        assert_eq!(read("c/crds/k.yaml"), "k\n");
        assert_eq!(read("web/c/templates/a.yaml"), "1\n2\n");
        fs::remove_dir_all(&folder).unwrap();
        let outside = Output {
            files: vec![one("../c/templates/a.yaml", "", false)],
            ..Output::default()
        };
        assert!(write_files(&path, None, &outside).is_err());
        assert!(!folder.exists());
    }
}
