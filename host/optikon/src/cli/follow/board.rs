//! What is seen while an operation runs.

use std::{collections::BTreeMap, io::IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::targets;
use crate::cli::output::{self, text_at};

/// States of one operation's clusters, by events.
#[derive(Debug)]
pub(super) struct Board {
    id: String,
    last_event: u64,
    rows: BTreeMap<String, Row>,
    waves: Vec<Wave>,
    /// Absent where nobody looks.
    bars: Option<MultiProgress>,
}

#[derive(Debug)]
struct Row {
    wave: usize,
    state: String,
}

#[derive(Debug)]
struct Wave {
    total: usize,
    bar: Option<ProgressBar>,
}

impl Board {
    /// An operation's clusters; what happened to them so far comes again as events.
    pub(super) fn new(operation: &Value) -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self::on(operation, bars)
    }

    fn on(operation: &Value, bars: Option<MultiProgress>) -> Self {
        let mut board = Self {
            id: text_at(operation, "/id"),
            last_event: 0,
            rows: BTreeMap::new(),
            waves: Vec::new(),
            bars,
        };
        let mut totals: BTreeMap<usize, usize> = BTreeMap::new();
        for target in targets(operation) {
            let wave = target.get("wave").and_then(Value::as_u64).unwrap_or(0);
            let wave = usize::try_from(wave).unwrap_or(0);
            *totals.entry(wave).or_default() += 1;
            let row = Row {
                wave,
                state: "pending".into(),
            };
            board.rows.insert(text_at(target, "/cluster"), row);
        }
        let last = totals.keys().next_back().map_or(0, |w| w + 1);
        for wave in 0..last {
            let total = totals.get(&wave).copied().unwrap_or(0);
            let bar = board.bars.as_ref().filter(|_| total > 0).map(|all| {
                let bar = all.add(ProgressBar::new(total as u64));
                bar.set_style(style());
                bar.set_prefix(if last > 1 {
                    format!("wave {} of {last}", wave + 1)
                } else {
                    text_at(operation, "/kind")
                });
                bar.tick();
                bar
            });
            board.waves.push(Wave { total, bar });
        }
        // What failed before it was begun has no event.
        for target in targets(operation) {
            if target.get("startedMs").is_none() && text_at(target, "/state") == "failed" {
                board.target(target);
            }
        }
        board
    }

    /// The number of the last event that was shown.
    pub(super) fn last_event(&self) -> u64 {
        self.last_event
    }

    /// One more event.
    pub(super) fn show(&mut self, event: &Value) {
        if let Some(number) = event.get("number").and_then(Value::as_u64) {
            self.last_event = number;
        }
        match text_at(event, "/type").as_str() {
            "target" => self.target(event),
            "progress" => self.progress(event),
            "operation" => self.operation(event),
            _ => {}
        }
    }

    fn target(&mut self, event: &Value) {
        let (cluster, state) = (text_at(event, "/cluster"), text_at(event, "/state"));
        let Some(row) = self.rows.get_mut(&cluster) else {
            return;
        };
        if row.state == state {
            return;
        }
        row.state.clone_from(&state);
        let wave = row.wave;
        let is_bad = matches!(state.as_str(), "failed" | "unknown" | "rolled-back");
        let has_ended = !matches!(state.as_str(), "pending" | "running");
        if is_bad || self.bars.is_none() && has_ended {
            self.line(&line(event, &cluster, &state));
        }
        self.count(wave);
    }

    fn progress(&self, event: &Value) {
        let cluster = text_at(event, "/cluster");
        let bar = self.rows.get(&cluster).and_then(|row| self.bar(row.wave));
        let Some(bar) = bar else { return };
        let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or(0);
        let phase = text_at(event, "/phase");
        let step = match (number("done"), number("total")) {
            (_, 0) => String::new(),
            (done, total) => format!(" {done}/{total}"),
        };
        bar.set_message(output::clean(&format!("{cluster}: {phase}{step}")));
    }

    fn operation(&mut self, event: &Value) {
        match text_at(event, "/state").as_str() {
            "paused" => {
                let (id, wave) = (&self.id, event.get("wave").and_then(Value::as_u64));
                let wave =
                    wave.map_or_else(String::new, |wave| format!(" after wave {}", wave + 1));
                self.line(&format!(
                    "paused{wave}; optikon operation resume {id} goes on, optikon operation cancel {id} ends it"
                ));
            }
            "cancelling" => self.line("cancelling: clusters that were begun are finished"),
            _ => {}
        }
    }

    fn bar(&self, wave: usize) -> Option<&ProgressBar> {
        self.waves.get(wave).and_then(|w| w.bar.as_ref())
    }

    fn count(&self, wave: usize) {
        let Some(bar) = self.bar(wave) else { return };
        let of_wave = || self.rows.values().filter(|r| r.wave == wave);
        let ended = of_wave().filter(|r| !matches!(r.state.as_str(), "pending" | "running"));
        let ended = ended.count();
        let failed = of_wave().filter(|r| matches!(r.state.as_str(), "failed" | "unknown"));
        let failed = failed.count();
        bar.set_position(ended as u64);
        let is_whole = self.waves.get(wave).is_some_and(|w| w.total == ended);
        match (failed, is_whole) {
            (0, true) => bar.abandon_with_message(""),
            (0, false) => {}
            (n, true) => bar.abandon_with_message(format!("{n} failed")),
            (n, false) => bar.set_message(format!("{n} failed")),
        }
    }

    fn line(&self, text: &str) {
        let text = output::clean(text);
        match &self.bars {
            Some(all) => all.suspend(|| output::warn(&text)),
            None => output::warn(&text),
        }
    }

    /// Leaves the bars as they are, for what is written next.
    pub(super) fn close(&self) {
        for bar in self.waves.iter().filter_map(|w| w.bar.as_ref()) {
            if !bar.is_finished() {
                bar.abandon();
            }
        }
    }
}

