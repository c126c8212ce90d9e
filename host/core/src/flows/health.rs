//! From single looks to a steady verdict: hysteresis, staleness, conditions.
//!
//! The rules come from what peers got wrong: count consecutive raw results, not how long a published
//! state lasted; the first miss shows as the last error and changes nothing; the first verdict, a
//! changed address or credential and a manual look are not damped.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::words::{Condition, Depth, Observation, Status, Verdict};

/// Ready turns false after so many misses in a row …
const MISSES_TO_FAIL: u32 = 3;
/// … and true again after so many successes.
const SUCCESSES_TO_RECOVER: u32 = 2;
/// After each of the first two misses it is looked at again this soon.
const RETRY: Duration = Duration::from_secs(2);
/// A result older than so many of the member's current periods says nothing.
const STALE_PERIODS: u32 = 4;
/// The dead are asked no less often than this.
const SLOWEST: Duration = Duration::from_secs(60);
/// Written back at least this often while nothing changes.
pub const WRITE_BACK_EVERY: Duration = Duration::from_secs(300);
/// Items kept per member and part, those that are not well first.
const MAX_KEPT: usize = 50;
/// Parts of `status` that are other at each look, and that nobody acts on.
const VOLATILE: &[&str] = &["probe", "clockSkewMs", "parts"];

/// How often the parts are looked at while a member is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// Version and health. Default 10 s.
    pub reach: Duration,
    /// Nodes. Default 60 s.
    pub nodes: Duration,
    /// Pods and workloads. Default 5 min.
    pub workloads: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            reach: Duration::from_secs(10),
            nodes: Duration::from_secs(60),
            workloads: Duration::from_secs(300),
        }
    }
}

/// What is known of one member. Kept in memory, and in the store for a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// `Ready` and `Reachable` as published.
    pub conditions: Vec<Condition>,
    /// Misses in a row.
    pub misses: u32,
    /// Successes in a row.
    pub successes: u32,
    /// The last miss: reason and message, until a success.
    pub last_error: Option<(String, String)>,
    /// Unix milliseconds of the last look.
    pub looked_ms: u64,
    /// Unix milliseconds of the last look that saw something of the member.
    pub reached_ms: u64,
    /// Unix milliseconds per part of `status`.
    pub parts_ms: Parts,
    /// `status` as last seen, with counts and at most 50 unhealthy items a part.
    pub status: Status,
    /// Uid of the member's `kube-system`: the same one twice is one cluster registered twice.
    pub identity: Option<String>,
    /// Unix milliseconds of the last write-back of conditions.
    #[serde(skip)]
    pub written_ms: u64,
    /// Unix milliseconds at which the credential ends, where it says so.
    #[serde(skip)]
    pub credential_ends_ms: Option<u64>,
}

/// When each part was last seen, in Unix milliseconds; 0 = never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parts {
    /// Version and health.
    pub reach: u64,
    /// Nodes.
    pub nodes: u64,
    /// Pods and workloads.
    pub workloads: u64,
}

