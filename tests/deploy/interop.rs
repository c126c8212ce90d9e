//! Whoever made a release, and whoever works on it: every verb, with every maker and actor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use optikon_tests::Testbed;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Bed, bed, change, merged, object, request, run_helm, upload, web};

const VERBS: [&str; 10] = [
    "list",
    "status",
    "values",
    "manifest",
    "notes",
    "history",
    "upgrade",
    "rollback",
    "test",
    "uninstall",
];

/// Who works on a release.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Actor {
    Ours,
    Helm(&'static str, PathBuf),
}

impl Actor {
    fn name(&self) -> &str {
        match self {
            Self::Ours => "ours",
            Self::Helm(name, _) => name,
        }
    }
}

fn actors() -> Vec<Actor> {
    vec![
        Actor::Helm("helm 4", Testbed::helm().unwrap()),
        Actor::Helm("helm 3", Testbed::helm3().unwrap()),
        Actor::Ours,
    ]
}

/// One actor at work on one release of the full cluster, whose name is its namespace's.
struct Hand<'a> {
    bed: &'a Bed,
    actor: &'a Actor,
    name: &'a str,
    home: PathBuf,
    charts: [PathBuf; 2],
    digests: [String; 2],
}

impl Hand<'_> {
    async fn helm(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        let arguments = [arguments, &["-n", self.name]].concat();
        run_helm(program, &self.home, &self.bed.full, &arguments).await
    }

    async fn helm_json(&self, program: &Path, arguments: &[&str]) -> Result<Value> {
        let said = self
            .helm(program, &[arguments, &["-o", "json"]].concat())
            .await?;
        serde_json::from_str(&said).with_context(|| said.clone())
    }

    async fn ours(&self, method: Method, path: &str, more: Value) -> Result<()> {
        let base = json!({"targets": {"names": ["full"]}, "namespace": self.name});
        let done = change(&self.bed.gateway, method, path, &merged(base, more)).await?;
        anyhow::ensure!(done["state"] == "succeeded", "{done:#}");
        Ok(())
    }

    async fn install(&self, message: &str) -> Result<()> {
        let chart = self.charts[0].to_str().unwrap();
        let set = format!("message={message}");
        match self.actor {
            Actor::Helm(_, helm) => {
                let line = [
                    "install",
                    self.name,
                    chart,
                    "--create-namespace",
                    "--wait",
                    "--set",
                    &set,
                ];
                self.helm(helm, &line).await.map(drop)
            }
            Actor::Ours => self.apply(Method::POST, "/charts", 0, message).await,
        }
    }

    async fn apply(&self, method: Method, path: &str, chart: usize, message: &str) -> Result<()> {
        let body = request(&self.digests[chart], self.name, self.name, &["full"]);
        let body = merged(body, json!({"values": {"message": message}}));
        let done = change(&self.bed.gateway, method, path, &body).await?;
        anyhow::ensure!(done["state"] == "succeeded", "{done:#}");
        Ok(())
    }

    async fn upgrade(&self, message: &str) -> Result<()> {
        let set = format!("message={message}");
        match self.actor {
            Actor::Helm(_, helm) => {
                let chart = self.charts[1].to_str().unwrap();
                let line = ["upgrade", self.name, chart, "--wait", "--set", &set];
                self.helm(helm, &line).await.map(drop)
            }
            Actor::Ours => {
                let path = format!("/charts/{}", self.name);
                self.apply(Method::PUT, &path, 1, message).await
            }
        }
    }

    async fn rollback(&self, to: u64) -> Result<()> {
        match self.actor {
            Actor::Helm(_, helm) => {
                let line = ["rollback", self.name, &to.to_string(), "--wait"];
                self.helm(helm, &line).await.map(drop)
            }
            Actor::Ours => {
                let path = format!("/charts/{}/rollback", self.name);
                let more = json!({"toRevision": to, "options": {"wait": true}});
                self.ours(Method::POST, &path, more).await
            }
        }
    }

    async fn test(&self) -> Result<()> {
        match self.actor {
            Actor::Helm(_, helm) => self.helm(helm, &["test", self.name]).await.map(drop),
            Actor::Ours => {
                let path = format!("/charts/{}/test", self.name);
                self.ours(Method::POST, &path, json!({})).await
            }
        }
    }

    async fn uninstall(&self) -> Result<()> {
        match self.actor {
            Actor::Helm(_, helm) => {
                let line = ["uninstall", self.name, "--wait"];
                self.helm(helm, &line).await.map(drop)
            }
            Actor::Ours => {
                let done = self.bed.uninstall(self.name).await;
                anyhow::ensure!(done["state"] == "succeeded", "{done:#}");
                Ok(())
            }
        }
    }

    /// Name, revision and status of the releases of the namespace.
    async fn list(&self) -> Result<Vec<(String, u64, String)>> {
        let rows = match self.actor {
            Actor::Helm(_, helm) => self.helm_json(helm, &["list"]).await,
            Actor::Ours => {
                let path = format!("/charts?clusters=full&namespace={}", self.name);
                let list = self.bed.gateway.client()?.read(&path).await?;
                Ok(list["items"].clone())
            }
        }?;
        let rows = rows.as_array().context("a list")?;
        Ok(rows
            .iter()
            .map(|row| {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                // `helm list` says its revision as text.
                let revision = row["revision"].as_u64();
                let revision = revision.or(row["revision"].as_str().and_then(|r| r.parse().ok()));
                (text("name"), revision.unwrap_or_default(), text("status"))
            })
            .collect())
    }

    /// Revision, status and description of the newest revision.
    async fn status(&self) -> Result<(u64, String, String)> {
        let (release, revision, info) = match self.actor {
            Actor::Helm(_, helm) => {
                let said = self.helm_json(helm, &["status", self.name]).await?;
                (said.clone(), said["version"].clone(), said["info"].clone())
            }
            Actor::Ours => {
                let said = self.bed.item(self.name, "").await;
                (said.clone(), said["revision"].clone(), said)
            }
        };
        anyhow::ensure!(release["name"] == self.name, "{release}");
        let text = |key: &str| info[key].as_str().unwrap_or_default().to_owned();
        Ok((
            revision.as_u64().context("a revision")?,
            text("status"),
            text("description"),
        ))
    }

    async fn text(&self, part: &str) -> Result<String> {
        match self.actor {
            Actor::Helm(_, helm) => self.helm(helm, &["get", part, self.name]).await,
            Actor::Ours => {
                let item = self.bed.item(self.name, &format!("/{part}")).await;
                Ok(item[part].as_str().context("a text")?.to_owned())
            }
        }
    }

    async fn values(&self) -> Result<Value> {
        match self.actor {
            Actor::Helm(_, helm) => self.helm_json(helm, &["get", "values", self.name]).await,
            Actor::Ours => Ok(self.bed.item(self.name, "/values").await["values"].clone()),
        }
    }

    /// Revisions with their status, oldest first.
    async fn history(&self) -> Result<Vec<(u64, String)>> {
        let rows = match self.actor {
            Actor::Helm(_, helm) => self.helm_json(helm, &["history", self.name]).await?,
            Actor::Ours => {
                let item = self.bed.item(self.name, "/history").await;
                let mut rows = item["revisions"].as_array().context("revisions")?.clone();
                rows.reverse();
                Value::Array(rows)
            }
        };
        let rows = rows.as_array().context("a list")?;
        let row = |row: &Value| {
            let status = row["status"].as_str().unwrap_or_default().to_owned();
            (row["revision"].as_u64().unwrap_or_default(), status)
        };
        Ok(rows.iter().map(row).collect())
    }
}

