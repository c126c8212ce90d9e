//! One change of one release: install and upgrade, and what every change shares.

use helm_chart::merge_maps;
use optikon_plugin_sdk::{Error, charts::Outcome};
use prost::Message;

use crate::{
    calls::{
        InstallReleaseRequest, RollbackReleaseRequest, UninstallReleaseRequest,
        UpdateReleaseRequest,
    },
    options::Options,
    plan::{Plan, text_of, values_of},
    session::{Session, is_lost, locked},
    view,
    wire::{Code, Config, Release, Timestamp},
    world::World,
};

/// Between two looks at a release that somebody works on.
const PAUSE_MS: u32 = 500;
/// Left of a call, to say how it stands.
const RESERVE_MS: u64 = 3_000;
/// After a lost tunnel, how long a release may take to be written down at all.
const GRACE_MS: u64 = 5_000;
/// Of the history, when a deployed revision is looked for.
const HISTORY: u32 = 16;

/// A change under way.
#[derive(Debug)]
pub struct Flow<'a, W> {
    pub(crate) world: &'a W,
    pub(crate) options: Options,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

type Talk<W> = Session<<W as World>::Channel>;

/// The operation that made this very revision, from its description.
#[must_use]
pub fn mark_of(description: &str, version: i32) -> Option<String> {
    let mark = description.strip_suffix(')')?.rsplit_once("(optikon ")?.1;
    let (id, of) = mark.rsplit_once(".v")?;
    // A copy on another revision counts for nothing.
    (of.parse() == Ok(version) && !id.is_empty()).then(|| id.to_owned())
}

