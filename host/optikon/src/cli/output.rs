//! What people see. The only module, beside telemetry, that writes to the terminal.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets::NOTHING};
use serde_json::Value;

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// As the API gives it.
    Json,
    /// The same in YAML.
    Yaml,
    /// Names, one a line.
    Name,
}

/// `-o`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// How the answer is written.
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// A line on stdout. A reader that went away (`| head`) is no error of ours.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Bytes on stdout, as they are.
pub(crate) fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// Bytes on stderr, as they are.
pub(crate) fn raw_error(bytes: &[u8]) {
    let _ = std::io::stderr().lock().write_all(bytes);
}

/// A line on stderr.
pub(crate) fn warn(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// An error with its causes, each once.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    warn(format_args!("error: {}", clean(&text)));
}

/// Text of others, without what could steer a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// JSON or YAML.
pub(crate) fn document(value: &Value, format: Format) -> Result<()> {
    if format == Format::Yaml {
        let text = serde_saphyr::to_string(value)?;
        say(text.trim_end());
    } else {
        say(serde_json::to_string_pretty(value)?);
    }
    Ok(())
}

/// Columns, aligned, without lines; cells are cleaned.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.iter().map(|h| (*h).to_owned()));
    for row in rows {
        table.add_row(
            row.iter()
                .map(|cell| clean(cell).replace('\n', " "))
                .collect::<Vec<_>>(),
        );
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.to_string().lines() {
        say(line.trim_end());
    }
}

/// Asks on a terminal; elsewhere only `--yes` is a yes.
pub(crate) fn confirm(question: &str, is_yes: bool) -> Result<bool> {
    if is_yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("{question} Give --yes where nobody can be asked");
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A text inside a document, `-` where there is none.
pub(crate) fn text_at(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) if text.is_empty() => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
