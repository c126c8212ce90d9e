//! An API server in memory: enough of one for the sequences of a release.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
};

use optikon_plugin_sdk::{Fault, Lines, Mapping, Method, Refusal, Request, Requester, Response};
use serde_json::{Map, Value, json};

use crate::world::{Target, World};

/// What a test changes about an object when it is written.
pub(super) type Touch = Box<dyn Fn(&mut Value)>;

/// What a watch says, line by line; `Err` is a refusal's status.
pub(super) type Script = Result<Vec<Value>, u16>;

/// The lines of one watch.
#[derive(Debug)]
pub(super) struct Told(Option<VecDeque<Value>>);

impl Lines for Told {
    async fn next(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        match &mut self.0 {
            Some(lines) => Some(Ok(lines.pop_front()?.to_string().into_bytes())),
            None => std::future::pending().await,
        }
    }
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) objects: RefCell<BTreeMap<String, Value>>,
    /// Method and path of every request, dry runs marked.
    pub(super) asked: RefCell<Vec<String>>,
    /// Refuses a method on paths that end so.
    pub(super) refusals: RefCell<Vec<(&'static str, String, u16)>>,
    /// After so many writes everything fails, as if the gateway had died.
    pub(super) writes_left: Cell<Option<usize>>,
    pub(super) touch: RefCell<Option<Touch>>,
    /// What the next watches say, each to its end; one without a script stays open and silent.
    pub(super) watches: RefCell<VecDeque<Script>>,
    version: Cell<u64>,
}

fn answer(status: u16, body: &Value) -> Result<Response, Fault> {
    Ok(Response {
        status,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
        phase_ms: Vec::new(),
    })
}

fn status(code: u16, reason: &str) -> Result<Response, Fault> {
    answer(
        code,
        &json!({"kind": "Status", "code": code, "reason": reason, "message": reason}),
    )
}

fn merge(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new.clone(),
    }
}

impl Server {
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.objects.borrow().get(path).cloned()
    }

    pub(super) fn put(&self, path: &str, mut value: Value) {
        self.stamp(&mut value);
        self.objects.borrow_mut().insert(path.to_owned(), value);
    }

    /// The requests that change something, as `PATCH …/configmaps/a`; Secrets of releases left out.
    pub(super) fn writes(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let writes = asked.iter().filter(|a| {
            !a.starts_with("GET") && !a.starts_with("WATCH") && !a.contains("/secrets")
        });
        writes.cloned().collect()
    }

    fn stamp(&self, value: &mut Value) {
        self.version.set(self.version.get() + 1);
        let version = self.version.get();
        let metadata = value["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".into(), version.to_string().into());
        metadata
            .entry("uid")
            .or_insert_with(|| format!("uid-{version}").into());
        metadata
            .entry("creationTimestamp")
            .or_insert_with(|| "2026-01-01T00:00:00Z".into());
    }

    fn list(&self, request: &Request) -> Result<Response, Fault> {
        let selector = request.query.iter().find(|(k, _)| k == "labelSelector");
        let wanted: Vec<(String, String)> = selector
            .map(|(_, s)| {
                s.split(',')
                    .filter_map(|p| p.split_once('='))
                    .map(|(a, b)| (a.into(), b.into()))
                    .collect()
            })
            .unwrap_or_default();
        let objects = self.objects.borrow();
        let items: Vec<Value> = objects
            .iter()
            .filter(|(path, _)| {
                path.rsplit_once('/').is_some_and(|(folder, _)| {
                    folder == request.path
                        || (request.path == "/api/v1/secrets" && folder.ends_with("/secrets"))
                })
            })
            .map(|(_, value)| value.clone())
            .filter(|v| {
                wanted
                    .iter()
                    .all(|(k, w)| v["metadata"]["labels"][k] == **w)
            })
            .collect();
        answer(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}),
        )
    }

    fn write(&self, request: &Request, is_dry: bool) -> Result<Response, Fault> {
        let mut sent: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match request.method {
            Method::Post => {
                let path = format!(
                    "{}/{}",
                    request.path,
                    sent["metadata"]["name"].as_str().unwrap()
                );
                if self.get(&path).is_some() {
                    return status(409, "AlreadyExists");
                }
                self.stamp(&mut sent);
                self.objects.borrow_mut().insert(path, sent.clone());
                answer(201, &sent)
            }
            Method::Put => {
                let Some(present) = self.get(&request.path) else {
                    return status(404, "NotFound");
                };
                let expected = &sent["metadata"]["resourceVersion"];
                if !expected.is_null() && *expected != present["metadata"]["resourceVersion"] {
                    return status(409, "Conflict");
                }
                self.stamp(&mut sent);
                self.objects
                    .borrow_mut()
                    .insert(request.path.clone(), sent.clone());
                answer(200, &sent)
            }
            Method::Patch if sent.is_array() => {
                let mut present = self.get(&request.path).unwrap();
                for step in sent.as_array().unwrap() {
                    *present.pointer_mut(step["path"].as_str().unwrap()).unwrap() =
                        step["value"].clone();
                }
                self.put(&request.path, present.clone());
                answer(200, &present)
            }
            Method::Patch => {
                let mut present = self.get(&request.path).unwrap_or_else(|| json!({}));
                merge(&mut present, &sent);
                if !is_dry {
                    self.stamp(&mut present);
                    if let Some(touch) = &*self.touch.borrow() {
                        touch(&mut present);
                    }
                    self.objects
                        .borrow_mut()
                        .insert(request.path.clone(), present.clone());
                }
                answer(200, &present)
            }
            _ => match self.objects.borrow_mut().remove(&request.path) {
                Some(gone) => answer(200, &gone),
                None => status(404, "NotFound"),
            },
        }
    }
}

