//! Waiting for a state.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How often a state is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// An error after which waiting is of no use, such as the end of the process that was waited for.
#[derive(Debug)]
pub struct Hopeless(pub String);

impl fmt::Display for Hopeless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Hopeless {}

/// Asks until `condition` returns `Some`, and fails after `deadline` with `what` and the last error. A condition says
/// "not yet" by `Ok(None)` or by an error.
///
/// # Errors
/// When the deadline passes, and at once when the condition's error is [`Hopeless`].
pub async fn wait_for<T, F, R>(what: &str, deadline: Duration, mut condition: F) -> Result<T>
where
    F: FnMut() -> R,
    R: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + deadline;
    loop {
        let last = match condition().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::new(),
            Err(error) if error.is::<Hopeless>() => return Err(error),
            Err(error) => format!(": {error:#}"),
        };
        if Instant::now() >= end {
            bail!("waited {deadline:?} in vain for {what}{last}");
        }
        sleep(EVERY).await;
    }
}