impl Health {
    /// Takes in one look. `is_damped` is false for the first verdict after a change of address or
    /// credential and for a look that somebody asked for.
    pub fn observe(&mut self, seen: &Observation, depth: Depth, now_ms: u64, is_damped: bool) {
        let is_first = self.looked_ms == 0;
        self.looked_ms = now_ms;
        let is_reached = seen.is_answered();
        if seen.shows_something() {
            self.reached_ms = now_ms;
            self.keep(seen, depth, now_ms);
        } else {
            self.status.take("probe", &seen.status);
        }
        if seen.verdict == Verdict::Ready {
            self.misses = 0;
            self.successes = self.successes.saturating_add(1);
            self.last_error = None;
        } else {
            self.successes = 0;
            self.misses = self.misses.saturating_add(1);
            self.last_error = Some((seen.reason.clone(), seen.message.clone()));
        }
        let was_ready = self.condition("Ready").map(|c| c.status.clone());
        let damped = is_damped && !is_first && was_ready.as_deref().is_some_and(|s| s != "Unknown");
        let now_ready = match was_ready.as_deref() {
            Some("True") if damped => self.misses < MISSES_TO_FAIL,
            Some("False") if damped => self.successes >= SUCCESSES_TO_RECOVER,
            _ => seen.verdict == Verdict::Ready,
        };
        let (reason, message) = match (&self.last_error, now_ready) {
            (Some((reason, message)), false) => (reason.clone(), message.clone()),
            (None, false) => {
                let kept = self.condition("Ready");
                let of = |f: fn(&Condition) -> &str| kept.map(f).unwrap_or_default().to_owned();
                (of(|c| &c.reason), of(|c| &c.message))
            }
            (_, true) => ("Ready".to_owned(), String::new()),
        };
        self.set("Ready", now_ready.into(), &reason, &message, now_ms);
        let (reached, reason) = if is_reached {
            (true, "Reached")
        } else {
            (false, seen.reason.as_str())
        };
        if reached || self.misses >= MISSES_TO_FAIL || !damped {
            let message = if reached { "" } else { seen.message.as_str() };
            self.set("Reachable", reached.into(), reason, message, now_ms);
        }
        if is_reached && let Some(Value::Array(stale)) = seen.status.get("staleGroups") {
            let names: Vec<&str> = stale.iter().filter_map(Value::as_str).take(20).collect();
            let reason = if names.is_empty() {
                "Complete"
            } else {
                "PartialDiscovery"
            };
            self.set(
                "DiscoveryComplete",
                names.is_empty().into(),
                reason,
                &names.join(", "),
                now_ms,
            );
        }
    }

    fn keep(&mut self, seen: &Observation, depth: Depth, now_ms: u64) {
        if let Some(Value::String(identity)) = seen.status.get("identity") {
            self.identity = Some(identity);
        }
        self.parts_ms.reach = now_ms;
        let (no_nodes, no_workloads) = (seen.is_silent_on("nodes"), seen.is_silent_on("workloads"));
        if depth >= Depth::Nodes && seen.status.contains("nodes") && !no_nodes {
            self.parts_ms.nodes = now_ms;
        }
        if depth >= Depth::Workloads && seen.status.contains("workloads") && !no_workloads {
            self.parts_ms.workloads = now_ms;
        }
        for part in seen.status.names() {
            let value = || seen.status.get(part).unwrap_or_default();
            let kept = match part {
                "nodes" | "nodeCounts" if no_nodes => continue,
                "workloads" | "workloadCounts" if no_workloads => continue,
                part if self.status.is_same_part(part, &seen.status) => continue,
                "nodes" => worst(&value(), |n| {
                    n.get("ready")
                        .and_then(Value::as_str)
                        .is_some_and(|r| r == "True")
                        || n.get("ready").and_then(Value::as_bool) == Some(true)
                }),
                "workloads" => worst(&value(), |w| {
                    let number = |k| w.get(k).and_then(Value::as_i64).unwrap_or_default();
                    number("ready") >= number("desired")
                }),
                "identity" => continue,
                _ => {
                    self.status.take(part, &seen.status);
                    continue;
                }
            };
            self.status.put(part, &kept);
        }
    }

    /// Marks `Ready` unknown when the last look is older than 4 of its current periods. Answers
    /// whether that changed anything.
    pub fn age(&mut self, periods: &Periods, now_ms: u64) -> bool {
        let limit = self.period(periods).saturating_mul(STALE_PERIODS);
        let age = Duration::from_millis(now_ms.saturating_sub(self.looked_ms));
        let is_unknown = self
            .condition("Ready")
            .is_none_or(|c| *c.status == *"Unknown");
        if is_unknown || age <= limit {
            return false;
        }
        let message = format!("no result for {} s", age.as_secs());
        self.set("Ready", Truth::Unknown, "Stale", &message, now_ms);
        true
    }

    /// How often this member is looked at now: the well every period, those that just missed after
    /// 2 s, the dead less and less often.
    pub fn period(&self, periods: &Periods) -> Duration {
        match self.misses {
            0 => periods.reach,
            1 | 2 => RETRY.min(periods.reach),
            n => {
                let doubled = periods.reach.saturating_mul(1 << (n - 3).min(6));
                doubled.min(SLOWEST.max(periods.reach))
            }
        }
    }

