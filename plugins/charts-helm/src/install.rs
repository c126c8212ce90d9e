//! Install and upgrade.

use std::rc::Rc;

use futures::future::join;
use helm_chart::{floats, merge_maps};
use optikon_plugin_sdk::{Error, Requester, charts::Outcome};
use serde_json::{Map, Value};

use crate::{
    change::{Change, Own, Sort},
    flow::Flow,
    objects::Object,
    plan::{Input, Plan, render},
    record::Record,
    store::{Entry, Stored},
    view,
    world::{Target, World},
};

/// A user's values, or a chart's defaults.
type Values = Map<String, Value>;

/// What a plan would make of a release.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) plan: Plan,
    pub(crate) version: u32,
    pub(crate) objects: Vec<Object>,
    pub(crate) old: Vec<Object>,
    pub(crate) base: Option<Stored>,
}

impl<C: Requester, W: World, T: Target + 'static> Flow<'_, C, W, T> {
    /// Applies a plan as a first revision.
    ///
    /// # Errors
    /// `already-exists` when the name is in use.
    pub async fn install(&self, plan: Plan) -> Result<Outcome, Error> {
        let (entries, is_fresh) = self.look_around().await?;
        match self.own(&entries, None).await? {
            Own::Ended(stored) => return self.again(stored, &entries).await,
            Own::Open(stored) => return self.go_on(stored, &plan, &entries).await,
            Own::Nothing => {}
        }
        if let Some(last) = entries.first() {
            let is_left = matches!(
                last.status.as_str(),
                "failed" | "uninstalled" | "pending-install"
            );
            if !(self.options.force && is_left) {
                return Err(Error::already_exists(format!(
                    "cannot reuse a name that is still in use: release \"{}\" is {} at revision {}",
                    self.name, last.status, last.version
                )));
            }
        }
        self.first(plan, &entries, is_fresh).await
    }

    /// The release's revisions; and whether its namespace is one that is not there and will be made, so that nothing can
    /// be in it.
    async fn look_around(&self) -> Result<(Vec<Entry>, bool), Error> {
        let store = self.store();
        let revisions = store.revisions(&self.name);
        if !self.options.create_namespace {
            return Ok((revisions.await?, false));
        }
        let (entries, has_namespace) = join(revisions, self.has_namespace()).await;
        Ok((entries?, !has_namespace?))
    }

    /// A first revision, or one over what an uninstall or a failed install left behind.
    async fn first(&self, plan: Plan, entries: &[Entry], is_fresh: bool) -> Result<Outcome, Error> {
        let has_new_kinds = !self.options.skip_crds && self.create_definitions(&plan.crds).await?;
        let version = entries
            .first()
            .map_or(1, |last| last.version.saturating_add(1));
        let plan = self.fitting(plan, false, version).await?;
        let objects = if has_new_kinds {
            self.objects_soon(&plan.manifest).await?
        } else {
            self.objects(&plan.manifest).await?
        };
        let may_be_there = objects
            .iter()
            .filter(|o| !is_fresh || o.namespace.as_ref() != Some(&self.namespace));
        self.check_ownership(&may_be_there.collect::<Vec<_>>(), "install")
            .await?;
        if self.options.create_namespace {
            self.create_namespace().await?;
        }
        let record = self.record(Sort::Install, version, "", &plan);
        let new = self
            .begin(record, std::collections::BTreeMap::new(), entries)
            .await?;
        let base = match entries.first() {
            Some(last) => Some(self.store().load(&self.name, last.version).await?),
            None => None,
        };
        self.run(Change {
            sort: Sort::Install,
            new,
            base,
            objects,
            old: Vec::new(),
        })
        .await
    }

    /// Applies a plan as a further revision.
    ///
    /// # Errors
    /// `not-found` when there is nothing to upgrade.
    pub async fn upgrade(&self, plan: Plan) -> Result<Outcome, Error> {
        let mut entries = self.store().revisions(&self.name).await?;
        match self.own(&entries, None).await? {
            Own::Ended(stored) => return self.again(stored, &entries).await,
            Own::Open(stored) => return self.go_on(stored, &plan, &entries).await,
            Own::Nothing => {}
        }
        if self.options.install
            && entries
                .first()
                .is_none_or(|last| last.status == "uninstalled")
        {
            let is_fresh = self.options.create_namespace && !self.has_namespace().await?;
            return self.first(plan, &entries, is_fresh).await;
        }
        self.clear_pending(&mut entries).await?;
        let draft = self.draft(plan, &entries).await?;
        let Some(base) = &draft.base else {
            return Err(self.nothing_deployed());
        };
        let is_newest = entries
            .first()
            .is_some_and(|last| last.version == base.record.version);
        let is_same = is_newest
            && base.record.info.status == "deployed"
            && draft.plan.is_same_as(&base.record);
        if is_same && !self.options.force {
            return Ok(Outcome {
                release: view::release(base, true),
                changed: false,
            });
        }
        self.check_ownership(&draft.added(), "upgrade").await?;
        let record = self.record(
            Sort::Upgrade,
            draft.version,
            &base.record.info.first_deployed,
            &draft.plan,
        );
        let new = self.begin(record, base.labels.clone(), &entries).await?;
        let Draft {
            objects, old, base, ..
        } = draft;
        self.run(Change {
            sort: Sort::Upgrade,
            new,
            base,
            objects,
            old,
        })
        .await
    }

