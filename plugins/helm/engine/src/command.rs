//! `helm template` as a function: arguments and bytes in, both outputs and the exit code out.

use std::rc::Rc;

use helm_chart::{ArchiveLimits, Chart, File, ValueSources, is_gzip};
use helm_functions::Environment;

use crate::capabilities::KubeVersion;
use crate::facts::{Facts, StaticFacts};
use crate::manifest::{Hook, HookEvent, Manifests};
use crate::name::check_name;
use crate::render::{RenderLimits, Rendered, Renderer};
use crate::show::{log_line, show_only};

/// A chart as the caller found it.
#[derive(Clone, Debug)]
pub enum ChartSource {
    /// An archive, with the name it was given by.
    Archive(String, Vec<u8>),
    /// The files of a folder, those that `.helmignore` names left out.
    Folder(Vec<File>),
}

/// The arguments of `helm template`.
#[derive(Clone, Debug)]
pub struct TemplateArgs {
    /// Name of the release.
    pub name: String,
    /// `--namespace`
    pub namespace: String,
    /// `--values` and the `--set` family.
    pub values: ValueSources,
    /// `--kube-version`
    pub kube_version: Option<String>,
    /// `--api-versions`
    pub api_versions: Vec<String>,
    /// `--is-upgrade`
    pub is_upgrade: bool,
    /// `--include-crds`
    pub include_crds: bool,
    /// `--show-only`
    pub show_only: Vec<String>,
    /// `--no-hooks`
    pub no_hooks: bool,
    /// `--skip-tests`
    pub skip_tests: bool,
    /// `--skip-schema-validation`
    pub skip_schema_validation: bool,
    /// `--debug`: what was rendered is shown even where it is no YAML.
    pub debug: bool,
    /// `--output-dir`: documents come as [`Output::files`] instead of on standard output.
    pub has_output_dir: bool,
    /// Bounds of loading.
    pub archive_limits: ArchiveLimits,
    /// Bounds of rendering.
    pub limits: RenderLimits,
}

impl Default for TemplateArgs {
    /// What `helm template CHART` does.
    fn default() -> Self {
        Self {
            name: "release-name".into(),
            namespace: "default".into(),
            values: ValueSources::default(),
            kube_version: None,
            api_versions: Vec::new(),
            is_upgrade: false,
            include_crds: false,
            show_only: Vec::new(),
            no_hooks: false,
            skip_tests: false,
            skip_schema_validation: false,
            debug: false,
            has_output_dir: false,
            archive_limits: ArchiveLimits::default(),
            limits: RenderLimits::default(),
        }
    }
}

/// What the command prints and returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error: warnings, and the error if there is one.
    pub stderr: String,
    /// What goes below `--output-dir`, in the order in which it is written.
    pub files: Vec<OutputFile>,
    /// 0, or 1 after an error.
    pub exit_code: u8,
}

/// A document on its way into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Path below the folder, from the chart's name on.
    pub path: String,
    /// What is written, its head included. A later text of the same path follows the earlier ones.
    pub text: String,
    /// A CRD: it stays outside the folder of `--release-name`.
    pub is_crd: bool,
}

/// Renders a chart as `helm template` does. `read` gives the files that `--set-file` names;
/// `environment` is asked only where templates want clock, randomness or keys.
#[must_use]
pub fn template(
    source: &ChartSource,
    args: &TemplateArgs,
    environment: &Rc<dyn Environment>,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Output {
    let mut log = Vec::new();
    let mut output = Output::default();
    let result = run(source, args, environment, read, &mut log, &mut output);
    for line in log {
        output.stderr.push_str(&line);
        output.stderr.push('\n');
    }
    if let Err(error) = result {
        output.stderr.push_str(&format!("Error: {error}\n"));
        output.exit_code = 1;
    }
    output
}

fn run(
    source: &ChartSource,
    args: &TemplateArgs,
    environment: &Rc<dyn Environment>,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    log: &mut Vec<String>,
    output: &mut Output,
) -> Result<(), String> {
    let kube_version = match &args.kube_version {
        None => KubeVersion::default(),
        Some(text) => KubeVersion::parse(text)
            .map_err(|error| format!("invalid kube version '{text}': {error}"))?,
    };
    let values = args.values.merge(read).map_err(|error| error.to_string())?;
    let chart = load(source, &args.archive_limits)?;
    log.extend(chart.warnings.iter().cloned());
    check_installable(&chart, log)?;
    if let Err(error) = check_name(&args.name) {
        log.push(log_line(
            "ERROR",
            "release name check failed",
            &[("error", &error)],
        ));
        return Err(format!("release name check failed: {error}"));
    }
    let facts = StaticFacts {
        name: args.name.clone(),
        namespace: args.namespace.clone(),
        revision: 1,
        is_upgrade: args.is_upgrade,
        kube_version,
        extra_api_versions: args.api_versions.clone(),
        environment: Rc::clone(environment),
    };
    let facts: Rc<dyn Facts> = Rc::new(facts);
    let renderer = Renderer::new(chart);
    let (resolved, values) = renderer
        .prepare(&values, !args.skip_schema_validation, log)
        .map_err(|error| error.to_string())?;
    let invalid = |error: crate::Error| {
        if args.debug {
            return error.to_string();
        }
        format!("{error}\n\nUse --debug flag to render out invalid YAML")
    };
    let rendered = match renderer.run(&resolved, &values, &facts, &args.limits) {
        Ok(rendered) => rendered,
        Err(error) => {
            // Helm shows a release of which nothing is there.
            output.stdout.push_str(if args.debug { "\n" } else { "" });
            return Err(invalid(error));
        }
    };
    let files = rendered
        .files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let manifests = match Manifests::sort(files, log) {
        Ok(manifests) => manifests,
        Err(error) => {
            if args.debug {
                output.stdout = unsorted(&rendered);
            }
            return Err(invalid(error));
        }
    };
    if args.has_output_dir {
        output.files = files_of(&rendered, &manifests, args);
        // As with Helm, all are written, and then there is nothing left to show.
        if let Some(wanted) = args.show_only.first() {
            return Err(format!("could not find template {wanted} in chart"));
        }
        // Helm ends with what it prints elsewhere, and nothing of that is left.
        output.stdout.push('\n');
        return Ok(());
    }
    output.stdout = write(&rendered, &manifests, args);
    if args.show_only.is_empty() {
        return Ok(());
    }
    let all = std::mem::take(&mut output.stdout);
    let shown = show_only(&all, &args.show_only)
        .map_err(|wanted| format!("could not find template {wanted} in chart"))?;
    output.stdout = shown
        .iter()
        .map(|document| format!("---\n{document}\n"))
        .collect();
    Ok(())
}

fn document(path: &str, text: &str) -> String {
    format!("---\n# Source: {path}\n{text}\n")
}

/// Everything as it was rendered, for who looks for what is no YAML.
fn unsorted(rendered: &Rendered) -> String {
    let files = rendered.files.iter();
    let all: String = files
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(path, text)| document(path, text))
        .collect();
    format!("{}\n", all.trim())
}

