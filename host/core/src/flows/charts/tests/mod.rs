//! Whole operations over ports in memory: what a cluster is asked for, beside what the journal knows by then.

mod ports;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use self::ports::{Journal, Ports};
use super::*;
use crate::{
    flows::{
        custody::Custody,
        fakes::{FakeWorld, MemoryDocuments, MemoryVault},
        looks::Looks,
        mirror::Mirror,
    },
    words::{Caller, OperationKind, OperationState},
};

struct Bed {
    flows: ChartFlows,
    ports: Arc<Ports>,
    documents: Arc<Journal>,
    vault: Arc<MemoryVault>,
    lets: watch::Sender<Option<bool>>,
    /// Runs what is accepted.
    _work: JoinSet<()>,
}

impl Bed {
    /// With clusters of these names that nobody has looked at yet.
    fn start(names: &[&str], alias: Option<&str>) -> Self {
        let (lets, is_let) = watch::channel(None);
        let ports = Arc::new(Ports {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            alias: alias.map(|name| name.parse().unwrap()),
            ..Ports::default()
        });
        let documents = Arc::new(Journal {
            inner: MemoryDocuments::default(),
            log: ports.log.clone(),
            lets: is_let,
        });
        Self::over(ports, documents, Arc::default(), lets)
    }

    /// Another process over what lasts.
    fn restart(self) -> Self {
        Self::over(self.ports, self.documents, self.vault, self.lets)
    }

    /// Nobody works before the first wait of a test.
    fn over(
        ports: Arc<Ports>,
        documents: Arc<Journal>,
        vault: Arc<MemoryVault>,
        lets: watch::Sender<Option<bool>>,
    ) -> Self {
        let world: Arc<dyn World> = Arc::new(FakeWorld::default());
        let mirror = Arc::new(Mirror::new(1, 1_000));
        mirror.replace(ports.registered(), 1);
        let custody = Custody::new(vault.clone(), world.clone());
        let looks = Looks::new(
            ports.clone(),
            ports.clone(),
            custody.clone(),
            mirror.clone(),
            world.clone(),
        );
        let clusters = Clusters::new(
            ports.clone(),
            looks,
            mirror,
            custody,
            ports.clone(),
            documents.clone(),
            world.clone(),
        );
        let backend: Arc<dyn Charts> = ports.clone();
        let flows = ChartFlows::new(
            clusters,
            BTreeMap::from([("charts-helm".parse().unwrap(), backend)]),
            ports.clone(),
            ports.clone(),
            documents.clone(),
            vault.clone(),
            world,
        );
        let (mut work, runner) = (JoinSet::new(), flows.clone());
        work.spawn(async move { runner.work().await });
        Self {
            flows,
            ports,
            documents,
            vault,
            lets,
            _work: work,
        }
    }

    /// Back to the first revision, everywhere.
    async fn roll_back(&self, strategy: Value) -> Result<OperationId> {
        let request = json!({"targets": {"all": true}, "toRevision": 1, "strategy": strategy});
        let request = ActionRequest::read(request, "web").unwrap();
        let (caller, kind) = (Caller::host(), OperationKind::Rollback);
        let begun = self.flows.act(&caller, kind, "web", request, None).await;
        begun.map(|operation| operation.id)
    }

    /// As far as everything gets that nobody holds back: there is one thread, and no port needs time.
    async fn settle(&self) {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }

    async fn now(&self, id: &OperationId) -> Operation {
        self.flows.operation(&Caller::host(), id).await.unwrap()
    }

    async fn end(&self, id: &OperationId) -> Operation {
        let caller = Caller::host();
        // Whoever follows is answered nothing more when it is over.
        let mut after = 0;
        loop {
            let events = self.flows.events(&caller, id, after, true).await.unwrap();
            match events.last() {
                Some(last) => after = last.number,
                None => return self.now(id).await,
            }
        }
    }

    fn log(&self) -> Vec<String> {
        self.ports.log.lock().unwrap().clone()
    }
}

fn states(operation: &Operation) -> Vec<TargetState> {
    operation.targets.iter().map(|t| t.state).collect()
}

#[tokio::test]
async fn an_operation_changes_nothing_before_the_journal_knows_that_it_begins() {
    let bed = Bed::start(&["a"], None);
    let id = bed.roll_back(json!({})).await.unwrap();
    bed.settle().await;
    assert_eq!(bed.log(), ["Get of a"], "it was looked at and nothing else");
    let sealed = format!("operation/{id}");
    assert!(bed.vault.open_bytes(&sealed).await.unwrap().is_some());
    bed.lets.send_replace(Some(true));
    let ended = bed.end(&id).await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
    assert_eq!(bed.log(), ["Get of a", "begun", "Post of a", "ended"]);
    let left = bed.vault.open_bytes(&sealed).await.unwrap();
    assert!(left.is_none(), "what was secret of it outlived it");
}