impl<'a, W: World> Flow<'a, W> {
    /// A change of this release.
    ///
    /// # Errors
    /// `invalid` when the options do not fit.
    pub fn new(
        world: &'a W,
        name: String,
        namespace: String,
        options: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            world,
            options: Options::parse(options)?,
            name,
            namespace,
        })
    }

    /// Applies a plan as a first revision.
    ///
    /// # Errors
    /// `already-exists` when the name is in use: names are unique per Tiller, not per namespace.
    pub async fn install(&self, plan: Plan) -> Result<Outcome, Error> {
        let session = Session::open(self.world).await?;
        let last = self.settled(&session).await?;
        if let Some(last) = last.as_ref().filter(|last| self.is_own(last)) {
            return Ok(outcome(last, true));
        }
        self.first(&session, plan, last.as_ref(), self.options.force)
            .await
    }

    /// A first revision, or one over what an uninstall or a failed install left behind.
    async fn first(
        &self,
        session: &Talk<W>,
        plan: Plan,
        last: Option<&Release>,
        may_reuse: bool,
    ) -> Result<Outcome, Error> {
        if let Some(last) = last {
            let is_left = matches!(last.code(), Code::Deleted | Code::Failed);
            if !(may_reuse && is_left) {
                return Err(Error::already_exists(format!(
                    "the name is in use: release \"{}\" in namespace \"{}\" is {} at revision {}",
                    last.name,
                    last.namespace,
                    last.code().word(),
                    last.version
                )));
            }
        }
        let next = last.map_or(1, |last| last.version.saturating_add(1));
        let request = InstallReleaseRequest {
            description: self.description("Install complete", next),
            ..self.install_request(plan, last.is_some())
        };
        self.world.report("install", "");
        let done = self.change(session, "InstallRelease", &request, next).await;
        match done {
            Ok(release) => Ok(outcome(&release, true)),
            Err(error) if self.options.atomic && !is_lost(&error) => {
                let undo = UninstallReleaseRequest {
                    name: self.name.clone(),
                    purge: true,
                    timeout: self.options.timeout_seconds(),
                    ..UninstallReleaseRequest::default()
                };
                let undone = session
                    .change("UninstallRelease", &undo, self.options.timeout_seconds())
                    .await;
                Err(after_undoing(error, undone.map(|_| ())))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn install_request(&self, plan: Plan, reuse_name: bool) -> InstallReleaseRequest {
        InstallReleaseRequest {
            // Tiller follows both without looking whether they are there.
            chart: Some(plan.chart.unwrap_or_default()),
            values: Some(Config { raw: plan.values }),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            reuse_name,
            disable_hooks: self.options.no_hooks,
            timeout: self.options.timeout_seconds(),
            wait: self.options.waits(),
            ..InstallReleaseRequest::default()
        }
    }

    /// Applies a plan as a further revision.
    ///
    /// # Errors
    /// `not-found` when there is nothing to upgrade, `conflict` while another change is under way.
    pub async fn upgrade(&self, plan: Plan) -> Result<Outcome, Error> {
        let session = Session::open(self.world).await?;
        let mut last = match self.settled(&session).await? {
            Some(last) if last.code() != Code::Deleted => last,
            last if self.options.install => {
                return self.first(&session, plan, last.as_ref(), true).await;
            }
            Some(_) | None => return Err(self.nothing_deployed()),
        };
        if self.is_own(&last) {
            return Ok(outcome(&last, true));
        }
        self.check_namespace(&last)?;
        if last.code().is_pending() {
            if !self.options.force {
                return Err(self.is_locked(&last));
            }
            last = self.clear(&session).await?;
        }
        let mut request = self.upgrade_request(plan, &last);
        if !self.options.force && last.code() == Code::Deployed {
            request.dry_run = true;
            let seconds = self.options.timeout_seconds();
            let draft = session.change("UpdateRelease", &request, seconds).await?;
            request.dry_run = false;
            if is_same(&draft, &last) {
                return Ok(outcome(&last, false));
            }
        }
        let next = last.version.saturating_add(1);
        request.description = self.description("Upgrade complete", next);
        self.world.report("upgrade", "");
        match self.change(&session, "UpdateRelease", &request, next).await {
            Ok(release) => Ok(outcome(&release, true)),
            Err(error) if self.options.atomic && !is_lost(&error) => {
                let undone = self.back_to(&session, last.version).await;
                Err(after_undoing(error, undone.map(|_| ())))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn upgrade_request(&self, plan: Plan, last: &Release) -> UpdateReleaseRequest {
        let options = &self.options;
        let (values, reset) = if options.reset_then_reuse_values {
            let mut values = values_of(last.config.as_ref());
            merge_maps(
                &mut values,
                helm_chart::load_values(plan.values.as_bytes()).unwrap_or_default(),
            );
            (text_of(values), true)
        } else {
            (plan.values, options.reset_values)
        };
        UpdateReleaseRequest {
            name: self.name.clone(),
            chart: Some(plan.chart.unwrap_or_default()),
            values: Some(Config { raw: values }),
            disable_hooks: options.no_hooks,
            timeout: options.timeout_seconds(),
            wait: options.waits(),
            reset_values: reset,
            reuse_values: options.reuse_values,
            ..UpdateReleaseRequest::default()
        }
    }

    /// A rollback by number, which never looks whether somebody is at work.
    pub(crate) async fn back_to(&self, session: &Talk<W>, version: i32) -> Result<Release, Error> {
        let request = RollbackReleaseRequest {
            name: self.name.clone(),
            version,
            disable_hooks: self.options.no_hooks,
            timeout: self.options.timeout_seconds(),
            wait: self.options.waits(),
            ..RollbackReleaseRequest::default()
        };
        session
            .change("RollbackRelease", &request, self.options.timeout_seconds())
            .await
    }

    /// Clears a pending revision that somebody left behind.
    async fn clear(&self, session: &Talk<W>) -> Result<Release, Error> {
        let history = session.history(&self.name, HISTORY).await?;
        let deployed = history.iter().find(|head| head.code() == Code::Deployed);
        let Some(deployed) = deployed else {
            return Err(self.nothing_deployed());
        };
        self.back_to(session, deployed.version).await
    }

    pub(crate) fn nothing_deployed(&self) -> Error {
        Error::not_found(format!("\"{}\" has no deployed releases", self.name))
    }

    /// Tiller's names are of all namespaces together.
    pub(crate) fn check_namespace(&self, last: &Release) -> Result<(), Error> {
        if last.namespace == self.namespace {
            return Ok(());
        }
        Err(Error::not_found(format!(
            "release \"{}\" is in namespace \"{}\", not in \"{}\"",
            self.name, last.namespace, self.namespace
        )))
    }

    pub(crate) fn is_locked(&self, last: &Release) -> Error {
        locked(&format!(
            "revision {} of \"{}\" is {}",
            last.version,
            self.name,
            last.code().word()
        ))
    }

    /// Whether an earlier call of the same operation made this revision, and saw it end well: Tiller writes other words
    /// over the description of what fails.
    pub(crate) fn is_own(&self, last: &Release) -> bool {
        let mark = mark_of(last.description(), last.version);
        mark.is_some() && mark == self.world.operation()
    }

    /// The user's words, or the usual ones, and whose work it is.
    pub(crate) fn description(&self, usual: &str, version: i32) -> String {
        let words = self.options.description.as_deref().unwrap_or(usual);
        match self.world.operation() {
            Some(id) => format!("{words} (optikon {id}.v{version})"),
            None => self.options.description.clone().unwrap_or_default(),
        }
    }

    /// The newest revision, after whoever works on it had his time. What is pending for longer was left behind.
    pub(crate) async fn settled(&self, session: &Talk<W>) -> Result<Option<Release>, Error> {
        loop {
            let last = session.content(&self.name, 0).await?;
            let Some(pending) = last.as_ref().filter(|last| last.code().is_pending()) else {
                return Ok(last);
            };
            let begun = begun_ms(pending);
            let until = begun.saturating_add(self.options.timeout_ms());
            if self.world.now_ms() >= until || !self.has_time() {
                return Ok(last);
            }
            self.world.report("wait", "somebody works on the release");
            self.world.sleep(PAUSE_MS).await;
        }
    }

    fn has_time(&self) -> bool {
        self.world
            .remaining_ms()
            .is_none_or(|left| left > RESERVE_MS)
    }

    /// Sends a change; after a lost tunnel, finds out what became of it instead of sending it again.
    pub(crate) async fn change(
        &self,
        session: &Talk<W>,
        method: &'static str,
        request: &impl Message,
        next: i32,
    ) -> Result<Release, Error> {
        let begun = self.world.now_ms();
        let seconds = self.options.timeout_seconds();
        let release = match session.change(method, request, seconds).await {
            Ok(release) => release,
            Err(error) if is_lost(&error) => return self.after_loss(error, begun, next).await,
            Err(error) => return Err(error),
        };
        // Tiller only logs it when its record cannot be written.
        let version = u32::try_from(release.version).unwrap_or_default();
        match session.content(&self.name, version).await? {
            Some(stored) => Ok(stored),
            None => Err(Error::too_large(format!(
                "Tiller made revision {version} of \"{}\" and could not write it down: its record is larger than the 1 MiB of a ConfigMap",
                self.name
            ))),
        }
    }

    async fn after_loss(&self, error: Error, begun: u64, next: i32) -> Result<Release, Error> {
        let until = begun.saturating_add(self.options.timeout_ms());
        let grace = self.world.now_ms().saturating_add(GRACE_MS);
        let mut seen = None;
        loop {
            if let Ok(session) = Session::open(self.world).await
                && let Ok(found) = session.content(&self.name, 0).await
            {
                let made = found.filter(|found| found.version >= next);
                let is_over = made.as_ref().is_some_and(|made| !made.code().is_pending());
                if let Some(made) = made.as_ref().filter(|_| is_over) {
                    return if self.is_own(made) {
                        Ok(made.clone())
                    } else {
                        Err(ended(made))
                    };
                }
                if made.is_none() && self.world.now_ms() >= grace {
                    return Err(error);
                }
                seen = made;
            }
            if self.world.now_ms() >= until || !self.has_time() {
                return Err(interrupted(&error, seen.as_ref()));
            }
            self.world
                .report("wait", "the tunnel broke; looking what became of it");
            self.world.sleep(PAUSE_MS).await;
        }
    }
}

/// When a revision was begun, milliseconds.
fn begun_ms(release: &Release) -> u64 {
    let time = release.info.as_ref().and_then(|info| info.last_deployed);
    let seconds = time.map_or(0, |Timestamp { seconds, .. }| seconds);
    u64::try_from(seconds)
        .unwrap_or_default()
        .saturating_mul(1_000)
}

/// A revision that did not end well, or was not ours.
fn ended(made: &Release) -> Error {
    let text = format!(
        "revision {} of \"{}\" is {}: {}",
        made.version,
        made.name,
        made.code().word(),
        made.description()
    );
    match made.code() {
        Code::Failed => Error::unavailable(text).with("reason", "tiller-refused"),
        _ => Error::conflict(format!("somebody else changed the release: {text}"), None),
    }
}

fn interrupted(error: &Error, seen: Option<&Release>) -> Error {
    let how = seen.map_or_else(
        || "nothing is known of it".to_owned(),
        |seen| format!("revision {} is {}", seen.version, seen.code().word()),
    );
    Error::unavailable(format!(
        "Tiller was cut off in the middle of the change and {how}: {}",
        error.message
    ))
    .with("reason", "interrupted")
}

fn after_undoing(mut error: Error, undone: Result<(), Error>) -> Error {
    match undone {
        Ok(()) => error.message.push_str("; it was undone"),
        Err(second) => {
            error.message = format!(
                "{}; undoing it failed too: {}",
                error.message, second.message
            );
        }
    }
    error
}

/// Whether a draft is what is deployed already.
fn is_same(draft: &Release, last: &Release) -> bool {
    let hooks = |release: &Release| {
        let hooks = release.hooks.iter();
        hooks.map(|h| h.manifest.clone()).collect::<Vec<_>>()
    };
    draft.manifest == last.manifest
        && hooks(draft) == hooks(last)
        && draft.chart == last.chart
        && values_of(draft.config.as_ref()) == values_of(last.config.as_ref())
}

pub(crate) fn outcome(release: &Release, changed: bool) -> Outcome {
    Outcome {
        release: view::release(&release.head(), true, None),
        changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_on_its_own_revision_only() {
        let text = "Install complete (optikon op-1.v3)";
        assert_eq!(mark_of(text, 3).as_deref(), Some("op-1"));
        assert_eq!(mark_of(text, 4), None);
        assert_eq!(mark_of("Install complete", 3), None);
        assert_eq!(mark_of("(optikon .v3)", 3), None);
    }
}
