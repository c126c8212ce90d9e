//! Members that misbehave on order: TLS servers in this process, for faults that a real API server does not make and
//! for numbers of members that no machine could run.
//!
//! A [`FakeMember`] answers like a small healthy cluster unless told otherwise, for one path or for all, and writes
//! down what it was asked.

mod answer;
mod objects;
mod serve;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use answer::{Answer, Body};
pub use tls::{Certificate, fake_authority, other_authority};

/// What happens to a new connection before any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    /// TLS and HTTP as usual.
    #[default]
    Open,
    /// Accepted, then nothing: not even TLS.
    BlackHole,
    /// Accepted and closed at once.
    Close,
    /// Bytes that are neither TLS nor HTTP.
    Garbage,
    /// HTTP without TLS.
    PlainHttp,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct State {
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
    gate: watch::Sender<Option<Gate>>,
    connections: AtomicUsize,
    most_connections: AtomicUsize,
}

/// Requests that wait.
#[derive(Debug, Clone)]
struct Gate {
    part: String,
    /// So many more pass.
    left: usize,
    is_after: bool,
    /// How many wait.
    held: usize,
}

#[derive(Debug, Clone)]
struct Script {
    door: Door,
    latency: Duration,
    token: Option<String>,
    everywhere: Option<Answer>,
    paths: BTreeMap<String, Answer>,
    /// Prefix of a path, the `Authorization` that it wants, the answer to all others.
    guards: Vec<(String, String, Answer)>,
    healthy: BTreeMap<String, Value>,
    objects: Option<objects::Objects>,
    keeps_puts: bool,
}

impl State {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running fake; it ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct FakeMember {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl FakeMember {
    /// Starts a healthy one with one node.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> Result<Self> {
        Self::start_with(Certificate::Good).await
    }

    /// Starts one with this certificate.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start_with(certificate: Certificate) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("bind a free port")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            script: Mutex::new(Script {
                door: Door::Open,
                latency: Duration::ZERO,
                token: None,
                everywhere: None,
                paths: BTreeMap::new(),
                guards: Vec::new(),
                healthy: healthy(1),
                objects: None,
                keeps_puts: false,
            }),
            seen: Mutex::new(Vec::new()),
            gate: watch::channel(None).0,
            connections: AtomicUsize::new(0),
            most_connections: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        let acceptor = tls::acceptor(certificate)?;
        tasks.spawn(serve::listen(listener, acceptor, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            _tasks: tasks,
        })
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The authority to register it with, PEM. The same for all fakes, so another one than signed
    /// [`Certificate::Untrusted`].
    ///
    /// # Errors
    /// When no key can be made.
    pub fn ca(&self) -> Result<String> {
        Ok(fake_authority()?.pem().to_owned())
    }

    /// From now on, what happens to new connections.
    pub fn door(&self, door: Door) {
        self.state.script().door = door;
    }

    /// From now on, the time before every answer.
    pub fn latency(&self, latency: Duration) {
        self.state.script().latency = latency;
    }

    /// From now on, other bearer tokens than this one get 401.
    pub fn require_token(&self, token: &str) {
        self.state.script().token = Some(token.to_owned());
    }

    /// From now on, the answer to every request.
    pub fn answer_all(&self, answer: Answer) {
        self.state.script().everywhere = Some(answer);
    }

    /// From now on, the answer to requests for this path (without query), or to those of one method, as in `PATCH /path`.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.state.script().paths.insert(path.to_owned(), answer);
    }

    /// From now on, what is `PUT` is answered with 201, and given back to whoever asks at its path.
    pub fn keep_puts(&self) {
        self.state.script().keeps_puts = true;
    }

    /// From now on, the answer to requests below this path that come without this `Authorization`.
    pub fn guard(&self, prefix: &str, authorization: &str, refusal: Answer) {
        let guard = (prefix.to_owned(), authorization.to_owned(), refusal);
        self.state.script().guards.push(guard);
    }

    /// Forgets all that was ordered: healthy, open, without latency. A required token stays.
    pub fn recover(&self) {
        let mut script = self.state.script();
        script.door = Door::Open;
        script.latency = Duration::ZERO;
        script.everywhere = None;
        script.paths.clear();
        script.guards.clear();
    }

    /// From now on it keeps the objects it is sent, as an API server without controllers, and is a cluster of its own
    /// rather than another way to the one that all fakes are.
    pub fn keep_objects(&self) {
        let identity = json!({
            "kind": "Namespace", "apiVersion": "v1",
            "metadata": {"name": "kube-system", "uid": format!("00000000-0000-4000-8000-{:012}", self.port())},
        });
        let mut script = self.state.script();
        script.objects.get_or_insert_default();
        let path = "/api/v1/namespaces/kube-system".to_owned();
        script.healthy.insert(path, identity);
    }

    /// The paths of the objects that it keeps.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        let script = self.state.script();
        script
            .objects
            .iter()
            .flat_map(objects::Objects::paths)
            .collect()
    }

    /// An object that it keeps.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<Value> {
        self.state.script().objects.as_ref()?.at(path)
    }

    /// How many nodes it says it has.
    pub fn nodes(&self, count: usize) {
        self.state.script().healthy = healthy(count);
    }

    /// From now on, after `pass` of them, requests whose target contains `part` wait until [`FakeMember::release`]: before
    /// they have had any effect or, with `is_after`, when only their answer is missing.
    pub fn hold(&self, part: &str, pass: usize, is_after: bool) {
        self.state.gate.send_replace(Some(Gate {
            part: part.to_owned(),
            left: pass,
            is_after,
            held: 0,
        }));
    }

    /// Lets them go on, those of connections that still live.
    pub fn release(&self) {
        self.state.gate.send_replace(None);
    }

    /// How many requests wait.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state
            .gate
            .borrow()
            .as_ref()
            .map_or(0, |gate| gate.held)
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen().clone()
    }

    /// Forgets the requests so far: a fake of a long run must not grow.
    pub fn forget(&self) {
        self.state.seen().clear();
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// The most connections that were open at once.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.state.most_connections.load(Ordering::Relaxed)
    }
}