    /// What the next background look has to ask for.
    pub fn due(&self, periods: &Periods, now_ms: u64) -> Depth {
        let is_due = |seen: u64, period: Duration| {
            Duration::from_millis(now_ms.saturating_sub(seen)) + RETRY > period
        };
        if self.misses > 0 {
            Depth::Reach
        } else if is_due(self.parts_ms.workloads, periods.workloads) {
            Depth::Workloads
        } else if is_due(self.parts_ms.nodes, periods.nodes) {
            Depth::Nodes
        } else {
            Depth::Reach
        }
    }

    /// One published condition.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| *c.kind == *kind)
    }

    /// Sets or removes a condition that does not come from a look (`Duplicate`…).
    pub fn mark(&mut self, kind: &str, reason_and_message: Option<(&str, &str)>, now_ms: u64) {
        match reason_and_message {
            Some((reason, message)) => self.set(kind, Truth::True, reason, message, now_ms),
            None => self.conditions.retain(|c| *c.kind != *kind),
        }
    }

    fn set(&mut self, kind: &str, status: Truth, reason: &str, message: &str, now_ms: u64) {
        let now: Arc<str> = rfc3339(now_ms).into();
        let (status, message) = (status.word(), one_line(message));
        let present = self.conditions.iter_mut().find(|c| *c.kind == *kind);
        if let Some(present) = present {
            if *present.status != *status {
                present.last_transition_time = Some(now.clone());
            }
            // What stays the same stays the same text, which earlier states share.
            let renew = |text: &mut Arc<str>, new: &str| {
                if **text != *new {
                    *text = new.into();
                }
            };
            renew(&mut present.status, status);
            renew(&mut present.reason, reason);
            renew(&mut present.message, &message);
            present.last_heartbeat_time = Some(now);
            return;
        }
        self.conditions.reserve_exact(1);
        self.conditions.push(Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            last_heartbeat_time: Some(now.clone()),
            last_transition_time: Some(now),
        });
    }

    /// Whether anything that people act on differs: times alone do not count.
    pub fn differs(&self, other: &Self) -> bool {
        // Not the messages, which would make an event of every look.
        let (own, others) = (self.conditions.iter(), other.conditions.iter());
        !own.map(Condition::state).eq(others.map(Condition::state))
            || self.last_error.as_ref().map(|e| &e.0) != other.last_error.as_ref().map(|e| &e.0)
            || !self.status.is_same_but(&other.status, VOLATILE)
    }

    /// A number that is the same, as good as certainly, for states that do not differ.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let states = self.conditions.iter().map(Condition::state);
        states.for_each(|state| state.hash(&mut hasher));
        self.last_error.as_ref().map(|e| &e.0).hash(&mut hasher);
        self.status.hash_but(VOLATILE, &mut hasher);
        hasher.finish()
    }
}

/// The three values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// At most 50, those that are not well first.
fn worst(items: &Value, is_well: impl Fn(&Value) -> bool) -> Value {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let (well, sick): (Vec<&Value>, Vec<&Value>) = items.iter().partition(|item| is_well(item));
    let kept = sick.into_iter().chain(well).take(MAX_KEPT);
    Value::Array(kept.cloned().collect())
}

/// RFC 3339 with seconds, as Kubernetes writes times.
pub fn rfc3339(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map(|t| t.to_string())
        .unwrap_or_default()
}

