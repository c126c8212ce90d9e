//! Commands that only look: one table over all clusters, and a line for each that did not answer.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::select::Narrowed;
use crate::cli::{
    client::{Client, segment},
    output::{self, Format, say, table, text_at},
};

/// `optikon chart list`.
#[derive(Debug, Args)]
pub(super) struct ListFlags {
    #[command(flatten)]
    narrowed: Narrowed,
    /// Only this namespace. Default: all.
    #[arg(long, short = 'n')]
    namespace: Option<String>,
    /// Only releases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What of a release is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Its state.
    #[default]
    Release,
    /// The manifest as Helm stores it.
    Manifest,
    /// The user's values.
    Values,
    /// The notes.
    Notes,
}

/// `optikon chart get`.
#[derive(Debug, Args)]
pub(super) struct GetFlags {
    /// The release's name.
    release: String,
    /// What of it.
    #[arg(value_enum, default_value_t)]
    part: Part,
    #[command(flatten)]
    narrowed: Narrowed,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
    /// An older revision. Default: the newest.
    #[arg(long, value_name = "N")]
    revision: Option<u32>,
}

/// `optikon chart history`.
#[derive(Debug, Args)]
pub(super) struct HistoryFlags {
    /// The release's name.
    release: String,
    #[command(flatten)]
    narrowed: Narrowed,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
}

/// `optikon chart drift`.
#[derive(Debug, Args)]
pub(super) struct DriftFlags {
    /// The release's name.
    release: String,
    #[command(flatten)]
    narrowed: Narrowed,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
}

/// `optikon chart list`.
pub(super) async fn list(client: &Client, flags: &ListFlags, format: Format) -> Result<ExitCode> {
    let mut query = flags.narrowed.query();
    query.extend(flags.namespace.iter().map(|n| ("namespace", n.clone())));
    query.extend(flags.filter.iter().map(|f| ("filter", f.clone())));
    let answer = client.get("/charts", &query).await?;
    let is_shown = match format {
        Format::Json | Format::Yaml => false,
        Format::Name => {
            for item in items(&answer) {
                say(format_args!(
                    "{} {}/{}",
                    text_at(item, "/cluster"),
                    text_at(item, "/namespace"),
                    text_at(item, "/name")
                ));
            }
            true
        }
        Format::Table | Format::Wide => {
            if items(&answer).is_empty() {
                say("no releases");
            } else {
                releases(items(&answer), format);
            }
            true
        }
    };
    ended(&answer, format, is_shown, "")
}

fn releases(items: &[Value], format: Format) {
    let mut header = vec![
        "NAME",
        "NAMESPACE",
        "CLUSTER",
        "REVISION",
        "STATUS",
        "CHART",
        "APP",
        "UPDATED",
    ];
    if format == Format::Wide {
        header.extend(["OPERATION", "DESCRIPTION"]);
    }
    let mut rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let mut row = vec![
                text_at(item, "/name"),
                text_at(item, "/namespace"),
                text_at(item, "/cluster"),
                text_at(item, "/revision"),
                text_at(item, "/status"),
                text_at(item, "/chart"),
                text_at(item, "/appVersion"),
                time(item),
            ];
            if format == Format::Wide {
                row.extend([text_at(item, "/operation"), text_at(item, "/description")]);
            }
            row
        })
        .collect();
    // A release stands together, over its clusters.
    rows.sort();
    table(&header, rows);
}

/// To the second; Helm stores nanoseconds.
fn time(item: &Value) -> String {
    let text = text_at(item, "/updated");
    let Some((seconds, rest)) = text.split_once('.') else {
        return text;
    };
    let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{seconds}{zone}")
}