fn line(event: &Value, cluster: &str, state: &str) -> String {
    let mut text = format!("{cluster}: {state}");
    let revision = text_at(event, "/revision");
    if revision != "-" {
        text.push_str(&format!(", revision {revision}"));
    }
    let (reason, message) = (text_at(event, "/reason"), text_at(event, "/message"));
    if reason != "-" {
        text.push_str(&format!(": {reason}"));
    }
    if message != "-" {
        text.push_str(&format!(": {message}"));
    }
    text
}

fn style() -> ProgressStyle {
    // A template that cannot be read is a mistake of ours, and bars without style still count.
    ProgressStyle::with_template("{prefix:<14} [{bar:30}] {pos}/{len} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_reason() {
        let event = json!({"cluster": "a", "state": "failed", "reason": "Unreachable", "message": "connection refused"});
        assert_eq!(
            line(&event, "a", "failed"),
            "a: failed: Unreachable: connection refused"
        );
        let event = json!({"cluster": "a", "state": "succeeded", "revision": 3});
        assert_eq!(line(&event, "a", "succeeded"), "a: succeeded, revision 3");
    }

    #[test]
    fn events_that_come_again_count_once() {
        let operation = json!({"id": "x", "kind": "install", "targets": [
            {"cluster": "a", "wave": 0, "state": "succeeded", "startedMs": 1}, {"cluster": "b", "wave": 1, "state": "pending"}]});
        let mut board = Board::new(&operation);
        assert_eq!(board.waves.len(), 2);
        for number in [1, 1, 2] {
            board.show(
                &json!({"number": number, "type": "target", "cluster": "a", "state": "succeeded"}),
            );
        }
        assert_eq!(board.last_event(), 2);
        assert_eq!(board.rows["a"].state, "succeeded");
        assert_eq!(board.rows["b"].state, "pending");
    }

    #[test]
    fn on_a_terminal_each_wave_has_a_bar_and_elsewhere_none_has() {
        let operation = json!({"id": "x", "kind": "install", "targets": [
            {"cluster": "a", "wave": 0, "state": "pending"}, {"cluster": "b", "wave": 0, "state": "pending"},
            {"cluster": "c", "wave": 2, "state": "pending"}]});
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut board = Board::on(&operation, Some(hidden));
        let bars = |board: &Board| -> Vec<(String, u64, u64)> {
            let bars = board.waves.iter().filter_map(|wave| wave.bar.as_ref());
            bars.map(|bar| (bar.prefix(), bar.position(), bar.length().unwrap()))
                .collect()
        };
        let wave = |number: usize, done, total| (format!("wave {number} of 3"), done, total);
        // Nobody is in the second wave.
        assert_eq!(bars(&board), [wave(1, 0, 2), wave(3, 0, 1)]);
        for (cluster, state) in [("a", "running"), ("a", "succeeded"), ("c", "failed")] {
            board.show(&json!({"type": "target", "cluster": cluster, "state": state}));
        }
        assert_eq!(bars(&board), [wave(1, 1, 2), wave(3, 1, 1)]);
        let bar = board.bar(2).unwrap();
        assert!(bar.is_finished());
        assert_eq!(bar.message(), "1 failed");
        assert_eq!(bars(&Board::on(&operation, None)), []);
    }
}