fn owned(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs.iter().map(|(n, s)| (*n, (*s).to_owned())).collect()
}

/// One maker's release under one actor's hands; the verbs that were seen to work.
async fn pair(maker: &Hand<'_>, actor: &Hand<'_>) -> Result<BTreeSet<&'static str>> {
    let name = actor.name;
    let settings = format!("/api/v1/namespaces/{name}/configmaps/{name}-settings");
    let message = || async {
        let found = object(&actor.bed.full, &settings).await;
        found.map(|f| f["data"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let mut seen = BTreeSet::new();
    maker.install("made").await.context("made")?;

    let row = (name.to_owned(), 1, "deployed".to_owned());
    assert_eq!(actor.list().await?, [row]);
    seen.insert("list");
    let status = (1, "deployed".to_owned(), "Install complete".to_owned());
    assert_eq!(actor.status().await?, status);
    seen.insert("status");
    assert_eq!(actor.values().await?, json!({"message": "made"}));
    seen.insert("values");
    assert_eq!(
        actor.text("manifest").await?.trim_end(),
        maker.text("manifest").await?.trim_end()
    );
    seen.insert("manifest");
    assert!(
        actor
            .text("notes")
            .await?
            .contains(&format!("{name} says made."))
    );
    seen.insert("notes");
    assert_eq!(actor.history().await?, owned(&[(1, "deployed")]));
    seen.insert("history");

    actor.upgrade("again").await.context("upgrade")?;
    assert_eq!(message().await.as_deref(), Some("again"));
    let two = owned(&[(1, "superseded"), (2, "deployed")]);
    assert_eq!(
        maker.history().await?,
        two,
        "the maker reads what the actor wrote"
    );
    assert_eq!(maker.values().await?, json!({"message": "again"}));
    seen.insert("upgrade");

    actor.rollback(1).await.context("rollback")?;
    assert_eq!(message().await.as_deref(), Some("made"));
    let status = (3, "deployed".to_owned(), "Rollback to 1".to_owned());
    assert_eq!(maker.status().await?, status);
    seen.insert("rollback");

    actor.test().await.context("test")?;
    assert_eq!(maker.status().await?, status, "a test makes no revision");
    seen.insert("test");

    // Back and forth: the maker takes over again, then the actor ends it.
    maker.upgrade("mine").await.context("the maker upgrades")?;
    assert_eq!(message().await.as_deref(), Some("mine"));
    actor.uninstall().await.context("uninstall")?;
    assert_eq!(message().await, None);
    assert_eq!(maker.list().await?, [], "nothing is left for the maker");
    seen.insert("uninstall");
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_works_for_every_maker_and_actor() {
    let bed = bed().await;
    let files = [web("1.0.0"), web("2.0.0")];
    let charts = [
        bed.file("interop-1.tgz", &files[0]),
        bed.file("interop-2.tgz", &files[1]),
    ];
    let [first, second] = files;
    let digests = [
        upload(&bed.gateway, first).await.unwrap(),
        upload(&bed.gateway, second).await.unwrap(),
    ];
    let actors = actors();
    let mut table = Vec::new();
    for maker in &actors {
        for actor in &actors {
            let name = format!("by-{}-for-{}", maker.name(), actor.name()).replace(' ', "");
            let hand = |actor| Hand {
                bed,
                actor,
                name: &name,
                home: bed.folder().to_path_buf(),
                charts: charts.clone(),
                digests: digests.clone(),
            };
            let seen = pair(&hand(maker), &hand(actor)).await;
            let seen = seen.unwrap_or_else(|e| panic!("{name}: {e:#}"));
            table.push((maker.name(), actor.name(), seen));
        }
    }
    assert_eq!(table.len(), actors.len() * actors.len());
    for (maker, actor, seen) in table {
        let all: BTreeSet<_> = VERBS.into_iter().collect();
        assert_eq!(seen, all, "made by {maker}, in the hands of {actor}");
    }
}