#[tokio::test]
async fn where_the_journal_cannot_note_a_begin_the_cluster_is_left_alone_and_that_is_said() {
    let bed = Bed::start(&["a"], None);
    bed.lets.send_replace(Some(false));
    let ended = bed.end(&bed.roll_back(json!({})).await.unwrap()).await;
    assert_eq!(ended.state, OperationState::Failed, "{ended:?}");
    let asked = bed.log();
    assert!(asked.iter().all(|one| one == "Get of a"), "{asked:?}");
    let target = &ended.targets[0];
    assert_eq!(
        (target.state, target.reason.as_deref(), target.started_ms),
        (TargetState::Skipped, Some("Interrupted"), None),
        "what was not begun is not unknown: {target:?}"
    );
    let why = target.message.as_deref().unwrap_or_default();
    assert!(why.contains("the disk is full"), "{why}");
}

/// The gateway answers while it is still reading what was interrupted.
#[tokio::test]
async fn what_comes_at_the_very_start_is_run_once_and_finds_the_releases_that_are_held() {
    let bed = Bed::start(&["a", "b"], None);
    bed.lets.send_replace(Some(true));
    let strategy = json!({"waves": [{"count": 1, "manual": true}]});
    let id = bed.roll_back(strategy).await.unwrap();
    bed.settle().await;
    assert_eq!(bed.log(), ["begun", "Get of a", "Post of a", "ended"]);

    let again = bed.restart();
    let refused = again.roll_back(json!({})).await.unwrap_err();
    let words = format!("is held by operation {id}");
    assert!(refused.to_string().contains(&words), "{refused}");
    let caller = Caller::host();
    again.flows.resume(&caller, &id).await.unwrap();
    let ended = again.end(&id).await;
    assert_eq!(states(&ended), [TargetState::Succeeded; 2]);
    assert_eq!(
        again.log()[4..],
        ["begun", "Get of b", "Post of b", "ended"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_does_not_come_to_its_end_keeps_no_request() {
    let bed = Bed::start(&["a"], None);
    bed.lets.send_replace(Some(true));
    bed.settle().await;
    bed.flows.inner.has_recovered.send_replace(false);
    let refused = bed.roll_back(json!({})).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("try again"), "{refused}");
    assert!(bed.log().is_empty(), "{:?}", bed.log());
}

/// Time stands still while anything is left to do, and goes on by itself when nothing is.
#[tokio::test(start_paused = true)]
async fn a_pause_of_some_seconds_ends_by_itself_or_by_a_word() {
    use TargetState::{Pending, Skipped, Succeeded};
    let strategy = json!({"waves": [{"count": 1, "pauseSeconds": 3_600}]});
    let bed = Bed::start(&["a", "b"], None);
    bed.lets.send_replace(Some(true));
    let caller = Caller::host();
    for word in ["none", "resume", "cancel"] {
        let id = bed.roll_back(strategy.clone()).await.unwrap();
        bed.settle().await;
        let now = bed.now(&id).await;
        assert_eq!(now.state, OperationState::Paused, "{word}: {now:?}");
        assert_eq!(states(&now), [Succeeded, Pending], "{word}");
        let begun = tokio::time::Instant::now();
        match word {
            "resume" => drop(bed.flows.resume(&caller, &id).await.unwrap()),
            "cancel" => drop(bed.flows.cancel(&caller, &id).await.unwrap()),
            _ => {}
        }
        let ended = bed.end(&id).await;
        let is_by_itself = begun.elapsed().as_secs() >= 3_600;
        assert_eq!(is_by_itself, word == "none", "{word}");
        let last = if word == "cancel" { Skipped } else { Succeeded };
        assert_eq!(states(&ended), [Succeeded, last], "{word}");
    }
}

#[tokio::test]
async fn a_cluster_under_two_names_is_recognised_before_anybody_looked_at_it() {
    let bed = Bed::start(&["a", "b"], Some("a"));
    bed.lets.send_replace(Some(true));
    let refused = bed.roll_back(json!({})).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("\"a\" and \"b\" are the same cluster"),
        "{refused}"
    );
    assert_eq!(bed.log(), [] as [&str; 0]);
    let others = Bed::start(&["a", "b"], None);
    others.lets.send_replace(Some(true));
    let id = others.roll_back(json!({})).await.unwrap();
    assert_eq!(others.end(&id).await.state, OperationState::Succeeded);
}
