//! Query parameters, each checked by name; unknown ones are refused, so that a typo is not silence.

use std::{collections::BTreeMap, time::Duration};

use optikon_core::{
    Error, FieldError,
    flows::clusters::{Source, WriteOptions},
};

use crate::problem::Problem;

/// Parameters of one request.
#[derive(Debug)]
pub(crate) struct Parameters {
    given: BTreeMap<String, String>,
    problems: Vec<FieldError>,
}

/// A live look may take so long.
const DEADLINE: Duration = Duration::from_secs(8);

impl Parameters {
    /// Reads the query; a parameter given twice counts once, the last one wins.
    pub(crate) fn read(query: Option<&str>) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = match query {
            None => Vec::new(),
            Some(text) => {
                axum::extract::Query::try_from_uri(
                    &format!("/?{text}")
                        .parse()
                        .map_err(|_| Error::Malformed("the query is malformed".into()))?,
                )
                .map_err(|_| Error::Malformed("the query is malformed".into()))?
                .0
            }
        };
        Ok(Self {
            given: pairs.into_iter().collect(),
            problems: Vec::new(),
        })
    }

    /// Takes one parameter out; empty counts as absent.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.given.remove(name).filter(|v| !v.is_empty())
    }

    /// `true`, `1` or nothing behind the name.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        match self.given.remove(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1" | "") => true,
            Some(_) => {
                self.problem(name, "must be true or false");
                false
            }
        }
    }

    /// A number within bounds.
    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(n) if (least..=most).contains(&n) => Some(n),
            _ => {
                self.problem(name, format!("must be a number from {least} to {most}"));
                None
            }
        }
    }

    /// `deadline`: seconds, with or without `s`, 1 to 30; default 8.
    pub(crate) fn deadline(&mut self) -> Duration {
        let Some(text) = self.text("deadline") else {
            return DEADLINE;
        };
        let seconds = text.strip_suffix('s').unwrap_or(&text).parse::<f64>();
        match seconds {
            Ok(s) if (1.0..=30.0).contains(&s) => Duration::from_secs_f64(s),
            _ => {
                self.problem("deadline", "must be 1 to 30 seconds, as in 8s");
                DEADLINE
            }
        }
    }

    /// `probe` and `deadline`.
    pub(crate) fn source(&mut self, default: &str) -> Source {
        let deadline = self.deadline();
        match self.text("probe").as_deref().unwrap_or(default) {
            "live" => Source::Live(deadline),
            "cached" => Source::Cached,
            "none" => Source::None,
            _ => {
                self.problem("probe", "must be live, cached or none");
                Source::None
            }
        }
    }

    /// `dryRun` and `fieldValidation`.
    pub(crate) fn write_options(&mut self, if_match: Option<String>) -> WriteOptions {
        let is_dry_run = match self.text("dryRun").as_deref() {
            None => false,
            Some("All") => true,
            Some(_) => {
                self.problem("dryRun", "must be All");
                false
            }
        };
        let uid = self.text("uid");
        WriteOptions {
            is_dry_run,
            if_match,
            uid,
            drops_unknown: false,
        }
    }

    pub(crate) fn problem(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(FieldError::new(name, message));
    }

    /// Fails on everything that was wrong, and on parameters nobody asked for.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        // kubectl and its libraries send these; they change nothing here.
        for harmless in [
            "fieldManager",
            "fieldValidation",
            "pretty",
            "timeout",
            "propagationPolicy",
        ] {
            self.given.remove(harmless);
        }
        for name in self.given.keys() {
            let shown: String = name.escape_debug().take(64).collect();
            self.problems
                .push(FieldError::new(shown, "unknown query parameter"));
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(self.problems).into())
        }
    }
}
