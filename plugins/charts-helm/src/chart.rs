//! Charts as JSON: what people are shown, and what Helm keeps of a chart in a release.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use helm_chart::{ArchiveLimits, Chart, Dependency, File, Metadata, Resolved, map_to_json};
use optikon_plugin_sdk::Error;
use serde_json::{Map, Value, json};

/// Loads an archive.
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
    let dependencies: Vec<Value> = metadata
        .dependencies
        .iter()
        .flatten()
        .map(|d| {
            json!({"name": d.name, "version": d.version, "repository": d.repository,
               "condition": d.condition, "alias": d.alias})
        })
        .collect();
    Ok(json!({
        "name": metadata.name,
        "version": metadata.version,
        "appVersion": metadata.app_version,
        "description": metadata.description,
        "type": if metadata.chart_type.is_empty() { "application" } else { &metadata.chart_type },
        "kubeVersion": metadata.kube_version,
        "deprecated": metadata.deprecated,
        "dependencies": dependencies,
    }))
}

/// The field `chart` of a release: the root chart alone, as its dependencies were decided.
#[must_use]
pub fn stored(chart: &Chart, resolved: &Resolved) -> Value {
    let root = resolved.root();
    let content = &chart.content;
    let schema = content.schema.as_ref().map(|bytes| STANDARD.encode(bytes));
    let values = root.values().map_or_else(|| json!({}), map_to_json);
    json!({
        "metadata": metadata(root.metadata()),
        "lock": content.lock,
        "templates": files(&content.templates),
        "values": values,
        "schema": schema,
        "files": files(&content.files),
    })
}

fn files(files: &[File]) -> Value {
    if files.is_empty() {
        // Go writes a list that was never made so.
        return Value::Null;
    }
    let one = |file: &File| json!({"name": file.name, "data": STANDARD.encode(&file.data)});
    files.iter().map(one).collect()
}

/// A JSON object that leaves out what is empty, as Go's `omitempty`.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(key.to_owned(), text.into());
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.0.insert(key.to_owned(), texts.to_vec().into());
        }
    }

    fn truth(&mut self, key: &str, truth: bool) {
        if truth {
            self.0.insert(key.to_owned(), true.into());
        }
    }

    fn list(&mut self, key: &str, list: Vec<Value>) {
        if !list.is_empty() {
            self.0.insert(key.to_owned(), list.into());
        }
    }
}

fn metadata(metadata: &Metadata) -> Value {
    let mut fields = Fields::default();
    fields.text("name", &metadata.name);
    fields.text("home", &metadata.home);
    fields.texts("sources", &metadata.sources);
    fields.text("version", &metadata.version);
    fields.text("description", &metadata.description);
    fields.texts("keywords", &metadata.keywords);
    let maintainers = metadata.maintainers.iter().map(|maintainer| {
        let mut fields = Fields::default();
        fields.text("name", &maintainer.name);
        fields.text("email", &maintainer.email);
        fields.text("url", &maintainer.url);
        Value::Object(fields.0)
    });
    fields.list("maintainers", maintainers.collect());
    fields.text("icon", &metadata.icon);
    fields.text("apiVersion", &metadata.api_version);
    fields.text("condition", &metadata.condition);
    fields.text("tags", &metadata.tags);
    fields.text("appVersion", &metadata.app_version);
    fields.truth("deprecated", metadata.deprecated);
    let annotations = metadata.annotations.iter().flatten();
    let annotations: Map<String, Value> = annotations
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    if !annotations.is_empty() {
        fields
            .0
            .insert("annotations".to_owned(), annotations.into());
    }
    fields.text("kubeVersion", &metadata.kube_version);
    let dependencies = metadata
        .dependencies
        .iter()
        .flatten()
        .map(dependency)
        .collect();
    fields.list("dependencies", dependencies);
    fields.text("type", &metadata.chart_type);
    Value::Object(fields.0)
}

fn dependency(dependency: &Dependency) -> Value {
    let mut fields = Fields::default();
    fields
        .0
        .insert("name".to_owned(), dependency.name.as_str().into());
    fields.text("version", &dependency.version);
    fields.0.insert(
        "repository".to_owned(),
        dependency.repository.as_str().into(),
    );
    fields.text("condition", &dependency.condition);
    fields.texts("tags", &dependency.tags);
    fields.truth("enabled", dependency.enabled);
    fields.list("import-values", dependency.import_values.clone());
    fields.text("alias", &dependency.alias);
    Value::Object(fields.0)
}

/// Whether two charts as stored are the same but for the times of their files, which not every tool keeps.
#[must_use]
pub fn is_same(a: &Value, b: &Value) -> bool {
    fn part(chart: &Value, key: &str) -> Value {
        let mut part = chart.get(key).cloned().unwrap_or_default();
        if part.as_array().is_some_and(Vec::is_empty) {
            return Value::Null;
        }
        for file in part
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            file.remove("modtime");
        }
        part
    }
    ["metadata", "templates", "files", "values", "schema"]
        .iter()
        .all(|key| part(a, key) == part(b, key))
}