/// What a small cluster answers, by path.
fn healthy(nodes: usize) -> BTreeMap<String, Value> {
    let list = |kind: &str, version: &str, items: Vec<Value>| {
        json!({
            "kind": kind, "apiVersion": version,
            "metadata": {"resourceVersion": "1"}, "items": items,
        })
    };
    let nodes = (0..nodes)
        .map(|number| {
            json!({
                "metadata": {
                    "name": format!("n{number}"), "uid": format!("uid-{number}"),
                    "labels": {"kubernetes.io/hostname": format!("n{number}")},
                },
                "spec": {},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "nodeInfo": {"kubeletVersion": "v1.37.2"},
                    "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                    "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                },
            })
        })
        .collect();
    let deployment = json!({
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {"replicas": 2},
        "status": {"replicas": 2, "readyReplicas": 2, "observedGeneration": 1},
    });
    let system = json!({
        "kind": "Namespace", "apiVersion": "v1",
        "metadata": {"name": "kube-system", "uid": "00000000-0000-4000-8000-000000000001"},
    });
    [
        (
            "/version",
            json!({"major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64"}),
        ),
        ("/api/v1/nodes", list("NodeList", "v1", nodes)),
        ("/api/v1/pods", list("PodList", "v1", Vec::new())),
        (
            "/apis/apps/v1/deployments",
            list("DeploymentList", "apps/v1", vec![deployment]),
        ),
        (
            "/apis/apps/v1/statefulsets",
            list("StatefulSetList", "apps/v1", Vec::new()),
        ),
        (
            "/apis/apps/v1/daemonsets",
            list("DaemonSetList", "apps/v1", Vec::new()),
        ),
        (
            "/apis/apps/v1/replicasets",
            list("ReplicaSetList", "apps/v1", Vec::new()),
        ),
        (
            "/apis/batch/v1/jobs",
            list("JobList", "batch/v1", Vec::new()),
        ),
        (
            "/apis/batch/v1/cronjobs",
            list("CronJobList", "batch/v1", Vec::new()),
        ),
        ("/api/v1/namespaces/kube-system", system),
    ]
    .into_iter()
    .map(|(path, body)| (path.to_owned(), body))
    .collect()
}

#[cfg(test)]
mod tests;
