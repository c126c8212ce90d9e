//! Waiting for objects, by watches: until a rule says that they are ready, or until they are gone.
//!
//! Everything is looked at once; what is not as it should be is then watched, one watch for all objects of a collection.
//! A watch that ends, breaks, is too old or is not allowed is no failure: the objects are looked at again, which says what
//! is wrong if something is.

use std::{cell::RefCell, collections::BTreeMap, pin::pin};

use futures::{
    StreamExt,
    future::{Either, join_all, select},
    stream,
};
use optikon_plugin_sdk::{
    Error, ErrorCode, Requester,
    api::{Api, WatchEvent},
};
use serde_json::Value;

use crate::{
    cluster,
    flow::{FIRST_PAUSE_MS, Flow},
    objects::{Object, object_path},
    ready::Readiness,
    world::{Target, World},
};

/// How many objects a message names.
const NAMED: usize = 5;
/// Watches of one call at once, of the 32 streams that a member serves for everybody; what gets none is looked at again.
const WATCHES: usize = 16;
/// A watch that says nothing for so long may be dead: the objects are looked at again.
const QUIET_MS: u64 = 30_000;

/// What a look at a present object asks.
pub(crate) type Rule = fn(&Value) -> Readiness;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Ready(Rule),
    Gone,
}

impl Goal {
    fn judge(self, present: Option<&Value>) -> Readiness {
        match (self, present) {
            (Self::Ready(rule), Some(present)) => rule(present),
            (Self::Ready(_), None) => Readiness::Waiting("it is not there".to_owned()),
            (Self::Gone, Some(_)) => Readiness::Waiting("it is still there".to_owned()),
            (Self::Gone, None) => Readiness::Ready,
        }
    }
}

/// An object that is not yet as it should be.
#[derive(Debug, Default, Clone)]
struct Open {
    /// Why.
    reason: String,
    /// What it was last seen at: a watch may begin there. None when it was not there.
    version: Option<u64>,
}

/// One wait of one call.
#[derive(Debug)]
struct Wait<'a> {
    objects: &'a [Object],
    goal: Goal,
    deadline: u64,
    /// By place in `objects`.
    open: RefCell<BTreeMap<usize, Open>>,
}

impl Wait<'_> {
    /// Takes in what an object is now.
    ///
    /// # Errors
    /// When it will never be as it should be.
    fn take(&self, index: usize, present: Option<&Value>) -> Result<(), Error> {
        let Some(object) = self.objects.get(index) else {
            return Ok(());
        };
        match self.goal.judge(present) {
            Readiness::Ready => {
                self.open.borrow_mut().remove(&index);
            }
            Readiness::Waiting(reason) => {
                let version = present.and_then(version_of);
                self.open
                    .borrow_mut()
                    .insert(index, Open { reason, version });
            }
            Readiness::Failed(why) => {
                let error = cluster::of(object, Error::unavailable(why));
                return Err(error.with("reason", "not-ready"));
            }
        }
        Ok(())
    }

    /// Takes in an event of a watch. One that tells of a state from before the last look says nothing: it may be that of
    /// before the change that is waited for.
    fn event(&self, index: usize, event: &WatchEvent) -> Result<(), Error> {
        let (WatchEvent::Stored(object) | WatchEvent::Deleted(object)) = event else {
            return Ok(());
        };
        let Some(known) = self.open.borrow().get(&index).map(|open| open.version) else {
            return Ok(());
        };
        if known > version_of(object) {
            return Ok(());
        }
        let is_there = matches!(event, WatchEvent::Stored(_));
        self.take(index, is_there.then_some(object))
    }

    fn note(&self, index: usize, reason: String) {
        self.open.borrow_mut().entry(index).or_default().reason = reason;
    }

    /// Those of a collection that are still open.
    fn left(&self, group: &[usize]) -> Vec<usize> {
        let open = self.open.borrow();
        group
            .iter()
            .copied()
            .filter(|i| open.contains_key(i))
            .collect()
    }

    /// Where a watch of all of them has to begin: none where that is not known.
    fn oldest(&self, group: &[usize]) -> Option<u64> {
        let open = self.open.borrow();
        let versions = group.iter().map(|i| open.get(i)?.version);
        versions.min().flatten()
    }

    fn not_in_time(&self) -> Error {
        let open = self.open.borrow();
        let mut named: Vec<String> = open
            .iter()
            .take(NAMED)
            .filter_map(|(index, open)| {
                let object = self.objects.get(*index)?;
                Some(format!("{}: {}", object.title(), open.reason))
            })
            .collect();
        if open.len() > NAMED {
            named.push(format!("and {} more", open.len() - NAMED));
        }
        Error::timeout(format!("not ready in time: {}", named.join("; ")))
            .with("reason", "not-ready")
    }
}

/// How a watch ended.
enum End {
    /// It told of something.
    Told,
    /// It did not.
    Quiet,
    /// What it should begin with is forgotten.
    Expired,
}

impl<C: Requester, W: World, T: Target + 'static> Flow<'_, C, W, T> {
    /// Waits until a rule says that all objects are ready. One that will never be ends it at once.
    pub(crate) async fn wait_until(
        &self,
        objects: &[Object],
        rule: Rule,
        phase: &str,
    ) -> Result<(), Error> {
        self.wait(objects, Goal::Ready(rule), phase).await
    }

    /// Waits until no object is there.
    pub(crate) async fn wait_gone(&self, objects: &[Object]) -> Result<(), Error> {
        self.wait(objects, Goal::Gone, "delete").await
    }

