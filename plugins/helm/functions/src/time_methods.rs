//! The exported methods of Go's `time.Time` and its `Month` and `Weekday` that templates can call.

use std::any::Any;
use std::borrow::Cow;

use helm_template::{Context, Error, Kind, Method, Object, Signature, Str, Type, Value};

use crate::args::{any, int, text};
use crate::dates::{Civil, Time, Zone};
use crate::time::TimeValue;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A `time.Month` or `time.Weekday`: a number that prints as its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    type_name: &'static str,
    number: i64,
    name: &'static str,
}

impl Object for Named {
    fn type_name(&self) -> Cow<'static, str> {
        self.type_name.into()
    }

    fn kind(&self) -> Kind {
        Kind::Int
    }

    fn text(&self) -> Option<Str> {
        Some(self.name.into())
    }

    fn number(&self) -> Option<i64> {
        Some(self.number)
    }

    fn to_data(&self) -> Option<Value> {
        Some(Value::Int(self.number))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn receiver(value: &Value) -> Result<&Time, Error> {
    value
        .as_object::<TimeValue>()
        .map(|time| &time.0)
        .ok_or_else(|| Error::new("the receiver is no time"))
}

fn time(time: Time) -> Result<Value, Error> {
    Ok(Value::object(TimeValue(time)))
}

const NONE: Signature = Signature::fixed(&[]);
const TIME: Signature = Signature::fixed(&[Type::Named("time.Time")]);
const DURATION: Signature = Signature::fixed(&[Type::Named("time.Duration")]);
const TEXT: Signature = Signature::fixed(&[Type::Str]);
const DATE: Signature = Signature::fixed(&[Type::Int, Type::Int, Type::Int]);

type Call = fn(&mut dyn Context, &Value, &[Value]) -> Result<Value, Error>;

const fn method(name: &'static str, signature: Signature, call: Call) -> Method {
    Method {
        name,
        signature,
        call,
    }
}

/// A number of the calendar.
fn field(value: &Value, pick: fn(&Civil) -> i64) -> Result<Value, Error> {
    Ok(Value::Int(pick(&receiver(value)?.civil())))
}

fn named(type_name: &'static str, names: &[&'static str], number: i64, first: i64) -> Value {
    let index = usize::try_from(number - first).unwrap_or(usize::MAX);
    let name = names.get(index).copied().unwrap_or("");
    Value::object(Named {
        type_name,
        number,
        name,
    })
}

/// -1, 0 or 1.
fn compare(value: &Value, args: &[Value]) -> Result<i64, Error> {
    let (a, b) = (receiver(value)?, receiver(any(args, 0)?)?);
    Ok((a.seconds, a.nanos).cmp(&(b.seconds, b.nanos)) as i64)
}

fn scaled(value: &Value, per_second: i64) -> Result<Value, Error> {
    let time = receiver(value)?;
    let part = i64::from(time.nanos) / (1_000_000_000 / per_second);
    Ok(Value::Int64(
        time.seconds.wrapping_mul(per_second).wrapping_add(part),
    ))
}

/// The nearest multiple of a duration since year 1, or the one before.
fn to_multiple(value: &Value, args: &[Value], round: bool) -> Result<Value, Error> {
    let from = receiver(value)?;
    let unit = any(args, 0)?.as_signed().unwrap_or(0);
    if unit <= 0 {
        return time(from.clone());
    }
    let since = (i128::from(from.seconds) - i128::from(Time::zero().seconds)) * 1_000_000_000
        + i128::from(from.nanos);
    let rest = since.rem_euclid(i128::from(unit));
    let rest = i64::try_from(rest).unwrap_or(0);
    let moved = if round && rest >= unit - rest {
        unit - rest
    } else {
        -rest
    };
    time(from.add(moved))
}

fn add_date(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let from = receiver(value)?;
    let months = from.civil();
    time(from.add_date(&months, int(args, 0)?, int(args, 1)?, int(args, 2)?))
}

/// What templates reach of `time.Time`.
pub(crate) static METHODS: &[Method] = &[
    method("String", NONE, |_, value, _| {
        Ok(receiver(value)?.to_string().into())
    }),
    method("Format", TEXT, |_, value, args| {
        Ok(Value::Str(
            receiver(value)?.format(text(args, 0)?.as_bytes()).into(),
        ))
    }),
    method("Unix", NONE, |_, value, _| {
        Ok(Value::Int64(receiver(value)?.seconds))
    }),
    method("UnixMilli", NONE, |_, value, _| scaled(value, 1_000)),
    method("UnixMicro", NONE, |_, value, _| scaled(value, 1_000_000)),
    method("UnixNano", NONE, |_, value, _| scaled(value, 1_000_000_000)),
    method("Year", NONE, |_, value, _| field(value, |civil| civil.year)),
    method("Month", NONE, |_, value, _| {
        let month = i64::from(receiver(value)?.civil().month);
        Ok(named("time.Month", &MONTHS, month, 1))
    }),
    method("Day", NONE, |_, value, _| {
        field(value, |civil| i64::from(civil.day))
    }),
    method("Weekday", NONE, |_, value, _| {
        let day = i64::from(receiver(value)?.civil().weekday);
        Ok(named("time.Weekday", &DAYS, day, 0))
    }),
    method("YearDay", NONE, |_, value, _| {
        field(value, |civil| i64::from(civil.year_day))
    }),
    method("Hour", NONE, |_, value, _| {
        field(value, |civil| i64::from(civil.hour))
    }),
    method("Minute", NONE, |_, value, _| {
        field(value, |civil| i64::from(civil.minute))
    }),
    method("Second", NONE, |_, value, _| {
        field(value, |civil| i64::from(civil.second))
    }),
    method("Nanosecond", NONE, |_, value, _| {
        Ok(Value::Int(i64::from(receiver(value)?.nanos)))
    }),
    method("IsZero", NONE, |_, value, _| {
        Ok(receiver(value)?.is_zero().into())
    }),
    method("IsDST", NONE, |_, value, _| {
        let time = receiver(value)?;
        Ok(time.zone.is_summer(time.seconds).into())
    }),
    method("UTC", NONE, |_, value, _| {
        time(receiver(value)?.in_zone(Zone::Utc))
    }),
    method("Local", NONE, |_, value, _| {
        time(receiver(value)?.in_zone(Zone::Local))
    }),
    method("Add", DURATION, |_, value, args| {
        time(receiver(value)?.add(any(args, 0)?.as_signed().unwrap_or(0)))
    }),
    method("AddDate", DATE, |_, value, args| add_date(value, args)),
    method("Sub", TIME, |_, value, args| {
        Ok(Value::Duration(
            receiver(value)?.since(receiver(any(args, 0)?)?),
        ))
    }),
    method("Round", DURATION, |_, value, args| {
        to_multiple(value, args, true)
    }),
    method("Truncate", DURATION, |_, value, args| {
        to_multiple(value, args, false)
    }),
    method("After", TIME, |_, value, args| {
        Ok((compare(value, args)? > 0).into())
    }),
    method("Before", TIME, |_, value, args| {
        Ok((compare(value, args)? < 0).into())
    }),
    method("Equal", TIME, |_, value, args| {
        Ok((compare(value, args)? == 0).into())
    }),
    method("Compare", TIME, |_, value, args| {
        Ok(Value::Int(compare(value, args)?))
    }),
];
