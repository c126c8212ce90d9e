//! Which clusters, and in which order.

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::values;
use crate::cli::{client::Client, output::text_at};

/// A change needs a selection.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clusters")]
#[group(id = "selection", required = true, multiple = true)]
pub(super) struct Chosen {
    /// These clusters, comma-separated.
    #[arg(
        long,
        visible_alias = "names",
        value_name = "NAME",
        value_delimiter = ','
    )]
    clusters: Vec<String>,
    /// Clusters with these labels, in Kubernetes' grammar, as in `env=prod,region in (a,b)`.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Every cluster.
    #[arg(long, conflicts_with_all = ["clusters", "selector"])]
    all: bool,
}

impl Chosen {
    /// The member `targets` of a request.
    pub(super) fn targets(&self) -> Value {
        json!({
            "names": self.clusters, "selector": self.selector.as_deref().unwrap_or_default(), "all": self.all,
        })
    }

    /// The same as query parameters.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        if self.all {
            query.push(("all", "true".to_owned()));
        }
        query.extend(names_and_selector(&self.clusters, self.selector.as_deref()));
        query
    }

    /// How many clusters these are now.
    pub(super) async fn count(&self, client: &Client) -> Result<usize> {
        if !self.all && self.selector.is_none() {
            return Ok(self.clusters.len());
        }
        let mut query = vec![("probe", "none".to_owned())];
        query.extend(self.selector.iter().map(|s| ("labelSelector", s.clone())));
        let list = client.get("/cluster", &query).await?;
        let items = list.get("items").and_then(Value::as_array);
        let selected: Vec<String> = items
            .into_iter()
            .flatten()
            .map(|c| text_at(c, "/metadata/name"))
            .collect();
        let more = self.clusters.iter().filter(|c| !selected.contains(c));
        Ok(selected.len() + more.count())
    }
}

/// A read without a selection is about all.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clusters")]
pub(super) struct Narrowed {
    /// Only these clusters, comma-separated. Default: all.
    #[arg(
        long,
        visible_alias = "names",
        value_name = "NAME",
        value_delimiter = ','
    )]
    clusters: Vec<String>,
    /// Only clusters with these labels, in Kubernetes' grammar.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Every cluster, which is the default.
    #[arg(long, conflicts_with_all = ["clusters", "selector"])]
    all: bool,
}

impl Narrowed {
    /// As query parameters.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        names_and_selector(&self.clusters, self.selector.as_deref())
    }
}

