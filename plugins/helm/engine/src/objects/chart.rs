//! `.Chart`

use helm_chart::{Dependency, Maintainer, Metadata};
use helm_template::{Map, MapType, Str, Value};

/// The fields of a chart's metadata under their Go names.
pub(crate) fn chart_map(metadata: &Metadata, is_root: bool) -> Map {
    let texts = |items: &[String]| Value::list(items.iter().map(|item| text(item)).collect());
    let annotations = match &metadata.annotations {
        None => Map::nil(MapType::Str),
        Some(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (Str::from(key.as_str()), text(value)));
            Map::from_entries(MapType::Str, entries.collect())
        }
    };
    let dependencies = metadata.dependencies.as_deref().unwrap_or_default();
    [
        ("Name", text(&metadata.name)),
        ("Home", text(&metadata.home)),
        ("Sources", texts(&metadata.sources)),
        ("Version", text(&metadata.version)),
        ("Description", text(&metadata.description)),
        ("Keywords", texts(&metadata.keywords)),
        (
            "Maintainers",
            Value::list(metadata.maintainers.iter().map(maintainer).collect()),
        ),
        ("Icon", text(&metadata.icon)),
        ("APIVersion", text(&metadata.api_version)),
        ("Condition", text(&metadata.condition)),
        ("Tags", text(&metadata.tags)),
        ("AppVersion", text(&metadata.app_version)),
        ("Deprecated", metadata.deprecated.into()),
        ("Annotations", annotations.into()),
        ("KubeVersion", text(&metadata.kube_version)),
        (
            "Dependencies",
            Value::list(dependencies.iter().map(dependency).collect()),
        ),
        ("Type", text(&metadata.chart_type)),
        ("IsRoot", is_root.into()),
    ]
    .into_iter()
    .collect()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn maintainer(maintainer: &Maintainer) -> Value {
    Value::map([
        ("Name", text(&maintainer.name)),
        ("Email", text(&maintainer.email)),
        ("URL", text(&maintainer.url)),
    ])
}

fn dependency(dependency: &Dependency) -> Value {
    let imports = dependency.import_values.iter().map(helm_chart::to_template);
    let imports = imports.map(|import| match import {
        Value::Map(pair) => Value::Map(pair.retyped(MapType::Str)),
        other => other,
    });
    Value::map([
        ("Name", text(&dependency.name)),
        ("Version", text(&dependency.version)),
        ("Repository", text(&dependency.repository)),
        ("Condition", text(&dependency.condition)),
        (
            "Tags",
            Value::list(dependency.tags.iter().map(|tag| text(tag)).collect()),
        ),
        ("Enabled", dependency.enabled.into()),
        ("ImportValues", Value::list(imports.collect())),
        ("Alias", text(&dependency.alias)),
    ])
}
