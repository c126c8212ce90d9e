//! Follows an operation to its end: a bar per wave on a terminal, plain lines elsewhere, and a line
//! for every cluster that failed. All of that is on stderr; the result is on stdout.

mod board;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use self::board::Board;
use super::{
    client::{Client, Refused, segment},
    output::{self, Format, say, table, text_at},
};

/// Asked again so long after the gateway ended the stream or did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// So often in a row without an answer; then whoever follows may try again.
const ATTEMPTS: u32 = 60;
/// What a shell answers for a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// How an operation that was begun is followed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Following")]
pub(crate) struct FollowFlags {
    /// Prints the operation's id and does not follow it.
    #[arg(long, conflicts_with = "cancel_on_interrupt")]
    detach: bool,
    /// Ctrl-C cancels the operation; by default it goes on.
    #[arg(long)]
    cancel_on_interrupt: bool,
}

/// Follows what a request has just begun, or only names it.
pub(crate) async fn begun(
    client: &Client,
    operation: &Value,
    flags: &FollowFlags,
    format: Format,
) -> Result<ExitCode> {
    let id = text_at(operation, "/id");
    if flags.detach {
        match format {
            Format::Json | Format::Yaml => output::document(operation, format)?,
            Format::Name => say(&id),
            Format::Table | Format::Wide => say(format_args!(
                "operation {id} was begun; optikon operation follow {id}"
            )),
        }
        return Ok(ExitCode::SUCCESS);
    }
    Box::pin(follow(client, &id, flags.cancel_on_interrupt, format)).await
}

