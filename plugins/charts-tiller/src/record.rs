//! Revisions as Helm 3 and 4 keep them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use helm_chart::load_values;
use optikon_plugin_sdk::rfc3339;
use serde_json::{Map, Value, json};

use crate::{
    plan::values_of,
    wire::{Chart, Hook, Metadata, Release, Timestamp},
};

/// What records may come to in all, before the rest is shortened.
const MAX_RECORDS_BYTES: usize = 16 << 20;
/// What Helm writes where there is no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// Helm's words for the events of hooks, by Tiller's numbers.
const EVENTS: [&str; 12] = [
    "",
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test",
    "crd-install",
];
const POLICIES: [&str; 3] = ["hook-succeeded", "hook-failed", "before-hook-creation"];

fn stamp(time: Option<Timestamp>) -> String {
    let seconds = time.and_then(|t| u64::try_from(t.seconds).ok());
    seconds
        .filter(|s| *s > 0)
        .map_or_else(|| NO_TIME.to_owned(), |s| rfc3339(s.saturating_mul(1_000)))
}

/// A revision as Helm writes it down.
pub(crate) fn record(release: &Release) -> Value {
    let info = release.info.clone().unwrap_or_default();
    let status = info.status.clone().unwrap_or_default();
    let mut shown = json!({
        "first_deployed": stamp(info.first_deployed),
        "last_deployed": stamp(info.last_deployed),
        "deleted": info.deleted.map_or_else(String::new, |time| stamp(Some(time))),
        "description": info.description,
        "status": release.code().word(),
    });
    if let (Value::Object(shown), false) = (&mut shown, status.notes.is_empty()) {
        shown.insert("notes".into(), status.notes.into());
    }
    let chart = release.chart.clone().unwrap_or_default();
    json!({
        "name": release.name,
        "info": shown,
        "chart": chart_of(&chart),
        "config": values_of(release.config.as_ref()),
        "manifest": release.manifest,
        "hooks": release.hooks.iter().map(hook).collect::<Vec<_>>(),
        "version": release.version,
        "namespace": release.namespace,
    })
}

/// Revisions as texts, whole as long as there is not too much of all.
pub(crate) fn texts(releases: &[Release]) -> Vec<String> {
    let mut releases: Vec<&Release> = releases.iter().collect();
    releases.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    releases.retain(|release| !release.name.is_empty() && !release.namespace.is_empty());
    let mut bytes = 0;
    let texts = releases.into_iter().map(|release| {
        let text = whole(release).to_string();
        if bytes + text.len() <= MAX_RECORDS_BYTES {
            bytes += text.len();
            return text;
        }
        // What comes later is not whole again.
        bytes = MAX_RECORDS_BYTES;
        let mut short = record(release);
        if let Value::Object(fields) = &mut short {
            let metadata = fields.get("chart").and_then(|chart| chart.get("metadata"));
            let chart = json!({ "metadata": metadata });
            fields.insert("chart".into(), chart);
            fields.remove("manifest");
            fields.remove("hooks");
            fields.remove("config");
            if let Some(Value::Object(info)) = fields.get_mut("info") {
                info.remove("notes");
            }
        }
        short.to_string()
    });
    texts.collect()
}

/// The same with what Helm 3 would not keep.
fn whole(release: &Release) -> Value {
    let mut whole = record(release);
    let chart = release.chart.as_ref().map(whole_chart);
    if let Value::Object(fields) = &mut whole {
        let raw = release.config.as_ref().map(|config| config.raw.as_str());
        fields.insert("rawConfig".into(), raw.unwrap_or_default().into());
        fields.insert("chart".into(), chart.unwrap_or_default());
    }
    whole
}

fn whole_chart(chart: &Chart) -> Value {
    let mut whole = chart_of(chart);
    if let Value::Object(fields) = &mut whole {
        let raw = chart.values.as_ref().map(|values| values.raw.as_str());
        fields.insert("rawValues".into(), raw.unwrap_or_default().into());
        let dependencies = chart.dependencies.iter().map(whole_chart);
        fields.insert("dependencies".into(), dependencies.collect());
    }
    whole
}

fn chart_of(chart: &Chart) -> Value {
    let file = |name: &str, data: &[u8]| json!({ "name": name, "data": STANDARD.encode(data) });
    let templates = chart.templates.iter().map(|t| file(&t.name, &t.data));
    let files = chart.files.iter().map(|f| file(&f.type_url, &f.value));
    let raw = chart.values.as_ref().map_or("", |values| &values.raw);
    json!({
        "metadata": metadata(&chart.metadata.clone().unwrap_or_default()),
        "lock": null,
        "templates": templates.collect::<Vec<_>>(),
        "values": load_values(raw.as_bytes()).unwrap_or_default(),
        "schema": null,
        "files": files.collect::<Vec<_>>(),
    })
}

fn metadata(from: &Metadata) -> Value {
    let mut fields = Map::new();
    let api = Some(from.api_version.as_str()).filter(|api| !api.is_empty());
    for (key, text) in [
        ("name", from.name.as_str()),
        ("home", &from.home),
        ("version", &from.version),
        ("description", &from.description),
        ("icon", &from.icon),
        ("apiVersion", api.unwrap_or("v1")),
        ("condition", &from.condition),
        ("tags", &from.tags),
        ("appVersion", &from.app_version),
        ("kubeVersion", &from.kube_version),
    ] {
        if !text.is_empty() {
            fields.insert(key.into(), text.into());
        }
    }
    for (key, texts) in [("sources", &from.sources), ("keywords", &from.keywords)] {
        if !texts.is_empty() {
            fields.insert(key.into(), texts.clone().into());
        }
    }
    if !from.maintainers.is_empty() {
        let each = from.maintainers.iter();
        let each = each.map(|m| json!({ "name": m.name, "email": m.email, "url": m.url }));
        fields.insert("maintainers".into(), each.collect());
    }
    if !from.annotations.is_empty() {
        fields.insert("annotations".into(), json!(from.annotations));
    }
    if from.deprecated {
        fields.insert("deprecated".into(), true.into());
    }
    Value::Object(fields)
}

fn hook(hook: &Hook) -> Value {
    let words = |numbers: &[i32], words: &[&'static str]| {
        let words = numbers
            .iter()
            .filter_map(|n| words.get(usize::try_from(*n).ok()?));
        let mut words: Vec<&str> = words.copied().filter(|word| !word.is_empty()).collect();
        words.dedup();
        words
    };
    json!({
        "name": hook.name,
        "kind": hook.kind,
        "path": hook.path,
        "manifest": hook.manifest,
        "events": words(&hook.events, &EVENTS),
        "last_run": { "started_at": stamp(hook.last_run), "completed_at": stamp(hook.last_run), "phase": "" },
        "weight": hook.weight,
        "delete_policies": words(&hook.delete_policies, &POLICIES),
    })
}
