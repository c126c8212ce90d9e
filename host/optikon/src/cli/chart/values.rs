//! `-f` and the `--set` family, in Helm's order, on this machine.

use std::{fs, io::Read};

use anyhow::{Result, anyhow};
use clap::Args;
use helm_chart::ValueSources;
use serde_json::{Map, Number, Value};

/// A values file with more is none.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Where values come from; the last source wins.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Values")]
pub(super) struct ValueFlags {
    /// A values file, `-` for standard input; may be given again or hold commas, the last wins.
    #[arg(long, short = 'f', value_name = "FILE", value_delimiter = ',')]
    pub(super) values: Vec<String>,
    /// A value: key=value, comma-separated.
    #[arg(long, value_name = "K=V", allow_hyphen_values = true)]
    pub(super) set: Vec<String>,
    /// A value that is always a text.
    #[arg(long, value_name = "K=V", allow_hyphen_values = true)]
    set_string: Vec<String>,
    /// A value in JSON.
    #[arg(long, value_name = "K=JSON", allow_hyphen_values = true)]
    set_json: Vec<String>,
    /// A value from a file.
    #[arg(long, value_name = "K=FILE", allow_hyphen_values = true)]
    set_file: Vec<String>,
    /// A value that is taken as it stands.
    #[arg(long, value_name = "K=TEXT", allow_hyphen_values = true)]
    set_literal: Vec<String>,
}

impl ValueFlags {
    /// The sources, with their files read.
    pub(super) fn sources(self) -> Result<ValueSources> {
        let mut files = Vec::new();
        for name in self.values {
            let text = read_file(&name).map_err(|error| anyhow!(error))?;
            files.push((name, text));
        }
        Ok(ValueSources {
            files,
            set: self.set,
            set_string: self.set_string,
            set_json: self.set_json,
            set_file: self.set_file,
            set_literal: self.set_literal,
        })
    }

    /// Everything merged, as it is sent.
    pub(super) fn merged(self) -> Result<Map<String, Value>> {
        let values = self.sources()?.merge(&mut read_file);
        Ok(plain_map(values.map_err(|error| anyhow!("{error}"))?))
    }
}

/// One values file, as it is sent.
pub(super) fn file(name: &str) -> Result<Map<String, Value>> {
    let flags = ValueFlags {
        values: vec![name.to_owned()],
        ..ValueFlags::default()
    };
    flags.merged()
}

/// A file that a flag names, or why it cannot be read, in Go's words; nothing is fetched.
pub(super) fn read_file(name: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = if name.trim() == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut text)
    } else {
        if ["http://", "https://", "oci://"]
            .iter()
            .any(|scheme| name.starts_with(scheme))
        {
            return Err(format!(
                "{name} is not fetched: download it and give the file"
            ));
        }
        fs::File::open(name).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text))
    };
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("open {name}: no such file or directory"))
        }
        Err(error) => Err(format!("read {name}: {error}")),
        Ok(_) if text.len() as u64 > MAX_FILE_BYTES => {
            Err(format!("{name} has more than {} MiB", MAX_FILE_BYTES >> 20))
        }
        Ok(_) => Ok(text),
    }
}

fn plain_map(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().map(|(k, v)| (k, plain(v))).collect()
}

/// A values file makes every number a float, as Go does; on the wire a whole one has no point, as
/// Go writes it.
fn plain(value: Value) -> Value {
    /// Beyond it a float no longer holds every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < EXACT);
            // Whole and within bounds, so nothing is lost.
            let number = whole.map_or(number, |n| Number::from(n as i64));
            Value::Number(number)
        }
        Value::Array(list) => list.into_iter().map(plain).collect(),
        Value::Object(map) => Value::Object(plain_map(map)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_sent_without_a_point() {
        let flags = ValueFlags {
            set: vec!["a=3,b.c=x".into()],
            set_json: vec!["d=[1, 2.5, 1e30]".into()],
            ..ValueFlags::default()
        };
        let sent = Value::Object(flags.merged().unwrap());
        assert_eq!(
            sent.to_string(),
            json!({"a": 3, "b": {"c": "x"}, "d": [1, 2.5, 1e30]}).to_string()
        );
    }
}
