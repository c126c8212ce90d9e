//! Revisions as the gateway gets them.

use optikon_plugin_sdk::{
    charts::{Content, Release},
    rfc3339,
};
use serde_json::{Map, Value};

use crate::{
    flow::mark_of,
    plan::values_of,
    wire::{self, ReleaseHead, Timestamp},
};

/// What is shown of the text that says why Tiller was not asked.
const MAX_WHY_CHARS: usize = 200;

fn stamp(time: Option<Timestamp>) -> Option<String> {
    let seconds = u64::try_from(time?.seconds).ok().filter(|s| *s > 0)?;
    Some(rfc3339(seconds.saturating_mul(1_000)))
}

/// A revision. `away` says that it was read from its record, and why.
pub(crate) fn release(head: &ReleaseHead, has_notes: bool, away: Option<&str>) -> Release {
    let mut details = Map::new();
    let mut set = |key: &str, text: &str| {
        if !text.is_empty() {
            details.insert(key.to_owned(), text.into());
        }
    };
    let metadata = head
        .chart
        .as_ref()
        .and_then(|chart| chart.metadata.as_ref());
    if let Some(metadata) = metadata.filter(|metadata| !metadata.name.is_empty()) {
        set("chart", &format!("{}-{}", metadata.name, metadata.version));
        set("chartName", &metadata.name);
        set("chartVersion", &metadata.version);
        set("appVersion", &metadata.app_version);
        set("chartDescription", &metadata.description);
    }
    if let Some(info) = &head.info {
        set("updated", &stamp(info.last_deployed).unwrap_or_default());
        set(
            "firstDeployed",
            &stamp(info.first_deployed).unwrap_or_default(),
        );
        set("deleted", &stamp(info.deleted).unwrap_or_default());
        set("description", &info.description);
        if let Some(status) = &info.status {
            set("resources", &status.resources);
            if has_notes {
                set("notes", &status.notes);
            }
        }
    }
    if let Some(why) = away {
        let why: String = why.chars().take(MAX_WHY_CHARS).collect();
        details.insert("readWithoutTiller".into(), why.into());
    }
    Release {
        name: head.name.clone(),
        namespace: head.namespace.clone(),
        revision: u32::try_from(head.version).unwrap_or_default(),
        status: head.code().word().to_owned(),
        operation: mark_of(head.description(), head.version),
        details: Value::Object(details).to_string(),
    }
}

/// Sorted as the world wants it, after what cannot be shown was left out.
pub(crate) fn releases(heads: &[ReleaseHead], away: Option<&str>) -> Vec<Release> {
    let mut releases: Vec<Release> = heads
        .iter()
        .filter(|head| !head.name.is_empty() && !head.namespace.is_empty())
        .map(|head| release(head, false, away))
        .collect();
    releases.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    releases
}

/// A revision whole.
pub(crate) fn content(found: &wire::Release, away: Option<&str>) -> Content {
    let notes = found.info.as_ref().and_then(|info| info.status.as_ref());
    Content {
        release: release(&found.head(), true, away),
        manifest: found.manifest.clone(),
        values: Value::Object(values_of(found.config.as_ref())).to_string(),
        notes: notes.map(|status| status.notes.clone()).unwrap_or_default(),
    }
}

/// A release that is not there.
pub(crate) fn absent(name: &str, namespace: &str) -> Release {
    Release {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        revision: 0,
        status: "uninstalled".to_owned(),
        operation: None,
        details: "{}".to_owned(),
    }
}