/// Bounded, in one line, without control characters.
pub fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 1024;
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(verdict: Verdict) -> Observation {
        let reason = if verdict == Verdict::Ready {
            ""
        } else {
            "Connect"
        };
        Observation {
            verdict,
            reason: reason.into(),
            message: "m".into(),
            status: Status::default(),
        }
    }

    fn ready(health: &Health) -> &str {
        &health.condition("Ready").unwrap().status
    }

    #[test]
    fn three_misses_make_it_false_and_two_successes_true() {
        let mut health = Health::default();
        let mut look = |v, at| {
            health.observe(&seen(v), Depth::Reach, at, true);
            ready(&health).to_owned()
        };
        assert_eq!(look(Verdict::Ready, 1), "True");
        assert_eq!(look(Verdict::Unreachable, 2), "True");
        assert_eq!(look(Verdict::Unreachable, 3), "True");
        assert_eq!(look(Verdict::Unreachable, 4), "False");
        assert_eq!(look(Verdict::Ready, 5), "False");
        assert_eq!(look(Verdict::Unreachable, 6), "False");
        assert_eq!(look(Verdict::Ready, 7), "False");
        assert_eq!(look(Verdict::Ready, 8), "True");
    }

    #[test]
    fn the_first_miss_is_published_as_the_last_error() {
        let mut health = Health::default();
        health.observe(&seen(Verdict::Ready), Depth::Reach, 1, true);
        health.observe(&seen(Verdict::Unreachable), Depth::Reach, 2, true);
        assert_eq!(ready(&health), "True");
        assert_eq!(health.last_error.as_ref().unwrap().0, "Connect");
        assert_eq!(health.period(&Periods::default()), RETRY);
    }

    #[test]
    fn the_first_verdict_and_a_manual_look_are_not_damped() {
        let mut health = Health::default();
        health.observe(&seen(Verdict::Unreachable), Depth::Reach, 1, true);
        assert_eq!(ready(&health), "False");
        health.observe(&seen(Verdict::Ready), Depth::Reach, 2, false);
        assert_eq!(ready(&health), "True");
    }

    #[test]
    fn silence_turns_unknown_and_keeps_what_was_seen() {
        let periods = Periods::default();
        let mut health = Health::default();
        health.observe(&seen(Verdict::Ready), Depth::Reach, 1_000, true);
        assert!(!health.age(&periods, 41_000));
        assert!(health.age(&periods, 41_001));
        assert_eq!(ready(&health), "Unknown");
        assert!(!health.age(&periods, 99_000));
    }

    #[test]
    fn the_dead_are_asked_less_often_down_to_once_a_minute() {
        let periods = Periods::default();
        let period = |misses| {
            Health {
                misses,
                ..Health::default()
            }
            .period(&periods)
            .as_secs()
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 100].map(period),
            [10, 2, 2, 10, 20, 40, 60, 60]
        );
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let mut health = Health::default();
        health.observe(&seen(Verdict::Ready), Depth::Reach, 1_000, true);
        health.observe(&seen(Verdict::Ready), Depth::Reach, 9_000, true);
        let ready = health.condition("Ready").unwrap();
        assert_eq!(
            ready.last_transition_time.as_deref(),
            Some("1970-01-01T00:00:01Z")
        );
        assert_eq!(
            ready.last_heartbeat_time.as_deref(),
            Some("1970-01-01T00:00:09Z")
        );
    }

    #[test]
    fn a_refused_credential_leaves_what_was_seen() {
        let mut health = Health::default();
        let mut well = seen(Verdict::Ready);
        well.status.put("workloads", &json!([{"name": "web"}]));
        health.observe(&well, Depth::Workloads, 1_000, true);
        let mut refused = seen(Verdict::NotReady);
        refused.status.put("probe", &json!({"phasesMs": {}}));
        health.observe(&refused, Depth::Workloads, 2_000, false);
        assert_eq!(ready(&health), "False");
        let reachable = health.condition("Reachable").unwrap();
        assert_eq!(reachable.state()[1], "True");
        assert_eq!(health.reached_ms, 1_000);
        let known = health.status.get("workloads");
        assert_eq!(known, Some(json!([{"name": "web"}])));
    }

    #[test]
    fn a_part_that_failed_leaves_what_was_known_of_it() {
        let mut look = seen(Verdict::Ready);
        let status = |json: Value| Status::from(json.as_object().cloned().unwrap_or_default());
        look.status = status(serde_json::json!({
            "workloads": [{"name": "well", "desired": 1, "ready": 1}, {"name": "sick", "desired": 1, "ready": 0}],
        }));
        let mut health = Health::default();
        health.observe(&look, Depth::Workloads, 1_000, true);
        look.status = status(
            serde_json::json!({"workloads": [], "parts": {"workloads": {"reason": "Unauthorized"}}}),
        );
        health.observe(&look, Depth::Workloads, 2_000, true);
        let kept = health.status.get("workloads").unwrap();
        let kept = kept.as_array().unwrap();
        let names: Vec<_> = kept.iter().map(|w| w["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["sick", "well"]);
        assert_eq!(health.parts_ms.workloads, 1_000);
    }
}