fn names_and_selector(names: &[String], selector: Option<&str>) -> Vec<(&'static str, String)> {
    let names = Some(names.join(",")).filter(|n| !n.is_empty());
    let selector = selector.map(|s| ("labelSelector", s.to_owned()));
    names
        .map(|n| ("clusters", n))
        .into_iter()
        .chain(selector)
        .collect()
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnFailure {
    /// No further cluster is begun.
    Stop,
    /// The others go on.
    Continue,
    /// The failed cluster goes back, the others go on.
    Rollback,
    /// Every cluster that the operation changed goes back.
    RollbackAll,
}

/// In which order, how many at once, and when to give up.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Order")]
pub(super) struct OrderFlags {
    /// A wave: a count, a percentage or a selector of labels, and what follows it: as in `1:manual`,
    /// `25%:60s`, `env=canary`. May be given again; what no wave takes comes last.
    #[arg(long = "wave", value_name = "WHICH[:PAUSE]")]
    waves: Vec<String>,
    /// Clusters changed at once. Default: 10.
    #[arg(long, value_name = "N")]
    max_parallel: Option<u32>,
    /// More failures than this end the operation: a count, or a percentage as in `25%`. Default: 0.
    #[arg(long, value_name = "N|P%")]
    max_failures: Option<String>,
    /// How long the whole operation may take, as in 90s or 1h: no further cluster is begun then.
    #[arg(long, value_name = "DURATION")]
    deadline: Option<String>,
    /// What follows a failure. Default: stop.
    #[arg(long, value_enum)]
    on_failure: Option<OnFailure>,
}

impl OrderFlags {
    /// The member `strategy` of a request.
    pub(super) fn strategy(&self) -> Result<Value> {
        let mut strategy = Map::new();
        let waves = self.waves.iter().map(|w| wave(w));
        let waves = waves.collect::<Result<Vec<_>>>()?;
        if !waves.is_empty() {
            strategy.insert("waves".into(), waves.into());
        }
        if let Some(n) = self.max_parallel {
            strategy.insert("maxParallel".into(), n.into());
        }
        if let Some(text) = &self.max_failures {
            let amount = text
                .parse::<u64>()
                .map_or_else(|_| Value::from(text.as_str()), Value::from);
            strategy.insert("maxFailures".into(), amount);
        }
        if let Some(deadline) = &self.deadline {
            strategy.insert("deadlineSeconds".into(), seconds(deadline)?.into());
        }
        if let Some(word) = self.on_failure {
            let word = match word {
                OnFailure::Stop => "stop",
                OnFailure::Continue => "continue",
                OnFailure::Rollback => "rollback",
                OnFailure::RollbackAll => "rollback-all",
            };
            strategy.insert("onFailure".into(), word.into());
        }
        Ok(Value::Object(strategy))
    }
}

fn wave(text: &str) -> Result<Value> {
    let (which, pause) = match text.split_once(':') {
        Some((which, pause)) => (which, Some(pause)),
        None => (text, None),
    };
    let mut wave = Map::new();
    let percent = which.strip_suffix('%').map(str::parse::<u64>);
    match (which.parse::<u64>(), percent) {
        (Ok(count), _) => wave.insert("count".into(), count.into()),
        (_, Some(Ok(percent))) => wave.insert("percent".into(), percent.into()),
        (_, Some(Err(_))) => bail!("--wave \"{text}\": \"{which}\" is not a percentage"),
        (Err(_), None) if which.is_empty() => bail!("--wave \"{text}\" selects nothing"),
        (Err(_), None) => wave.insert("selector".into(), which.into()),
    };
    match pause {
        None => None,
        Some("manual") => wave.insert("manual".into(), true.into()),
        Some(pause) => {
            let seconds = seconds(pause)
                .with_context(|| format!("--wave \"{text}\": the pause is manual or a duration"))?;
            wave.insert("pauseSeconds".into(), seconds.into())
        }
    };
    Ok(Value::Object(wave))
}

/// `90`, `90s`, `5m`, `1h`, and as Go writes them: `1h30m`.
pub(super) fn seconds(text: &str) -> Result<u64> {
    let bad = || format!("\"{text}\" is not a duration such as 90s, 5m or 1h30m");
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).with_context(bad)?;
        let (number, unit) = rest.split_at(end);
        let factor = match unit.chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            _ => bail!(bad()),
        };
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(factor));
        total = part.and_then(|n| total.checked_add(n)).with_context(bad)?;
        rest = unit.get(1..).unwrap_or_default();
    }
    if total == 0 {
        bail!(bad());
    }
    Ok(total)
}

/// `SELECTOR:FILE`: the member `overrides` of a request, a row each.
pub(super) fn overrides(given: &[String]) -> Result<Vec<Value>> {
    given
        .iter()
        .map(|text| {
            let (which, file) = text.split_once(':').with_context(|| {
                format!("--override \"{text}\" is not SELECTOR:FILE or NAME,NAME:FILE")
            })?;
            let values = values::file(file)?;
            let is_selector = which.contains(['=', '!', '(', ' ']);
            Ok(if is_selector {
                json!({ "selector": which, "values": values })
            } else {
                let names: Vec<&str> = which.split(',').collect();
                json!({ "names": names, "values": values })
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_counts_percentages_or_selectors_with_a_pause() {
        for (text, wanted) in [
            ("1", json!({"count": 1})),
            ("1:manual", json!({"count": 1, "manual": true})),
            ("25%:1m30s", json!({"percent": 25, "pauseSeconds": 90})),
            (
                "env in (a,b),x!=y",
                json!({"selector": "env in (a,b),x!=y"}),
            ),
        ] {
            assert_eq!(wave(text).unwrap(), wanted, "{text}");
        }
        for text in ["", ":manual", "x%", "1:soon", "1:0s", "1:5"] {
            assert_eq!(wave(text).is_err(), text != "1:5", "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(seconds("90").unwrap(), 90);
        assert_eq!(seconds("1h30m5s").unwrap(), 5_405);
        for bad in ["", "m", "5x", "0m", "1.5h", "99999999999999999999s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
