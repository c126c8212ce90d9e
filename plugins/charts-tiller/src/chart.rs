//! From an archive to the chart that Tiller takes. Dependencies are decided here: Tiller takes whatever it is sent.

use helm_chart::{ArchiveLimits, Chart, File, Metadata, Resolved, ResolvedChart, map_to_json};
use optikon_plugin_sdk::Error;
use serde_json::{Map, Value, json};

use crate::wire;

/// Loads an archive of a chart for Helm 2.
///
/// # Errors
/// `invalid` on `chart`; `too-large` when it unpacks to too much.
pub fn load(archive: &[u8]) -> Result<Chart, Error> {
    Chart::from_archive(archive, &ArchiveLimits::default()).map_err(|e| match e.kind() {
        helm_chart::ErrorKind::Limit => Error::too_large(e.to_string()).with("field", "chart"),
        _ => Error::invalid("chart", e.to_string()),
    })
}

/// What an archive says about itself, for people.
///
/// # Errors
/// As [`load`].
pub fn describe(archive: &[u8]) -> Result<Value, Error> {
    let chart = load(archive)?;
    let metadata = &chart.metadata;
    let dependencies = metadata.dependencies.iter().flatten().map(|d| {
        json!({"name": d.name, "version": d.version, "repository": d.repository,
               "condition": d.condition, "alias": d.alias})
    });
    let kind = Some(metadata.chart_type.as_str()).filter(|kind| !kind.is_empty());
    Ok(json!({
        "name": metadata.name,
        "version": metadata.version,
        "appVersion": metadata.app_version,
        "description": metadata.description,
        "type": kind.unwrap_or("application"),
        "kubeVersion": metadata.kube_version,
        "deprecated": metadata.deprecated,
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

/// Packs a chart with the dependencies that these values turn on.
///
/// # Errors
/// `invalid` on `chart`, also for one that needs Helm 3, or on `values`.
pub fn pack(archive: &[u8], values: &Map<String, Value>) -> Result<wire::Chart, Error> {
    let chart = load(archive)?;
    refuse_helm_3(&chart)?;
    if chart.content.files.iter().any(|f| f.name == "values.toml") {
        let message = "values.toml is not read by anybody any more; use values.yaml";
        return Err(Error::invalid("chart", message));
    }
    let given = helm_chart::map_to_template(values);
    let resolved = Resolved::new(&chart, &given, &mut Vec::new())
        .map_err(|e| Error::invalid("values", e.to_string()))?;
    Ok(packed(resolved.root()))
}

fn refuse_helm_3(chart: &Chart) -> Result<(), Error> {
    if !matches!(chart.metadata.api_version.as_str(), "" | "v1") {
        return Err(Error::invalid(
            "chart",
            format!(
                "chart \"{}\" has apiVersion {}, so it needs Helm 3: Tiller takes charts of apiVersion v1 only; use the backend helm",
                chart.metadata.name, chart.metadata.api_version
            ),
        )
        .with("reason", "chart-needs-helm3"));
    }
    chart.dependencies.iter().try_for_each(refuse_helm_3)
}

fn packed(chart: ResolvedChart<'_>) -> wire::Chart {
    let content = chart.content();
    let files = |files: &[File]| {
        let files = files.iter().map(|file| wire::Any {
            type_url: file.name.clone(),
            value: file.data.to_vec(),
        });
        files.collect::<Vec<_>>()
    };
    wire::Chart {
        metadata: Some(metadata(chart.metadata())),
        templates: content
            .map(|c| c.templates.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|file| wire::Template {
                name: file.name.clone(),
                data: file.data.to_vec(),
            })
            .collect(),
        dependencies: chart.dependencies().into_iter().map(packed).collect(),
        values: Some(wire::Config {
            raw: raw_values(chart),
        }),
        files: content.map(|c| files(&c.files)).unwrap_or_default(),
    }
}

/// The text of `values.yaml`, unless its dependencies gave the chart other values.
fn raw_values(chart: ResolvedChart<'_>) -> String {
    let Some(content) = chart.content() else {
        return String::new();
    };
    let own = content
        .values
        .as_ref()
        .map(|own| Value::Object(own.clone()));
    let now = chart.values().map(map_to_json);
    let is_verbatim = now.is_none() || now == own.as_ref().map(same_numbers);
    match (&content.values_text, now) {
        (Some(text), _) if is_verbatim => String::from_utf8_lossy(text).into_owned(),
        // JSON is YAML.
        (_, Some(Value::Object(values))) if !values.is_empty() => Value::Object(values).to_string(),
        _ => String::new(),
    }
}

/// The same through the types of templates, so that both sides were converted alike.
fn same_numbers(value: &Value) -> Value {
    helm_chart::to_json(&helm_chart::to_template(value))
}

fn metadata(from: &Metadata) -> wire::Metadata {
    let maintainers = from.maintainers.iter().map(|m| wire::Maintainer {
        name: m.name.clone(),
        email: m.email.clone(),
        url: m.url.clone(),
    });
    wire::Metadata {
        name: from.name.clone(),
        home: from.home.clone(),
        sources: from.sources.clone(),
        version: from.version.clone(),
        description: from.description.clone(),
        keywords: from.keywords.clone(),
        maintainers: maintainers.collect(),
        icon: from.icon.clone(),
        api_version: from.api_version.clone(),
        condition: from.condition.clone(),
        tags: from.tags.clone(),
        app_version: from.app_version.clone(),
        deprecated: from.deprecated,
        annotations: from.annotations.iter().flatten().cloned().collect(),
        kube_version: from.kube_version.clone(),
        ..wire::Metadata::default()
    }
}