/// `optikon chart get`.
pub(super) async fn get(client: &Client, flags: &GetFlags, format: Format) -> Result<ExitCode> {
    let mut query = flags.narrowed.query();
    query.push(("namespace", flags.namespace.clone()));
    query.extend(flags.revision.map(|r| ("revision", r.to_string())));
    let part = match flags.part {
        Part::Release => "",
        Part::Manifest => "/manifest",
        Part::Values => "/values",
        Part::Notes => "/notes",
    };
    let path = format!("/charts/{}{part}", segment(&flags.release));
    let answer = client.get(&path, &query).await?;
    let is_shown = match (format, flags.part) {
        (Format::Json | Format::Yaml, _) => false,
        (_, Part::Release) => {
            if !items(&answer).is_empty() {
                releases(items(&answer), format);
            }
            true
        }
        (_, part) => {
            let several = items(&answer).len() > 1;
            for item in items(&answer) {
                if several {
                    say(format_args!("# cluster: {}", text_at(item, "/cluster")));
                }
                show_part(item, part)?;
            }
            true
        }
    };
    ended(&answer, format, is_shown, &flags.release)
}

fn show_part(item: &Value, part: Part) -> Result<()> {
    let key = match part {
        Part::Values => {
            let values = item.get("values").cloned().unwrap_or_default();
            return output::document(&values, Format::Yaml);
        }
        Part::Notes => "notes",
        Part::Manifest | Part::Release => "manifest",
    };
    let text = item.get(key).and_then(Value::as_str).unwrap_or_default();
    for line in text.trim_end().lines() {
        say(output::clean(line));
    }
    Ok(())
}

/// `optikon chart history`.
pub(super) async fn history(
    client: &Client,
    flags: &HistoryFlags,
    format: Format,
) -> Result<ExitCode> {
    let mut query = flags.narrowed.query();
    query.push(("namespace", flags.namespace.clone()));
    let path = format!("/charts/{}/history", segment(&flags.release));
    let answer = client.get(&path, &query).await?;
    let is_shown = !matches!(format, Format::Json | Format::Yaml);
    if is_shown && !items(&answer).is_empty() {
        let mut rows = Vec::new();
        for item in items(&answer) {
            for revision in list_at(item, "revisions") {
                rows.push(vec![
                    text_at(item, "/cluster"),
                    text_at(revision, "/revision"),
                    text_at(revision, "/status"),
                    text_at(revision, "/chart"),
                    text_at(revision, "/appVersion"),
                    time(revision),
                    text_at(revision, "/description"),
                ]);
            }
        }
        let header = [
            "CLUSTER",
            "REVISION",
            "STATUS",
            "CHART",
            "APP",
            "UPDATED",
            "DESCRIPTION",
        ];
        table(&header, rows);
    }
    ended(&answer, format, is_shown, &flags.release)
}

/// `optikon chart drift`.
pub(super) async fn drift(client: &Client, flags: &DriftFlags, format: Format) -> Result<ExitCode> {
    let mut query = flags.narrowed.query();
    query.push(("namespace", flags.namespace.clone()));
    let path = format!("/charts/{}/drift", segment(&flags.release));
    let answer = client.get(&path, &query).await?;
    let is_shown = !matches!(format, Format::Json | Format::Yaml);
    if is_shown {
        objects(&answer, "nothing differs");
    }
    ended(&answer, format, is_shown, &flags.release)
}

/// What a dry run answers: rendered manifests, or the objects that would change, per cluster.
pub(super) fn changes(answer: &Value, format: Format) -> Result<ExitCode> {
    let is_shown = !matches!(format, Format::Json | Format::Yaml);
    if is_shown {
        let rendered = items(answer)
            .iter()
            .filter(|i| i.get("manifest").is_some_and(Value::is_string));
        let mut is_rendered = false;
        for item in rendered {
            is_rendered = true;
            say(format_args!("# cluster: {}", text_at(item, "/cluster")));
            show_part(item, Part::Manifest)?;
        }
        if !is_rendered {
            objects(answer, "nothing would change");
        }
    }
    ended(answer, format, is_shown, "")
}

