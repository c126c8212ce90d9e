//! A release handed over to Helm's own storage: each revision of Tiller's becomes the Secret that Helm 3 and 4 keep. The
//! objects of the release are left alone.

use std::io::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use helm_chart::load_values;
use optikon_plugin_sdk::{Error, ErrorCode, Requester, api::Api, charts::Outcome, rfc3339};
use serde_json::{Map, Value, json};

use crate::{
    flow::{Flow, outcome},
    plan::values_of,
    storage, view,
    wire::{Chart, Hook, Metadata, Release, Timestamp},
    world::World,
};

/// What Helm writes where there is no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// A Secret holds this much, its own base64 included.
const MAX_SECRET_BYTES: usize = 1 << 20;

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

impl<W: World> Flow<'_, W> {
    /// Writes every revision as Helm keeps it, then removes Tiller's records, unless they are to stay. Can be made again
    /// after it was cut off: a Secret that is there already is the one that would be made.
    ///
    /// # Errors
    /// `conflict` while somebody works on the release; `already-exists` when Helm has another release of that name there.
    pub async fn adopt<C: Requester>(&self, cluster: &C, tillers: &str) -> Result<Outcome, Error> {
        let mut records = storage::records(cluster, tillers, &self.name).await?;
        records.retain(|record| record.release.namespace == self.namespace);
        let Some(last) = records.iter().max_by_key(|record| record.release.version) else {
            return Ok(Outcome {
                release: view::absent(&self.name, &self.namespace),
                changed: false,
            });
        };
        let last = last.release.clone();
        if last.code().is_pending() {
            return Err(self.is_locked(&last));
        }
        let secrets = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        let now = self.world.now_ms() / 1_000;
        for record in &records {
            let secret = secret(&record.release, now)?;
            match Api(cluster).create(&secrets, &secret, false).await {
                Ok(_) => {}
                Err(error) if error.code == ErrorCode::AlreadyExists => {
                    self.check_same(cluster, &secrets, &secret).await?;
                }
                Err(error) => return Err(error),
            }
            self.world
                .report("adopt", "a revision is in Helm's storage");
        }
        if !self.options.keep_history {
            for record in &records {
                let path = format!("/api/v1/namespaces/{tillers}/configmaps/{}", record.object);
                match Api(cluster).delete(&path, None, None, false).await {
                    Ok(_) => {}
                    Err(error) if error.code == ErrorCode::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(outcome(&last, true))
    }

    /// Whether the Secret that is there is the one of an earlier attempt: its payload, but for the time of its label.
    async fn check_same<C: Requester>(
        &self,
        cluster: &C,
        secrets: &str,
        wanted: &Value,
    ) -> Result<(), Error> {
        let text = |object: &Value, pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let name = text(wanted, "/metadata/name");
        let found = Api(cluster).get(&format!("{secrets}/{name}")).await?;
        if text(&found, "/data/release") == text(wanted, "/data/release") {
            return Ok(());
        }
        Err(Error::already_exists(format!(
            "Helm has a revision \"{name}\" already, and it is another one"
        )))
    }
}

/// The Secret of one revision.
fn secret(release: &Release, now: u64) -> Result<Value, Error> {
    let version = release.version;
    let status = release.code().word();
    let packed = packed(&record(release))?;
    if packed.len() > MAX_SECRET_BYTES {
        return Err(Error::too_large(format!(
            "revision {version} is larger than the 1 MiB of a Secret; Helm cannot keep it"
        )));
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.{}.v{version}", release.name),
            "namespace": release.namespace,
            "labels": {
                "name": release.name, "owner": "helm", "status": status,
                "version": version.to_string(), "createdAt": now.to_string(),
            },
        },
        "data": { "release": packed },
    }))
}

/// Helm's own base64 inside of the Secret's.
fn packed(record: &Value) -> Result<String, Error> {
    let pack = || -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(record.to_string().as_bytes())?;
        encoder.finish()
    };
    let packed = pack().map_err(|e| Error::internal(format!("a record cannot be packed: {e}")))?;
    Ok(STANDARD.encode(STANDARD.encode(packed)))
}

fn stamp(time: Option<Timestamp>) -> String {
    let seconds = time.and_then(|t| u64::try_from(t.seconds).ok());
    seconds
        .filter(|s| *s > 0)
        .map_or_else(|| NO_TIME.to_owned(), |s| rfc3339(s.saturating_mul(1_000)))
}

/// A revision as Helm writes it down.
fn record(release: &Release) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Config, Info, Status};

    #[test]
    fn a_revision_becomes_what_helm_keeps() {
        let release = Release {
            name: "web".into(),
            namespace: "shop".into(),
            version: 3,
            info: Some(Info {
                status: Some(Status {
                    code: 1,
                    notes: "hello".into(),
                    ..Status::default()
                }),
                last_deployed: Some(Timestamp {
                    seconds: 1_500_000_000,
                    nanos: 0,
                }),
                ..Info::default()
            }),
            config: Some(Config {
                raw: "a: 1\n".into(),
            }),
            hooks: vec![Hook {
                events: vec![9, 10, 1],
                delete_policies: vec![2],
                ..Hook::default()
            }],
            ..Release::default()
        };
        let record = record(&release);
        assert_eq!(record["info"]["status"], "deployed");
        assert_eq!(record["info"]["last_deployed"], "2017-07-14T02:40:00Z");
        assert_eq!(record["info"]["notes"], "hello");
        assert_eq!(record["config"]["a"].as_f64(), Some(1.0));
        assert_eq!(record["hooks"][0]["events"], json!(["test", "pre-install"]));
        assert_eq!(
            record["hooks"][0]["delete_policies"],
            json!(["before-hook-creation"])
        );
        let secret = secret(&release, 7).unwrap();
        assert_eq!(secret["metadata"]["name"], "sh.helm.release.v1.web.v3");
        assert_eq!(secret["metadata"]["labels"]["status"], "deployed");
    }
}
