//! `time.Duration`: its text and its methods.

use crate::error::Error;
use crate::function::{Context, Signature, Type};
use crate::value::{Method, Value};

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000 * MICROSECOND;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Go's `Duration.String`: `1h2m3.5s`, `1.5ms`, `0s`.
#[must_use]
pub fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.unsigned_abs();
    let fraction = |size: u64, unit: u64, digits: usize| {
        let (whole, part) = (size / unit, size % unit);
        if part == 0 {
            return whole.to_string();
        }
        let part = format!("{part:0digits$}");
        format!("{whole}.{}", part.trim_end_matches('0'))
    };
    let text = match size {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(size, 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(size, 1_000_000, 6)),
        _ => {
            let minute = 60_000_000_000;
            let seconds = fraction(size % minute, 1_000_000_000, 9);
            match size / minute {
                0 => format!("{seconds}s"),
                minutes @ 1..60 => format!("{minutes}m{seconds}s"),
                minutes => format!("{}h{}m{seconds}s", minutes / 60, minutes % 60),
            }
        }
    };
    format!("{sign}{text}")
}

/// Go's `Duration.Truncate`.
#[must_use]
pub fn truncate_duration(duration: i64, unit: i64) -> i64 {
    if unit <= 0 {
        duration
    } else {
        duration - duration % unit
    }
}

/// Go's `Duration.Round`: to the nearest multiple, halves away from zero, overflow to the extremes.
#[must_use]
pub fn round_duration(duration: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return duration;
    }
    let rest = duration % unit;
    let below_half = rest.unsigned_abs() * 2 < unit.unsigned_abs();
    if below_half {
        return duration - rest;
    }
    let away = if duration < 0 { -unit } else { unit };
    (duration - rest)
        .checked_add(away)
        .unwrap_or(if duration < 0 { i64::MIN } else { i64::MAX })
}

fn nanoseconds(value: &Value) -> i64 {
    value.as_signed().unwrap_or(0)
}

/// Whole units and the rest as Go adds them up: exact for whole units.
#[allow(clippy::cast_precision_loss, reason = "Go rounds the same way")]
fn in_units(value: &Value, unit: i64) -> Result<Value, Error> {
    let duration = nanoseconds(value);
    Ok(Value::Float(
        (duration / unit) as f64 + (duration % unit) as f64 / unit as f64,
    ))
}

fn by(args: &[Value]) -> i64 {
    args.first().map_or(0, nanoseconds)
}

const NONE: Signature = Signature::fixed(&[]);
const ONE: Signature = Signature::fixed(&[Type::Named("time.Duration")]);

type Call = fn(&mut dyn Context, &Value, &[Value]) -> Result<Value, Error>;

const fn method(name: &'static str, signature: Signature, call: Call) -> Method {
    Method {
        name,
        signature,
        call,
    }
}

/// The exported methods of `time.Duration`.
pub(crate) static METHODS: &[Method] = &[
    method("String", NONE, |_, value, _| {
        Ok(format_duration(nanoseconds(value)).into())
    }),
    method("Nanoseconds", NONE, |_, value, _| {
        Ok(Value::Int64(nanoseconds(value)))
    }),
    method("Microseconds", NONE, |_, value, _| {
        Ok(Value::Int64(nanoseconds(value) / MICROSECOND))
    }),
    method("Milliseconds", NONE, |_, value, _| {
        Ok(Value::Int64(nanoseconds(value) / MILLISECOND))
    }),
    method("Seconds", NONE, |_, value, _| in_units(value, SECOND)),
    method("Minutes", NONE, |_, value, _| in_units(value, MINUTE)),
    method("Hours", NONE, |_, value, _| in_units(value, HOUR)),
    method("Abs", NONE, |_, value, _| {
        Ok(Value::Duration(
            nanoseconds(value).checked_abs().unwrap_or(i64::MAX),
        ))
    }),
    method("Truncate", ONE, |_, value, args| {
        Ok(Value::Duration(truncate_duration(
            nanoseconds(value),
            by(args),
        )))
    }),
    method("Round", ONE, |_, value, args| {
        Ok(Value::Duration(round_duration(
            nanoseconds(value),
            by(args),
        )))
    }),
];
