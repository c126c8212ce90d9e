//! Figures with aims: one table for people, one file for machines, and an end that says what was missed.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::json;

use crate::folders::Folders;
use crate::say;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// For reading beside the others.
    None,
}

impl Aim {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::None => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {}", number(most)),
            Self::AtLeast(least) => format!(">= {}", number(least)),
            Self::None => String::new(),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what; a ratio has no unit.
    pub unit: &'static str,
    /// What it should be.
    pub aim: Aim,
}

impl Row {
    /// A figure that should be something.
    #[must_use]
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, aim: Aim) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            aim,
        }
    }

    /// A figure without an aim.
    #[must_use]
    pub fn plain(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self::new(what, value, unit, Aim::None)
    }

    fn holds(&self) -> bool {
        self.aim.holds(self.value)
    }
}

/// Three figures that count are enough to read.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn table(rows: &[Row]) -> String {
    let wide = rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|row| {
        let verdict = match (row.aim, row.holds()) {
            (Aim::None, _) => "",
            (_, true) => "  holds",
            (_, false) => "  MISSED",
        };
        format!(
            "{:<wide$}  {:>9} {:<6} {:<9}{verdict}",
            row.what,
            number(row.value),
            row.unit,
            row.aim.text(),
        )
        .trim_end()
        .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Prints the rows, writes them to `target/bench/<name>.json`, and fails when one misses its aim.
///
/// # Errors
/// When a row misses its aim, by its name, or the file cannot be written.
pub fn report(folders: &Folders, name: &str, rows: &[Row]) -> Result<()> {
    println!("{}", table(rows));
    let written: Vec<_> = rows
        .iter()
        .map(|row| json!({"row": row, "holds": row.holds()}))
        .collect();
    record(folders, name, &json!({ "rows": written }))?;
    let missed: Vec<&str> = rows
        .iter()
        .filter(|row| !row.holds())
        .map(|row| row.what.as_str())
        .collect();
    if !missed.is_empty() {
        bail!("missed its aim: {}", missed.join("; "));
    }
    Ok(())
}

fn record(folders: &Folders, name: &str, figures: &serde_json::Value) -> Result<()> {
    let folder = folders.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let file = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(figures).context("write the figures as JSON")?;
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    say(file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_aim_is_said_in_the_table() {
        let rows = [
            Row::new("cached", 0.95, "", Aim::AtLeast(0.9)),
            Row::new("memory, idle", 81.0, "MiB", Aim::AtMost(80.0)),
            Row::plain("requests", 12_345.6, "/s"),
        ];
        assert_eq!(
            table(&rows),
            "cached             0.95        >= 0.90    holds\n\
             memory, idle         81 MiB    <= 80      MISSED\n\
             requests          12346 /s"
        );
    }
}