fn objects(answer: &Value, nothing: &str) {
    let mut rows = Vec::new();
    for item in items(answer) {
        for object in list_at(item, "objects") {
            let what = text_at(object, "/what");
            if what == "unchanged" {
                continue;
            }
            rows.push((
                vec![
                    text_at(item, "/cluster"),
                    what,
                    text_at(object, "/kind"),
                    text_at(object, "/namespace"),
                    text_at(object, "/name"),
                ],
                fields(object),
            ));
        }
    }
    if rows.is_empty() {
        if !items(answer).is_empty() {
            say(nothing);
        }
        return;
    }
    let header = ["CLUSTER", "WHAT", "KIND", "NAMESPACE", "NAME", "FIELDS"];
    let rows = rows.into_iter().map(|(mut row, fields)| {
        row.push(fields);
        row
    });
    table(&header, rows.collect());
}

/// The paths that differ, where an object changes.
fn fields(object: &Value) -> String {
    let patch = match object.get("patch") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    let paths: Vec<String> = match &patch {
        Value::Array(list) => list.iter().map(|p| text_at(p, "/path")).collect(),
        Value::Object(map) => map.keys().cloned().collect(),
        _ => Vec::new(),
    };
    if paths.is_empty() {
        "-".into()
    } else {
        paths.join(" ")
    }
}

fn list_at<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn items(answer: &Value) -> &[Value] {
    list_at(answer, "items")
}

/// Names the clusters that did not answer; 3 when others did, 1 when none did. That a release is not
/// on every cluster is no failure, unless it is on none.
fn ended(answer: &Value, format: Format, is_shown: bool, release: &str) -> Result<ExitCode> {
    if !is_shown {
        output::document(answer, format)?;
    }
    let (mut absent, mut failed) = (Vec::new(), 0);
    for error in list_at(answer, "errors") {
        let (cluster, reason) = (text_at(error, "/cluster"), text_at(error, "/reason"));
        if reason == "NotFound" && !release.is_empty() {
            absent.push(cluster);
            continue;
        }
        failed += 1;
        output::warn(output::clean(&format!(
            "{cluster} did not answer: {reason}: {}",
            text_at(error, "/message")
        )));
    }
    if !absent.is_empty() && is_shown {
        output::warn(output::clean(&format!(
            "release \"{release}\" is not on {}",
            absent.join(", ")
        )));
    }
    let has_items = !items(answer).is_empty();
    Ok(match failed {
        0 if !absent.is_empty() && !has_items => ExitCode::from(1),
        0 => ExitCode::SUCCESS,
        _ if has_items || !absent.is_empty() => ExitCode::from(3),
        _ => ExitCode::from(1),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clusters_that_did_not_answer_make_the_exit_code() {
        let error = |reason: &str| json!({"cluster": "b", "reason": reason, "message": "m"});
        let code = |items: &[Value], errors: &[Value]| {
            let answer = json!({ "items": items, "errors": errors });
            ended(&answer, Format::Table, true, "web").unwrap()
        };
        let item = [json!({"cluster": "a"})];
        for (items, errors, wanted) in [
            (&item[..], vec![], 0),
            (&item, vec![error("NotFound")], 0),
            (&item, vec![error("Timeout")], 3),
            (&[], vec![error("Timeout")], 1),
            (&[], vec![error("NotFound")], 1),
            (&[], vec![error("NotFound"), error("Timeout")], 3),
            (&[], vec![], 0),
        ] {
            assert_eq!(code(items, &errors), ExitCode::from(wanted), "{errors:?}");
        }
    }

    #[test]
    fn times_are_shown_to_the_second() {
        let shown = |text: &str| time(&json!({ "updated": text }));
        assert_eq!(
            shown("2026-11-27T01:02:03.123456789Z"),
            "2026-11-27T01:02:03Z"
        );
        assert_eq!(
            shown("2026-11-27T01:02:03.5+01:00"),
            "2026-11-27T01:02:03+01:00"
        );
        assert_eq!(shown("2026-11-27T01:02:03Z"), "2026-11-27T01:02:03Z");
    }
}
