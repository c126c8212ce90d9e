//! One look: what is asked at which depth, and what the answers mean together.
//!
//! `/version` goes first, since a member that does not answer it gets no further request. The rest goes out at once; each
//! part fails alone, and only when nothing at all may be listed is that the verdict.

use futures::{future::OptionFuture, join};
use optikon_plugin_sdk::{
    Requester,
    prober::{Depth, Observation, Verdict},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    discovery::stale_groups,
    health::{Health, Version, health, version_of},
    member::{Ask, ListMeta, Member, Page, Read},
    nodes::{Nodes, nodes},
    pods::{Pods, pods},
    problem::{Problem, verdict_of},
    time::{Time, skew_ms},
    workloads::{Workloads, workloads},
};

/// `/version` is answered from memory; who takes longer does not serve.
const VERSION_MS: u64 = 5_000;
/// The namespace whose uid is the cluster's identity.
const IDENTITY: &str = "/api/v1/namespaces/kube-system";
/// Half the bytes of whole namespaces.
const METADATA: &str =
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
/// What is tried, one by one, to tell a credential without any right from one with few.
const RIGHTS: [&str; 9] = [
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/api/v1/pods",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/replicasets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
];

#[derive(Deserialize)]
struct Namespace {
    metadata: Identity,
}

#[derive(Deserialize)]
struct Identity {
    uid: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NamespacePage {
    metadata: ListMeta,
    items: Option<Vec<serde::de::IgnoredAny>>,
}

impl Page for NamespacePage {
    fn metadata(&self) -> &ListMeta {
        &self.metadata
    }
}

/// What is put together.
#[derive(Default)]
struct Findings {
    status: Map<String, Value>,
    parts: Map<String, Value>,
    /// Parts that are not whole.
    is_truncated: bool,
    /// Lists that were answered, and refused for want of rights.
    answered: usize,
    forbidden: usize,
    failed: usize,
}

impl Findings {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.status.insert(key.to_owned(), value.into());
    }

    fn problem(&mut self, part: &str, problem: &Problem) {
        self.parts.insert(part.to_owned(), problem.to_json());
    }

    /// Notes how a list went; whether there is anything to show of it.
    fn read(&mut self, part: &str, read: &Read) -> bool {
        self.answered += usize::from(read.is_answered);
        if let Some(problem) = &read.problem {
            self.is_truncated |= read.is_answered;
            let is_forbidden = problem.is_forbidden() && !read.is_answered;
            self.forbidden += usize::from(is_forbidden);
            self.failed += usize::from(!is_forbidden && !read.is_answered);
            self.problem(part, problem);
        }
        read.is_answered
    }

    fn nodes(&mut self, seen: Nodes) {
        if self.read("nodes", &seen.read) {
            self.set(
                "nodeCounts",
                json!({"total": seen.items.len(), "ready": seen.ready}),
            );
            self.set("nodes", seen.items);
        }
    }

    fn pods(&mut self, seen: Pods) {
        if self.read("pods", &seen.read) {
            self.set("pods", seen.value);
        }
    }

    /// Kinds that cannot be seen are named together: people ask for workloads, not for one kind.
    fn workloads(&mut self, seen: Workloads) {
        let mut missing: Vec<&str> = Vec::new();
        let mut first = None;
        let mut is_answered = false;
        for (kind, read) in seen.reads {
            is_answered |= self.read("workloads", &read);
            if let Some(problem) = read.problem {
                missing.push(kind);
                first.get_or_insert(problem);
            }
        }
        if let Some(problem) = first {
            let message = format!("{}: {}", missing.join(", "), problem.message);
            self.problem("workloads", &Problem::new(&problem.reason, &message));
        }
        if is_answered {
            self.set(
                "workloadCounts",
                json!({"total": seen.items.len(), "ready": seen.ready}),
            );
            self.set("workloads", seen.items);
        }
    }

    fn finish(mut self, verdict: Verdict, problem: Option<&Problem>) -> Observation {
        if !self.parts.is_empty() {
            let parts = std::mem::take(&mut self.parts);
            self.set("parts", parts);
        }
        if self.is_truncated {
            self.set("truncated", true);
        }
        Observation {
            verdict,
            reason: problem
                .map(|problem| problem.reason.clone())
                .unwrap_or_default(),
            message: problem
                .map(|problem| problem.message.clone())
                .unwrap_or_default(),
            status: Value::Object(self.status).to_string(),
        }
    }
}

/// `{"first-byte": 3}` as `{"firstByte": 3}`.
fn phases(phase_ms: &[(String, u32)]) -> Value {
    let name = |word: &str| match word {
        "first-byte" => "firstByte".to_owned(),
        word => word.to_owned(),
    };
    let phases: Map<String, Value> = phase_ms
        .iter()
        .take(16)
        .map(|(word, ms)| (name(word), (*ms).into()))
        .collect();
    json!({"phasesMs": phases})
}