/// Follows an operation to its end and shows how it ended.
pub(crate) async fn follow(
    client: &Client,
    id: &str,
    cancels: bool,
    format: Format,
) -> Result<ExitCode> {
    let path = format!("/operations/{}", segment(id));
    let mut board = Board::new(&client.get(&path, &[]).await?);
    let mut is_cancelled = false;
    let ended = loop {
        tokio::select! {
            ended = end(client, &path, &mut board) => break ended?,
            _ = tokio::signal::ctrl_c() => {
                if !cancels || is_cancelled {
                    board.close();
                    output::warn(format_args!(
                        "operation {id} goes on; follow it with: optikon operation follow {id}; end it with: optikon operation cancel {id}"
                    ));
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                is_cancelled = true;
                client.send(Method::POST, &format!("{path}/cancel"), &[], None, None).await?;
            }
        }
    };
    board.close();
    show(&ended, format)?;
    Ok(exit_code(&ended))
}

/// Shows events until the operation is over; it as it is then. May be dropped and called again.
async fn end(client: &Client, path: &str, board: &mut Board) -> Result<Value> {
    let events = format!("{path}/events");
    let mut silent = 0;
    loop {
        let after = board.last_event();
        let streamed = client
            .events(&events, after, |event| {
                board.show(&event);
                Ok(())
            })
            .await;
        // The gateway may be restarting; the operation goes on with it.
        match (client.get(path, &[]).await, streamed) {
            (Ok(operation), _) if is_over(&operation) => return Ok(operation),
            (Ok(_), _) => silent = 0,
            (Err(error), _) if error.is::<Refused>() => return Err(error),
            (Err(error), _) if silent >= ATTEMPTS => {
                return Err(error.context("the operation may still run"));
            }
            (Err(_), _) => silent += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_over(operation: &Value) -> bool {
    let state = text_at(operation, "/state");
    ["succeeded", "partial", "failed", "cancelled", "rolled-back"].contains(&state.as_str())
}

pub(super) fn targets(operation: &Value) -> &[Value] {
    operation
        .get("targets")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// 0 when every cluster is as it was wanted, 3 when some are, 1 when none is.
pub(crate) fn exit_code(operation: &Value) -> ExitCode {
    let is_good = |t: &Value| matches!(text_at(t, "/state").as_str(), "succeeded" | "unchanged");
    let good = targets(operation).iter().filter(|t| is_good(t)).count();
    match text_at(operation, "/state").as_str() {
        "succeeded" => ExitCode::SUCCESS,
        _ if good > 0 => ExitCode::from(3),
        _ => ExitCode::from(1),
    }
}

/// An operation: its state, and a row per cluster.
pub(crate) fn show(operation: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json | Format::Yaml => return output::document(&short(operation)?, format),
        Format::Name => say(text_at(operation, "/id")),
        // A swap changes no cluster.
        Format::Table | Format::Wide if targets(operation).is_empty() => {
            if operation.get("message").is_some_and(Value::is_string) {
                say(output::clean(&text_at(operation, "/message")));
            }
            say(sentence(operation));
        }
        Format::Table | Format::Wide => {
            let has_problems = targets(operation)
                .iter()
                .any(|t| t.get("reason").is_some_and(|r| !r.is_null()));
            let mut header = vec!["CLUSTER", "STATE", "REVISION", "TIME"];
            if format == Format::Wide {
                header.push("WAVE");
            }
            if has_problems {
                header.extend(["REASON", "MESSAGE"]);
            }
            let rows = targets(operation).iter().map(|t| {
                let mut row = vec![
                    text_at(t, "/cluster"),
                    text_at(t, "/state"),
                    text_at(t, "/revision"),
                    seconds(t.get("durationMs").and_then(Value::as_u64)),
                ];
                if format == Format::Wide {
                    let wave = t.get("wave").and_then(Value::as_u64).unwrap_or(0);
                    row.push((wave + 1).to_string());
                }
                if has_problems {
                    row.extend([text_at(t, "/reason"), text_at(t, "/message")]);
                }
                row
            });
            table(&header, rows.collect());
            say("");
            say(sentence(operation));
        }
    }
    Ok(())
}

fn sentence(operation: &Value) -> String {
    let (id, state) = (text_at(operation, "/id"), text_at(operation, "/state"));
    let kind = text_at(operation, "/kind");
    let plans = operation.get("plans").and_then(Value::as_u64).unwrap_or(0);
    let plans = match plans {
        0 => String::new(),
        1 => ", 1 plan".into(),
        n => format!(", {n} plans"),
    };
    let slot = operation.pointer("/request/slot").is_some();
    let what = text_at(operation, if slot { "/request/slot" } else { "/release" });
    output::clean(&format!(
        "{kind} of {what}: {state} (operation {id}{plans})"
    ))
}

pub(super) fn seconds(milliseconds: Option<u64>) -> String {
    match milliseconds {
        None => "-".into(),
        Some(ms) => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
    }
}

/// The finished operation as programs read it.
fn short(operation: &Value) -> Result<Value> {
    let rows: Vec<Value> = targets(operation)
        .iter()
        .map(|t| {
            let part = |key: &str| t.get(key).cloned().unwrap_or_default();
            json!({
                "cluster": part("cluster"), "state": part("state"), "reason": part("reason"),
                "message": part("message"), "revision": part("revision"), "durationMs": part("durationMs"),
            })
        })
        .collect();
    let id = operation.get("id").context("the operation has no id")?;
    Ok(json!({
        "id": id, "state": operation.get("state"), "targets": rows, "plans": operation.get("plans"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_all_some_or_none_succeeded() {
        let operation = |state: &str, targets: &[&str]| {
            let rows: Vec<Value> = targets.iter().map(|s| json!({ "state": s })).collect();
            exit_code(&json!({ "state": state, "targets": rows }))
        };
        let code = |n: u8| ExitCode::from(n);
        for (state, targets, wanted) in [
            ("succeeded", &["succeeded", "unchanged"][..], 0),
            ("partial", &["succeeded", "failed"], 3),
            ("cancelled", &["unchanged", "skipped"], 3),
            ("cancelled", &["skipped"], 1),
            ("rolled-back", &["rolled-back", "failed"], 1),
            ("failed", &["failed"], 1),
        ] {
            assert_eq!(
                operation(state, targets),
                code(wanted),
                "{state} {targets:?}"
            );
        }
    }

    #[test]
    fn what_programs_read_has_a_row_per_cluster() {
        let operation = json!({"id": "x", "state": "partial", "plans": 1, "kind": "install",
            "targets": [{"cluster": "a", "uid": "u", "wave": 0, "state": "succeeded", "revision": 2, "durationMs": 10}]});
        let shown = short(&operation).unwrap();
        assert_eq!(
            shown,
            json!({"id": "x", "state": "partial", "plans": 1, "targets": [{"cluster": "a", "state": "succeeded",
                "reason": null, "message": null, "revision": 2, "durationMs": 10}]})
        );
    }
}
