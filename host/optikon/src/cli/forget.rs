//! `delete` and `remove`, whatever the noun: one after the other, each with its own outcome.

use std::process::ExitCode;

use anyhow::Result;
use reqwest::Method;

use super::{
    client::{Client, segment},
    import,
    output::{self, confirm, say},
};

/// What can be taken away from the gateway, and how that is said.
#[derive(Debug)]
pub(crate) struct Noun {
    /// `cluster`.
    pub(crate) one: &'static str,
    /// `clusters`.
    pub(crate) many: &'static str,
    /// `/cluster`, to which the name is added.
    pub(crate) path: &'static str,
    /// `Forget`.
    pub(crate) verb: &'static str,
    /// `forgotten`.
    pub(crate) done: &'static str,
}

impl Noun {
    /// Asks when there are several, and says what became of each.
    pub(crate) async fn delete(
        &self,
        client: &Client,
        names: &[String],
        is_yes: bool,
    ) -> Result<ExitCode> {
        let Self {
            one,
            many,
            path,
            verb,
            done,
        } = self;
        if names.len() > 1 && !confirm(&format!("{verb} {} {many}?", names.len()), is_yes)? {
            say("nothing was changed");
            return Ok(ExitCode::from(1));
        }
        let mut failed = 0;
        for name in names {
            let path = format!("{path}/{}", segment(name));
            match client.send(Method::DELETE, &path, &[], None, None).await {
                Ok(_) => say(format_args!("{one} {name} {done}")),
                Err(error) => {
                    failed += 1;
                    output::complain(&error);
                }
            }
        }
        Ok(import::exit_code(names.len(), failed))
    }
}
