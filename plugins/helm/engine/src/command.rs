//! `helm template` as a function: arguments and bytes in, both outputs and the exit code out.

use std::rc::Rc;

use helm_chart::{ArchiveLimits, Chart, File, ValueSources, is_gzip};
use helm_functions::Environment;
use helm_template::fmt::sprintf;

use crate::capabilities::KubeVersion;
use crate::facts::{Facts, StaticFacts};
use crate::manifest::{HookEvent, Manifests};
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
    /// 0, or 1 after an error.
    pub exit_code: u8,
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
    let result = run(source, args, environment, read, &mut log);
    let mut output = Output::default();
    for line in log {
        output.stderr.push_str(&line);
        output.stderr.push('\n');
    }
    match result {
        Ok(stdout) => output.stdout = stdout,
        Err(error) => {
            output.stderr.push_str(&format!("Error: {error}\n"));
            output.exit_code = 1;
        }
    }
    output
}

fn run(
    source: &ChartSource,
    args: &TemplateArgs,
    environment: &Rc<dyn Environment>,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    log: &mut Vec<String>,
) -> Result<String, String> {
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
    let invalid =
        |error: crate::Error| format!("{error}\n\nUse --debug flag to render out invalid YAML");
    let rendered = renderer
        .run(&resolved, &values, &facts, &args.limits)
        .map_err(invalid)?;
    let files = rendered
        .files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let manifests = Manifests::sort(files, log).map_err(invalid)?;
    let output = write(&rendered, &manifests, args);
    if args.show_only.is_empty() {
        return Ok(output);
    }
    let shown = show_only(&output, &args.show_only)
        .map_err(|wanted| format!("could not find template {wanted} in chart"))?;
    Ok(shown
        .iter()
        .map(|document| format!("---\n{document}\n"))
        .collect())
}

fn write(rendered: &Rendered, manifests: &Manifests, args: &TemplateArgs) -> String {
    let document = |path: &str, text: &str| format!("---\n# Source: {path}\n{text}\n");
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
    if !args.no_hooks {
        for hook in &manifests.hooks {
            if args.skip_tests && hook.events.contains(&HookEvent::Test) {
                continue;
            }
            output.push_str(&document(&hook.path, &hook.manifest));
        }
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

/// Longer names leave no room for what charts add to them.
const MAX_NAME_BYTES: usize = 53;

/// Whether a release may have this name.
fn check_name(name: &str) -> Result<(), String> {
    let quoted = || {
        let quoted = sprintf(b"%q", &[helm_template::Value::from(name)]);
        quoted.map_or_else(|_| name.to_owned(), |text| text.to_string())
    };
    if name.is_empty() {
        return Err(format!("release name {}: no name provided", quoted()));
    }
    let is_part = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !part.is_empty()
            && part.starts_with(plain)
            && part.ends_with(plain)
            && part.chars().all(|c| plain(c) || c == '-')
    };
    if name.len() <= MAX_NAME_BYTES && name.split('.').all(is_part) {
        return Ok(());
    }
    Err(format!(
        "release name {}: invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53",
        quoted()
    ))
}