    /// What an upgrade would apply and remove.
    pub(crate) async fn draft(&self, plan: Plan, entries: &[Entry]) -> Result<Draft, Error> {
        let version = entries
            .first()
            .map_or(1, |last| last.version.saturating_add(1));
        let base = self.base(entries, version).await?;
        let Some(base) = base else {
            return Err(self.nothing_deployed());
        };
        let plan = match self.values_over(&plan, &base.record) {
            Some((config, defaults)) => {
                let action = Some((true, version));
                let input = Input {
                    archive: &plan.archive,
                    config,
                    defaults,
                    target: Rc::clone(&self.target),
                    action,
                };
                render(input, Rc::clone(&self.environment), Some(self.cluster)).await?
            }
            None => self.fitting(plan, true, version).await?,
        };
        let objects = self.objects(&plan.manifest).await?;
        let old = self.old_objects(&base.record.manifest).await?;
        Ok(Draft {
            plan,
            version,
            objects,
            old,
            base: Some(base),
        })
    }

    fn nothing_deployed(&self) -> Error {
        Error::not_found(format!("\"{}\" has no deployed releases", self.name))
    }

    /// Goes on with a revision of the same operation that was cut off.
    async fn go_on(&self, new: Stored, plan: &Plan, entries: &[Entry]) -> Result<Outcome, Error> {
        let is_install = new.record.info.status == Sort::Install.pending();
        let sort = if is_install {
            Sort::Install
        } else {
            Sort::Upgrade
        };
        if is_install && !self.options.skip_crds {
            self.create_definitions(&plan.crds).await?;
        }
        let base = self.base(entries, new.record.version).await?;
        let objects = self.objects(&new.record.manifest).await?;
        let old = match &base {
            Some(base) if !is_install => self.old_objects(&base.record.manifest).await?,
            _ => Vec::new(),
        };
        self.run(Change {
            sort,
            new,
            base,
            objects,
            old,
        })
        .await
    }

    /// The plan itself, or, where its templates were told another action or revision than it will be, a new one.
    pub(crate) async fn fitting(
        &self,
        plan: Plan,
        is_upgrade: bool,
        version: u32,
    ) -> Result<Plan, Error> {
        if plan.fits(is_upgrade, version) {
            return Ok(plan);
        }
        let input = Input {
            archive: &plan.archive,
            config: floated(&plan.config),
            defaults: None,
            target: Rc::clone(&self.target),
            action: Some((is_upgrade, version)),
        };
        render(input, Rc::clone(&self.environment), Some(self.cluster)).await
    }

    /// The values, and the chart's defaults where they change, when the revision before has a say in them.
    fn values_over(&self, plan: &Plan, base: &Record) -> Option<(Values, Option<Values>)> {
        let options = &self.options;
        let (given, before) = (floated(&plan.config), floated(&base.config));
        if options.reuse_values {
            let mut defaults = match base.chart.get("values") {
                Some(Value::Object(values)) => floated(values),
                _ => Map::new(),
            };
            merge_maps(&mut defaults, before.clone());
            return Some((over(before, given), Some(defaults)));
        }
        if options.reset_values {
            return None;
        }
        if options.reset_then_reuse_values {
            return Some((over(before, given), None));
        }
        (given.is_empty() && !before.is_empty()).then_some((before, None))
    }
}

impl Draft {
    /// What the base does not have.
    fn added(&self) -> Vec<&Object> {
        let had: std::collections::BTreeSet<_> = self.old.iter().map(Object::identity).collect();
        self.objects
            .iter()
            .filter(|object| !had.contains(&object.identity()))
            .collect()
    }
}

fn over(mut base: Map<String, Value>, given: Map<String, Value>) -> Map<String, Value> {
    merge_maps(&mut base, given);
    base
}

/// Values as templates see those of a file: all numbers are floats.
fn floated(values: &Map<String, Value>) -> Map<String, Value> {
    match floats(Value::Object(values.clone())) {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}