fn files_of(rendered: &Rendered, manifests: &Manifests, args: &TemplateArgs) -> Vec<OutputFile> {
    let file = |path: &str, text: &str, is_crd| OutputFile {
        path: path.to_owned(),
        text: document(path, text),
        is_crd,
    };
    let crds = rendered.crds.iter().filter(|_| args.include_crds);
    let mut files: Vec<_> = crds
        .map(|(path, data)| file(path, &String::from_utf8_lossy(data), true))
        .collect();
    let documents = manifests.documents.iter();
    files.extend(documents.map(|one| file(&one.path, &one.text, false)));
    let hooks = hooks_of(manifests, args);
    files.extend(hooks.map(|hook| file(&hook.path, &hook.manifest, false)));
    files
}

/// The hooks that are asked for.
fn hooks_of<'a>(manifests: &'a Manifests, args: &TemplateArgs) -> impl Iterator<Item = &'a Hook> {
    let skip_tests = args.skip_tests;
    let hooks = manifests.hooks.iter().filter(|_| !args.no_hooks);
    hooks.filter(move |hook| !skip_tests || !hook.events.contains(&HookEvent::Test))
}

fn write(rendered: &Rendered, manifests: &Manifests, args: &TemplateArgs) -> String {
    let mut all = String::new();
    if args.include_crds {
        for (path, data) in &rendered.crds {
            all.push_str(&document(path, &String::from_utf8_lossy(data)));
        }
    }
    for one in &manifests.documents {
        all.push_str(&document(&one.path, &one.text));
    }
    let mut output = format!("{}\n", all.trim());
    for hook in hooks_of(manifests, args) {
        output.push_str(&document(&hook.path, &hook.manifest));
    }
    output
}

fn load(source: &ChartSource, limits: &ArchiveLimits) -> Result<Chart, String> {
    match source {
        ChartSource::Folder(files) => {
            Chart::from_files(files.clone(), limits).map_err(|error| error.to_string())
        }
        ChartSource::Archive(name, bytes) => {
            if !is_gzip(bytes) {
                if name.ends_with(".yml") || name.ends_with(".yaml") {
                    return Err(format!(
                        "file '{name}' seems to be a YAML file, but expected a gzipped archive"
                    ));
                }
                return Err(format!(
                    "file '{name}' does not appear to be a gzipped archive; got '{}'",
                    content_type(bytes)
                ));
            }
            Chart::from_archive(bytes, limits).map_err(|error| match error.kind() {
                helm_chart::ErrorKind::Archive | helm_chart::ErrorKind::Limit => {
                    format!("unable to load chart archive\n\n{error}")
                }
                _ => error.to_string(),
            })
        }
    }
}

/// A rough cut of Go's detection, enough for what people give by mistake.
fn content_type(bytes: &[u8]) -> &'static str {
    let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    // Go looks at a buffer of 512 bytes whose rest is zeroes.
    if bytes.len() < 512 {
        return "application/octet-stream";
    }
    for (magic, name) in [
        (&b"PK\x03\x04"[..], "application/zip"),
        (b"%PDF-", "application/pdf"),
        (b"\x89PNG\x0D\x0A\x1A\x0A", "image/png"),
        (b"\xFF\xD8\xFF", "image/jpeg"),
        (b"Rar!\x1A\x07", "application/x-rar-compressed"),
        (b"\xEF\xBB\xBF", "text/plain; charset=utf-8"),
    ] {
        if head.starts_with(magic) {
            return name;
        }
    }
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F);
    if head.iter().any(is_binary) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

/// Whether a chart can be a release: an application with all its dependencies. Warnings go to `log`.
///
/// # Errors
/// Helm's words.
pub fn check_installable(chart: &Chart, log: &mut Vec<String>) -> Result<(), String> {
    let metadata = &chart.metadata;
    if !matches!(metadata.chart_type.as_str(), "" | "application") {
        return Err(format!(
            "{} charts are not installable",
            metadata.chart_type
        ));
    }
    if metadata.deprecated {
        log.push(log_line("WARN", "this chart is deprecated", &[]));
    }
    let wanted = metadata.dependencies.iter().flatten();
    let missing: Vec<&str> = wanted
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !chart.dependencies.iter().any(|sub| sub.name() == *name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
        missing.join(", ")
    ))
}
