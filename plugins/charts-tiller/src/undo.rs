//! Rollback, uninstall, tests.

use optikon_plugin_sdk::{Error, ErrorCode, charts::Outcome};

use crate::{
    calls::{
        RollbackReleaseRequest, TestReleaseRequest, TestReleaseResponse, UninstallReleaseRequest,
    },
    flow::{Flow, outcome},
    session::{Session, is_lost},
    view,
    wire::{Code, Release, decode},
    world::World,
};

/// What Tiller says of a test that failed, and of one that nobody knows of.
const FAILURE: i32 = 2;
const UNKNOWN: i32 = 0;
/// Lines of a failed test that an error shows.
const MAX_LINES: usize = 5;

impl<W: World> Flow<'_, W> {
    /// Back to a revision, 0 for the one before the newest.
    ///
    /// # Errors
    /// `not-found` when it is not kept.
    pub async fn rollback(&self, revision: u32) -> Result<Outcome, Error> {
        let session = Session::open(self.world).await?;
        let Some(last) = self.settled(&session).await? else {
            return Err(self.nothing_deployed());
        };
        if self.is_own(&last) {
            return Ok(outcome(&last, true));
        }
        self.check_namespace(&last)?;
        let next = last.version.saturating_add(1);
        let target = match revision {
            0 => last.version.saturating_sub(1),
            revision => i32::try_from(revision).unwrap_or(i32::MAX),
        };
        if target < 1 || target >= next {
            return Err(Error::not_found(format!(
                "release \"{}\" has no revision {target} to go back to",
                self.name
            )));
        }
        let request = RollbackReleaseRequest {
            name: self.name.clone(),
            version: target,
            disable_hooks: self.options.no_hooks,
            timeout: self.options.timeout_seconds(),
            wait: self.options.waits(),
            description: self.description(&format!("Rollback to {target}"), next),
            ..RollbackReleaseRequest::default()
        };
        self.world.report("rollback", "");
        let release = self
            .change(&session, "RollbackRelease", &request, next)
            .await?;
        Ok(outcome(&release, true))
    }

    /// Removes what the release owns and, unless told otherwise, its revisions.
    ///
    /// # Errors
    /// Tiller's.
    pub async fn uninstall(&self) -> Result<Outcome, Error> {
        let session = Session::open(self.world).await?;
        let last = session.content(&self.name, 0).await?;
        let Some(last) = last.filter(|last| last.namespace == self.namespace) else {
            return Ok(self.unchanged());
        };
        if last.code() == Code::Deleted && self.options.keep_history {
            return Ok(outcome(&last, false));
        }
        let request = UninstallReleaseRequest {
            name: self.name.clone(),
            disable_hooks: self.options.no_hooks,
            purge: !self.options.keep_history,
            timeout: self.options.timeout_seconds(),
            description: self.description("Deletion complete", last.version),
        };
        self.world.report("uninstall", "");
        let seconds = self.options.timeout_seconds();
        match session.change("UninstallRelease", &request, seconds).await {
            Ok(release) => Ok(gone(&release)),
            // It went while we looked.
            Err(error) if error.code == ErrorCode::NotFound => Ok(self.unchanged()),
            Err(error) if is_lost(&error) => {
                let session = Session::open(self.world).await.map_err(|_| error.clone())?;
                match session.content(&self.name, 0).await? {
                    None => Ok(gone(&last)),
                    Some(now) if now.code() == Code::Deleted => Ok(gone(&now)),
                    Some(_) => Err(error.with("reason", "interrupted")),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn unchanged(&self) -> Outcome {
        Outcome {
            release: view::absent(&self.name, &self.namespace),
            changed: false,
        }
    }

    /// Runs the deployed revision's tests.
    ///
    /// # Errors
    /// `unavailable` with the reason `tests-failed` and the last lines.
    pub async fn run_tests(&self) -> Result<Outcome, Error> {
        let session = Session::open(self.world).await?;
        let Some(last) = session.content(&self.name, 0).await? else {
            return Err(self.nothing_deployed());
        };
        self.check_namespace(&last)?;
        let request = TestReleaseRequest {
            name: self.name.clone(),
            timeout: self.options.timeout_seconds(),
            cleanup: false,
        };
        let (mut failed, mut lines) = (false, Vec::new());
        let mut each = |message: Vec<u8>| {
            let line: TestReleaseResponse = decode(&message)?;
            self.world.report("test", &line.msg);
            let is_none = line.msg.contains("No Tests Found");
            if line.status == FAILURE
                || (line.status == UNKNOWN && !is_none && !line.msg.is_empty())
            {
                failed = true;
                lines.push(line.msg);
            }
            Ok(())
        };
        let seconds = self.options.timeout_seconds();
        session
            .stream("RunReleaseTest", &request, seconds, &mut each)
            .await?;
        if failed {
            lines.truncate(MAX_LINES);
            return Err(
                Error::unavailable(format!("tests failed: {}", lines.join("; ")))
                    .with("reason", "tests-failed"),
            );
        }
        Ok(outcome(&last, false))
    }
}

fn gone(release: &Release) -> Outcome {
    let mut shown = outcome(release, true);
    "uninstalled".clone_into(&mut shown.release.status);
    shown
}
