//! A release handed over to Helm's own storage: each revision of Tiller's becomes the Secret that Helm 3 and 4 keep. The
//! objects of the release are left alone.

use std::io::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use optikon_plugin_sdk::{
    Error, ErrorCode, Requester,
    api::{Api, ListOptions},
    charts::{Change, Outcome},
};
use serde_json::{Value, json};

use crate::{
    flow::{Flow, outcome},
    preview,
    record::record,
    storage::{self, Record},
    view,
    wire::Release,
    world::World,
};

/// A Secret holds this much, its own base64 not counted.
const MAX_SECRET_BYTES: usize = 1 << 20;
/// Secrets read at once, each of up to 1.4 MB.
const PAGE: u32 = 8;

impl<W: World> Flow<'_, W> {
    /// Writes every revision as Helm keeps it, then removes Tiller's records, unless they are to stay. Can be made again
    /// after it was cut off: a Secret that is there already is the one that would be made.
    ///
    /// # Errors
    /// `conflict` while somebody works on the release; `already-exists` when Helm has another release of that name there;
    /// `too-large`. All of them before anything is written.
    pub async fn adopt<C: Requester>(&self, cluster: &C, tillers: &str) -> Result<Outcome, Error> {
        let Some((records, last)) = self.left(cluster, tillers).await? else {
            return Ok(Outcome {
                release: view::absent(&self.name, &self.namespace),
                changed: false,
            });
        };
        let secrets = self.secrets();
        let now = self.world.now_ms() / 1_000;
        for (secret, is_there) in self.wanted(cluster, &records, now).await? {
            if !is_there {
                Api(cluster).create(&secrets, &secret, false).await?;
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

    /// What that would write and remove; changes nothing.
    ///
    /// # Errors
    /// As [`Flow::adopt`], and `not-found` when Tiller has no such release.
    pub async fn adoption<C: Requester>(
        &self,
        cluster: &C,
        tillers: &str,
    ) -> Result<Vec<Change>, Error> {
        let Some((records, last)) = self.left(cluster, tillers).await? else {
            return Err(Error::not_found(format!(
                "Tiller has no release \"{}\" of namespace \"{}\"",
                self.name, self.namespace
            )));
        };
        let mut changes = preview::unchanged(&last.manifest, &self.namespace)?;
        let mut add = |kind: &str, namespace: &str, name: String, what: &str| {
            changes.push(Change {
                kind: kind.to_owned(),
                namespace: Some(namespace.to_owned()),
                name,
                what: what.to_owned(),
                patch: "[]".to_owned(),
            });
        };
        for (secret, is_there) in self.wanted(cluster, &records, 0).await? {
            let name = text(&secret, "/metadata/name");
            let what = if is_there { "unchanged" } else { "created" };
            add("v1/Secret", &self.namespace, name.to_owned(), what);
        }
        let what = if self.options.keep_history {
            "kept"
        } else {
            "deleted"
        };
        for record in records {
            add("v1/ConfigMap", tillers, record.object, what);
        }
        Ok(changes)
    }

    fn secrets(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    /// Tiller's records of the release and its newest revision; none where it has none.
    async fn left<C: Requester>(
        &self,
        cluster: &C,
        tillers: &str,
    ) -> Result<Option<(Vec<Record>, Release)>, Error> {
        let mut records = storage::records(cluster, tillers, &self.name).await?;
        records.retain(|record| record.release.namespace == self.namespace);
        let Some(last) = records.last().map(|record| record.release.clone()) else {
            return Ok(None);
        };
        if last.code().is_pending() {
            return Err(self.is_locked(&last));
        }
        Ok(Some((records, last)))
    }

    /// The Secret of each revision, and whether an earlier attempt made it already. What else Helm has under this name is
    /// another release: mixed into one history, neither could be told from the other.
    async fn wanted<C: Requester>(
        &self,
        cluster: &C,
        records: &[Record],
        now: u64,
    ) -> Result<Vec<(Value, bool)>, Error> {
        let mut wanted = Vec::with_capacity(records.len());
        for record in records {
            wanted.push((secret(&record.release, now)?, false));
        }
        let mut next = None;
        loop {
            let options = ListOptions {
                selector: format!("owner=helm,name={}", self.name),
                limit: PAGE,
                next,
                name: None,
            };
            let page = Api(cluster).list(&self.secrets(), options).await?;
            for found in &page.items {
                let name = text(found, "/metadata/name");
                let payload = text(found, "/data/release");
                let ours = wanted.iter_mut().find(|(secret, _)| {
                    // But for the time of its label.
                    text(secret, "/metadata/name") == name
                        && text(secret, "/data/release") == payload
                });
                let Some((_, is_there)) = ours else {
                    return Err(Error::already_exists(format!(
                        "Helm has a revision \"{name}\" already, and it is another one"
                    )));
                };
                *is_there = true;
            }
            next = page.next;
            if next.is_none() {
                return Ok(wanted);
            }
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
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
        "data": { "release": STANDARD.encode(packed) },
    }))
}

/// Helm's own base64, without the Secret's.
fn packed(record: &Value) -> Result<String, Error> {
    let pack = || -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(record.to_string().as_bytes())?;
        encoder.finish()
    };
    let packed = pack().map_err(|e| Error::internal(format!("a record cannot be packed: {e}")))?;
    Ok(STANDARD.encode(packed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Config, Hook, Info, Status, Timestamp};

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