/// Looks at a member.
pub async fn look<C: Requester, T: Time>(member: Member<'_, C, T>, depth: Depth) -> Observation {
    let mut found = Findings::default();
    let asked_ms = member.time.now_ms();
    let version = Ask {
        path: "/version",
        at_most_ms: Some(VERSION_MS),
        ..Ask::default()
    };
    let answer = match member.request(version).await {
        Ok(answer) => answer,
        Err(fault) => {
            found.set("probe", phases(&fault.phase_ms));
            return found.finish(verdict_of(&fault), Some(&Problem::of_fault(&fault)));
        }
    };
    found.set("probe", phases(&answer.phase_ms));
    let date = answer.headers.iter().find(|(name, _)| name == "date");
    if let Some(skew) = date.and_then(|(_, date)| skew_ms(date, asked_ms, member.time.now_ms())) {
        found.set("clockSkewMs", skew);
    }
    match version_of(&answer) {
        Version::Known(version) => found.set("kubernetes", version),
        Version::Hidden(problem) => found.problem("version", &problem),
        Version::Sick(problem) => return found.finish(Verdict::NotReady, Some(&problem)),
        Version::Other(problem) => return found.finish(Verdict::Unreachable, Some(&problem)),
    }
    let (with_nodes, with_all) = match depth {
        Depth::Reach => (false, false),
        Depth::Nodes => (true, false),
        Depth::Workloads => (true, true),
    };
    // Boxed: together they are larger than a stack of futures should be.
    let seen = Box::pin(async {
        join!(
            health(member),
            identity(member),
            OptionFuture::from(with_nodes.then(|| nodes(member))),
            OptionFuture::from(with_all.then(|| pods(member))),
            OptionFuture::from(with_all.then(|| workloads(member))),
            OptionFuture::from(with_all.then(|| namespaces(member))),
            OptionFuture::from(with_all.then(|| stale_groups(member))),
        )
    });
    let (health, identity, nodes, pods, workloads, namespaces, stale) = seen.await;
    if let Some(nodes) = nodes {
        found.nodes(nodes);
    }
    if let Some(pods) = pods {
        found.pods(pods);
    }
    if let Some(workloads) = workloads {
        found.workloads(workloads);
    }
    if let Some((count, read)) = namespaces
        && found.read("namespaces", &read)
    {
        found.set("namespaces", count);
    }
    match stale {
        Some(Ok(stale)) => found.set("staleGroups", stale),
        Some(Err(problem)) => found.problem("discovery", &problem),
        None => {}
    }
    let is_identity_forbidden = match identity {
        Ok(uid) => {
            if let Some(uid) = uid {
                found.set("identity", uid);
            }
            false
        }
        Err(problem) => {
            found.problem("identity", &problem);
            problem.is_forbidden()
        }
    };
    let may_be_barred = is_identity_forbidden && found.answered == 0 && found.failed == 0;
    let barred = if may_be_barred && !matches!(health, Health::Failing(..) | Health::Silent(_)) {
        barred(member).await
    } else {
        None
    };
    let (verdict, problem) = match health {
        Health::Failing(checks, problem) => {
            found.set("checks", checks);
            (Verdict::NotReady, Some(problem))
        }
        Health::Silent(problem) => (Verdict::NotReady, Some(problem)),
        Health::Well => {
            found.set("checks", Vec::<Value>::new());
            (Verdict::Ready, None)
        }
        Health::Unknown(problem) => {
            found.problem("health", &problem);
            (Verdict::Ready, None)
        }
    };
    match (problem, barred) {
        (None, Some(barred)) => found.finish(Verdict::NotReady, Some(&barred)),
        (problem, _) => found.finish(verdict, problem.as_ref()),
    }
}

/// The uid of `kube-system`; none where there is no such namespace.
async fn identity<C: Requester, T: Time>(
    member: Member<'_, C, T>,
) -> Result<Option<String>, Problem> {
    match member
        .read::<Namespace>(Ask {
            path: IDENTITY,
            ..Ask::default()
        })
        .await
    {
        Ok(namespace) => Ok(namespace.metadata.uid.filter(|uid| uid.len() <= 128)),
        Err(problem) if problem.reason == "NotServed" => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// How many namespaces there are: the first, and how many follow.
async fn namespaces<C: Requester, T: Time>(member: Member<'_, C, T>) -> (u64, Read) {
    let ask = Ask {
        path: "/api/v1/namespaces",
        query: &[("limit", "1")],
        accept: Some(METADATA),
        ..Ask::default()
    };
    match member.read::<NamespacePage>(ask).await {
        Ok(page) => {
            let here = page.items.map_or(0, |items| items.len() as u64);
            let following = page.metadata.remaining_item_count.unwrap_or_default();
            (
                here + following,
                Read {
                    is_answered: true,
                    problem: None,
                },
            )
        }
        Err(problem) => (
            0,
            Read {
                is_answered: false,
                problem: Some(problem),
            },
        ),
    }
}

/// Whether nothing at all may be listed; ends at the first list that is answered otherwise.
async fn barred<C: Requester, T: Time>(member: Member<'_, C, T>) -> Option<Problem> {
    let mut last = None;
    for path in RIGHTS {
        let ask = Ask {
            path,
            query: &[("limit", "1")],
            accept: Some(METADATA),
            ..Ask::default()
        };
        match member.get(ask).await {
            Err(problem) if problem.is_forbidden() => last = Some(problem),
            _ => return None,
        }
    }
    last
}
