//! `optikon chart template`: what `helm template` prints, byte for byte.

use std::{fs, process::ExitCode, rc::Rc, thread};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use helm_engine::{TemplateArgs, template};
use helm_functions::{Environment, NativeEnvironment};

use super::source;
use crate::cli::output;

/// Deep includes need more stack than a thread has by default.
const STACK_BYTES: usize = 128 << 20;

/// The flags of `helm template`.
#[derive(Debug, Args)]
pub(crate) struct TemplateFlags {
    /// `[NAME] CHART`: the release's name, and an archive or a folder.
    #[arg(required = true, num_args = 1..=2, value_names = ["NAME", "CHART"])]
    words: Vec<String>,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
    /// A values file; may be given again, the last wins.
    #[arg(long, short = 'f', value_name = "FILE")]
    values: Vec<String>,
    /// A value: key=value, comma-separated.
    #[arg(long, value_name = "K=V")]
    set: Vec<String>,
    /// A value that is always a text.
    #[arg(long, value_name = "K=V")]
    set_string: Vec<String>,
    /// A value in JSON.
    #[arg(long, value_name = "K=JSON")]
    set_json: Vec<String>,
    /// A value from a file.
    #[arg(long, value_name = "K=FILE")]
    set_file: Vec<String>,
    /// A value that is taken as it stands.
    #[arg(long, value_name = "K=TEXT")]
    set_literal: Vec<String>,
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
    /// Prints only these templates.
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
}

/// Renders and prints; exit code 1 with Helm's own error text.
pub(crate) fn run(flags: TemplateFlags) -> Result<ExitCode> {
    let worker = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || render(flags));
    let worker = worker.context("cannot start a thread")?;
    worker
        .join()
        .map_err(|_| anyhow!("rendering failed; this is a bug"))?
}

fn render(flags: TemplateFlags) -> Result<ExitCode> {
    let mut args = TemplateArgs {
        namespace: flags.namespace,
        ..TemplateArgs::default()
    };
    let chart = match flags.words.as_slice() {
        [name, chart] => {
            args.name.clone_from(name);
            chart
        }
        [chart] => chart,
        _ => return Err(anyhow!("give [NAME] CHART")),
    };
    for name in flags.values {
        let text =
            fs::read(&name).with_context(|| format!("cannot read the values file {name}"))?;
        args.values.files.push((name, text));
    }
    args.values.set = flags.set;
    args.values.set_string = flags.set_string;
    args.values.set_json = flags.set_json;
    args.values.set_file = flags.set_file;
    args.values.set_literal = flags.set_literal;
    args.kube_version = flags.kube_version;
    args.api_versions = flags.api_versions;
    args.is_upgrade = flags.is_upgrade;
    args.include_crds = flags.include_crds;
    args.show_only = flags.show_only;
    args.no_hooks = flags.no_hooks;
    args.skip_tests = flags.skip_tests;
    args.skip_schema_validation = flags.skip_schema_validation;
    args.limits.templates.stack_bytes = STACK_BYTES - (1 << 20);
    let environment: Rc<dyn Environment> = Rc::new(NativeEnvironment);
    let read = &mut |path: &str| fs::read(path).map_err(|error| error.to_string());
    let rendered = template(&source::read(chart)?, &args, &environment, read);
    output::raw(rendered.stdout.as_bytes());
    output::raw_error(rendered.stderr.as_bytes());
    Ok(ExitCode::from(rendered.exit_code))
}
