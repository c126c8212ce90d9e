//! Helm's duration functions: whatever is no duration counts as 0, but for `mustToDuration`.

use helm_template::{Error, Functions, Signature, Type, Value, round_duration, truncate_duration};

use crate::args::any;
use crate::dates::duration;
use crate::go::{print, quote};
use crate::numbers::parse_float;

/// The most whole seconds 64 bits of nanoseconds hold, either way.
const MAX_SECONDS: i64 = i64::MAX / duration::SECOND;

fn overflow(seconds: &Value) -> String {
    let shown = print(seconds).map_or_else(|error| error.to_string(), |text| text.to_string());
    format!("duration seconds overflow: {shown}")
}

fn from_seconds(seconds: i64) -> Result<i64, String> {
    if (-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) {
        Ok(seconds * duration::SECOND)
    } else {
        Err(overflow(&Value::Int64(seconds)))
    }
}

fn from_float(seconds: f64) -> Result<i64, String> {
    let value = Value::Float(seconds);
    if !seconds.is_finite() {
        let shown = print(&value).map_or_else(|error| error.to_string(), |text| text.to_string());
        return Err(format!("invalid duration seconds: {shown}"));
    }
    let limit = i64::MAX as f64 / 1e9;
    if seconds > limit || seconds < -limit {
        return Err(overflow(&value));
    }
    Ok(crate::go::float_to_int(seconds * 1e9))
}

/// Durations, Go's duration texts, and numbers or texts of numbers as seconds.
fn read(value: &Value) -> Result<i64, String> {
    if let Value::Duration(nanos) = value {
        return Ok(*nanos);
    }
    match value {
        Value::Nil => Err("invalid duration".to_owned()),
        Value::Str(text) => {
            let shown = text.to_text();
            let trimmed = shown.trim_matches(crate::go::is_space);
            if trimmed.is_empty() {
                return Err("empty duration".to_owned());
            }
            match (duration::parse(trimmed.as_bytes()), parse_float(trimmed)) {
                (Ok(nanos), _) => Ok(nanos),
                (Err(_), Some(seconds)) => from_float(seconds),
                (Err(_), None) => Err(format!(
                    "could not parse duration {}",
                    quote(text.as_bytes())
                )),
            }
        }
        Value::Float(seconds) => from_float(*seconds),
        other => match (other.as_signed(), other.as_unsigned()) {
            (Some(seconds), _) => from_seconds(seconds),
            (None, Some(seconds)) => i64::try_from(seconds)
                .map_err(|_| overflow(other))
                .and_then(from_seconds),
            (None, None) => Err(format!("unsupported duration type {}", other.type_name())),
        },
    }
}

/// Whole units and the rest of them, added up as Go does.
fn in_units(nanos: i64, unit: i64) -> f64 {
    (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64
}

pub(crate) fn register(functions: &mut Functions) {
    const HOUR: i64 = 3_600 * duration::SECOND;
    let one = Signature::fixed(&[Type::Any]);
    functions.add("mustToDuration", one, |_, args| {
        read(any(args, 0)?).map(Value::Duration).map_err(Error::new)
    });
    let floats: [(&'static str, fn(i64) -> f64); 5] = [
        ("durationSeconds", |nanos| in_units(nanos, duration::SECOND)),
        ("durationMinutes", |nanos| {
            in_units(nanos, 60 * duration::SECOND)
        }),
        ("durationHours", |nanos| in_units(nanos, HOUR)),
        ("durationDays", |nanos| in_units(nanos, HOUR) / 24.0),
        ("durationWeeks", |nanos| in_units(nanos, HOUR) / 24.0 / 7.0),
    ];
    for (name, convert) in floats {
        functions.add(name, one, move |_, args| {
            Ok(Value::Float(read(any(args, 0)?).map_or(0.0, convert)))
        });
    }
    let whole = [
        ("durationMilliseconds", 1_000_000),
        ("durationMicroseconds", 1_000),
        ("durationNanoseconds", 1),
    ];
    for (name, unit) in whole {
        functions.add(name, one, move |_, args| {
            Ok(Value::Int64(read(any(args, 0)?).unwrap_or(0) / unit))
        });
    }
    let two = Signature::fixed(&[Type::Any, Type::Any]);
    let to_multiples: [(&'static str, fn(i64, i64) -> i64); 2] = [
        ("durationRoundTo", round_duration),
        ("durationTruncateTo", truncate_duration),
    ];
    for (name, cut) in to_multiples {
        functions.add(name, two, move |_, args| {
            let Ok(nanos) = read(any(args, 0)?) else {
                return Ok(Value::Duration(0));
            };
            let cut = read(any(args, 1)?).map_or(nanos, |multiple| cut(nanos, multiple));
            Ok(Value::Duration(cut))
        });
    }
}