    async fn wait(&self, objects: &[Object], goal: Goal, phase: &str) -> Result<(), Error> {
        let wait = Wait {
            objects,
            goal,
            deadline: self.deadline(),
            open: RefCell::default(),
        };
        let all: Vec<usize> = (0..objects.len()).collect();
        self.look_at(&wait, &all).await?;
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for index in wait.left(&all) {
            groups
                .entry(wait.collection(index))
                .or_default()
                .push(index);
        }
        let follow = |(path, group): (&String, &Vec<usize>)| {
            let (path, group, wait) = (path.clone(), group.clone(), &wait);
            async move { self.follow(wait, &path, &group, phase).await }
        };
        let mut followed = stream::iter(groups.iter().map(follow)).buffer_unordered(WATCHES);
        self.told(&wait, phase);
        while let Some(result) = followed.next().await {
            result?;
        }
        Ok(())
    }

    fn told(&self, wait: &Wait<'_>, phase: &str) {
        let all = wait.objects.len();
        self.world
            .report(phase, "", all - wait.open.borrow().len(), all);
    }

    /// Looks at each of these objects.
    async fn look_at(&self, wait: &Wait<'_>, group: &[usize]) -> Result<(), Error> {
        let looks = group.iter().filter_map(|index| {
            let object = wait.objects.get(*index)?;
            Some(async move { (*index, cluster::look(self.cluster, object).await) })
        });
        let Some(looked) = self.within(join_all(looks), wait.deadline).await else {
            for index in group {
                wait.note(*index, "its API server did not answer in time".into());
            }
            return Ok(());
        };
        for (index, present) in looked {
            match present {
                Ok(present) => wait.take(index, present.as_ref())?,
                // A server that restarts is back soon; one that is not is told apart by the deadline.
                Err(error) if is_passing(&error) => wait.note(index, error.message),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Watches the open objects of one collection until none is open.
    async fn follow(
        &self,
        wait: &Wait<'_>,
        path: &str,
        group: &[usize],
        phase: &str,
    ) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE_MS;
        let mut is_expired = false;
        loop {
            let open = wait.left(group);
            if open.is_empty() {
                return Ok(());
            }
            match self.watch(wait, path, &open, is_expired, phase).await? {
                End::Told => pause = FIRST_PAUSE_MS,
                End::Expired => is_expired = true,
                End::Quiet => {}
            }
            let open = wait.left(group);
            if open.is_empty() {
                return Ok(());
            }
            if !self.pause(&mut pause, wait.deadline).await {
                return Err(wait.not_in_time());
            }
            self.look_at(wait, &open).await?;
            self.told(wait, phase);
        }
    }

    /// One watch of a collection, until nothing of it is open, it ends, or nothing came for a while.
    async fn watch(
        &self,
        wait: &Wait<'_>,
        path: &str,
        group: &[usize],
        is_expired: bool,
        phase: &str,
    ) -> Result<End, Error> {
        // Without a version a watch begins with what is there now.
        let after = wait.oldest(group).filter(|_| !is_expired);
        let after = after.map(|version| version.to_string()).unwrap_or_default();
        let api = Api(self.cluster);
        let only = match group {
            [index] => wait.objects.get(*index).map(|object| object.name.as_str()),
            _ => None,
        };
        let opened = async {
            match only {
                Some(name) => api.watch_one(path, name, &after).await,
                None => api.watch(path, "", &after).await,
            }
        };
        let Some(opened) = self.within(opened, wait.deadline).await else {
            return Ok(End::Quiet);
        };
        let mut watch = match opened {
            Ok(watch) => watch,
            Err(error) => return Ok(ended(&error)),
        };
        let mut end = End::Quiet;
        loop {
            match self.within(watch.next(), wait.deadline).await {
                Some(Some(Ok(event))) => {
                    if let WatchEvent::Stored(object) | WatchEvent::Deleted(object) = &event {
                        let named = wait.named(group, object);
                        for index in &named {
                            wait.event(*index, &event)?;
                        }
                        if !named.is_empty() {
                            end = End::Told;
                            self.told(wait, phase);
                        }
                    }
                }
                Some(Some(Err(error))) => return Ok(ended(&error)),
                Some(None) | None => return Ok(end),
            }
            // A stream that never pauses ends no later than one that does.
            if wait.left(group).is_empty() || self.world.now_ms() >= wait.deadline {
                return Ok(end);
            }
        }
    }

    /// What comes in time; nothing when it does not.
    async fn within<R>(&self, future: impl Future<Output = R>, deadline: u64) -> Option<R> {
        let left = deadline.saturating_sub(self.world.now_ms()).min(QUIET_MS);
        let sleep = self.world.sleep(u32::try_from(left).unwrap_or(u32::MAX));
        match select(pin!(future), pin!(sleep)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }
}

impl Wait<'_> {
    /// The path of an object's collection.
    fn collection(&self, index: usize) -> String {
        let Some(object) = self.objects.get(index) else {
            return String::new();
        };
        object_path(&object.mapping, object.namespace.as_deref(), "")
    }

    /// Which of them an event is about.
    fn named(&self, group: &[usize], object: &Value) -> Vec<usize> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let is_it = |index: &usize| {
            let known = self.objects.get(*index).map(|object| object.name.as_str());
            known.is_some() && known == name
        };
        group.iter().copied().filter(is_it).collect()
    }
}

fn ended(error: &Error) -> End {
    match error.code {
        ErrorCode::Expired => End::Expired,
        _ => End::Quiet,
    }
}

/// Resource versions of one kind are numbers that rise.
fn version_of(value: &Value) -> Option<u64> {
    let version = value.pointer("/metadata/resourceVersion");
    version.and_then(Value::as_str)?.parse().ok()
}

fn is_passing(error: &Error) -> bool {
    matches!(
        error.code,
        ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::TooMany
    )
}