impl Requester for Server {
    type Lines = Told;

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let is_dry = request
            .query
            .iter()
            .any(|(k, v)| k == "dryRun" && v == "All");
        let word = format!("{:?}", request.method)
            .rsplit("::")
            .next()
            .unwrap()
            .to_uppercase();
        let mark = if is_dry { " (dry)" } else { "" };
        self.asked
            .borrow_mut()
            .push(format!("{word} {}{mark}", request.path));
        let refused = self
            .refusals
            .borrow()
            .iter()
            .find(|(m, p, _)| *m == word && request.path.ends_with(p))
            .map(|(_, _, c)| *c);
        if let Some(code) = refused {
            return status(code, "refused by the test");
        }
        if request.method == Method::Get {
            if let Some(found) = self.get(&request.path) {
                return answer(200, &found);
            }
            let is_collection = ["secrets", "configmaps", "widgets"]
                .iter()
                .any(|c| request.path.ends_with(&format!("/{c}")));
            return if is_collection {
                self.list(&request)
            } else {
                status(404, "NotFound")
            };
        }
        if !is_dry && let Some(left) = self.writes_left.get() {
            if left == 0 {
                return Err(Fault {
                    reason: "connect".into(),
                    message: "gone".into(),
                    phase_ms: Vec::new(),
                });
            }
            self.writes_left.set(Some(left - 1));
        }
        self.write(&request, is_dry)
    }

    async fn lines(&self, request: Request) -> Result<Self::Lines, Refusal> {
        let query: Vec<String> = request
            .query
            .iter()
            .filter(|(key, _)| key != "allowWatchBookmarks" && key != "watch")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        self.asked
            .borrow_mut()
            .push(format!("WATCH {}?{}", request.path, query.join("&")));
        match self.watches.borrow_mut().pop_front() {
            None => Ok(Told(None)),
            Some(Ok(lines)) => Ok(Told(Some(lines.into()))),
            Some(Err(code)) => match status(code, "refused by the test") {
                Ok(response) => Err(Refusal::Refused(response)),
                Err(fault) => Err(Refusal::Fault(fault)),
            },
        }
    }

    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        let (plural, namespaced) = match kind {
            "ConfigMap" => ("configmaps", true),
            "Secret" => ("secrets", true),
            "Deployment" => ("deployments", true),
            "Job" => ("jobs", true),
            "Pod" => ("pods", true),
            "Widget" => ("widgets", true),
            "Namespace" => ("namespaces", false),
            "CustomResourceDefinition" => ("customresourcedefinitions", false),
            _ => return Ok(None),
        };
        let path_prefix = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        Ok(Some(Mapping {
            path_prefix,
            plural: plural.into(),
            namespaced,
        }))
    }
}

/// A clock that only sleeping moves.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) ms: Cell<u64>,
    pub(super) operation: RefCell<Option<String>>,
    pub(super) reports: RefCell<Vec<String>>,
}

impl World for Clock {
    fn now_ms(&self) -> u64 {
        1_767_225_600_000 + self.ms.get()
    }

    async fn sleep(&self, ms: u32) {
        self.ms.set(self.ms.get() + u64::from(ms));
    }

    fn report(&self, phase: &str, _: &str, _: usize, _: usize) {
        let mut reports = self.reports.borrow_mut();
        if reports.last().is_none_or(|last| last != phase) {
            reports.push(phase.to_owned());
        }
    }

    fn operation(&self) -> Option<String> {
        self.operation.borrow().clone()
    }

    fn remaining_ms(&self) -> Option<u64> {
        None
    }
}

/// A target that says which facts were asked for.
#[derive(Default)]
pub(super) struct Fixed {
    pub(super) action: String,
    pub(super) revision: u32,
    pub(super) reads: RefCell<Vec<&'static str>>,
}

impl Fixed {
    fn note<T>(&self, fact: &'static str, value: T) -> T {
        self.reads.borrow_mut().push(fact);
        value
    }
}

impl Target for Fixed {
    fn release(&self) -> String {
        self.note("release", "rel".into())
    }
    fn namespace(&self) -> String {
        self.note("namespace", "demo".into())
    }
    fn action(&self) -> String {
        self.note("action", self.action.clone())
    }
    fn revision(&self) -> u32 {
        self.note("revision", self.revision)
    }
    fn kube_version(&self) -> String {
        self.note("kube-version", "v1.37.2".into())
    }
    fn api_versions(&self) -> Vec<String> {
        self.note("api-versions", vec!["v1".into(), "apps/v1".into()])
    }
}

/// A gzipped tar of a chart.
pub(super) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write;
    let mut tar = Vec::new();
    for (name, text) in files {
        let mut head = [0u8; 512];
        let path = format!("c/{name}");
        head[..path.len()].copy_from_slice(path.as_bytes());
        head[100..107].copy_from_slice(b"0000644");
        head[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar\x0000");
        head[148..156].copy_from_slice(b"        ");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&head);
        tar.extend_from_slice(text.as_bytes());
        tar.resize(tar.len().div_ceil(512) * 512, 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

pub(super) fn entries(map: &Value) -> Map<String, Value> {
    map.as_object().cloned().unwrap()
}
