//! Dates as values of templates, and the functions that make and print them.

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;

use helm_template::{
    Error, Functions, Method, Object, Signature, Str, Type, Value, format_duration, round_duration,
};

use crate::args::{any, text};
use crate::dates::{self, Time, Zone, duration};
use crate::environment::Environment;
use crate::numbers::parse_int;

/// A `time.Time` of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeValue(pub Time);

impl Object for TimeValue {
    fn type_name(&self) -> Cow<'static, str> {
        "time.Time".into()
    }

    fn methods(&self) -> &'static [Method] {
        crate::time_methods::METHODS
    }

    fn text(&self) -> Option<Str> {
        Some(self.0.to_string().into())
    }

    fn to_data(&self) -> Option<Value> {
        Some(Value::Str(
            self.0.format(b"2006-01-02T15:04:05.999999999Z07:00").into(),
        ))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

const TIME: Type = Type::Named("time.Time");

fn time(args: &[Value], index: usize) -> Result<&Time, Error> {
    any(args, index)?
        .as_object::<TimeValue>()
        .map(|value| &value.0)
        .ok_or_else(|| Error::new("argument is no time"))
}

fn value(time: Time) -> Result<Value, Error> {
    Ok(Value::object(TimeValue(time)))
}

/// A time, or whole seconds since 1970; anything else is now.
fn moment(environment: &dyn Environment, value: &Value) -> Time {
    match value {
        Value::Int(seconds) | Value::Int64(seconds) => Time::unix(*seconds, 0),
        Value::Int32(seconds) => Time::unix(i64::from(*seconds), 0),
        other => match other.as_object::<TimeValue>() {
            Some(time) => time.0.clone(),
            None => Time::from_unix_nanos(environment.now()),
        },
    }
}

/// Prints in a zone, in UTC if there is none of that name.
fn print(time: &Time, layout: &[u8], zone: &str) -> Result<Value, Error> {
    // A digit of the layout makes at most nine bytes.
    crate::go::check_bytes("date", layout.len().saturating_mul(9))?;
    let zone = Zone::load(zone).unwrap_or(Zone::Utc);
    Ok(Value::Str(time.in_zone(zone).format(layout).into()))
}

const HTML: &[u8] = b"2006-01-02";

pub(crate) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    printing(functions, environment);
    let modify = Signature::fixed(&[Type::Str, TIME]);
    functions.add("dateModify", modify, |_, args| {
        let nanos = duration::parse(text(args, 0)?.as_bytes()).unwrap_or(0);
        value(time(args, 1)?.add(nanos))
    });
    functions.alias("date_modify", "dateModify");
    functions.add("mustDateModify", modify, |_, args| {
        let nanos = duration::parse(text(args, 0)?.as_bytes()).map_err(Error::new)?;
        value(time(args, 1)?.add(nanos))
    });
    functions.alias("must_date_modify", "mustDateModify");
    let two = Signature::fixed(&[Type::Str, Type::Str]);
    functions.add("toDate", two, |_, args| {
        let read = dates::parse(text(args, 0)?.as_bytes(), text(args, 1)?.as_bytes());
        value(read.unwrap_or_else(|_| Time::zero()))
    });
    functions.add("mustToDate", two, |_, args| {
        let read = dates::parse(text(args, 0)?.as_bytes(), text(args, 1)?.as_bytes());
        value(read.map_err(|error| Error::new(error.to_string()))?)
    });
    functions.add("unixEpoch", Signature::fixed(&[TIME]), |_, args| {
        Ok(time(args, 0)?.seconds.to_string().into())
    });
    functions.add("duration", Signature::fixed(&[Type::Any]), |_, args| {
        let seconds = match any(args, 0)? {
            Value::Str(text) => parse_int(text.as_bytes(), 10),
            Value::Int64(seconds) => *seconds,
            _ => 0,
        };
        Ok(format_duration(seconds.wrapping_mul(duration::SECOND)).into())
    });
    let own = Rc::clone(environment);
    functions.add(
        "durationRound",
        Signature::fixed(&[Type::Any]),
        move |_, args| {
            let nanos = match any(args, 0)? {
                Value::Str(text) => duration::parse(text.as_bytes()).unwrap_or(0),
                Value::Int64(nanos) => *nanos,
                other => other
                    .as_object::<TimeValue>()
                    .map_or(0, |time| Time::from_unix_nanos(own.now()).since(&time.0)),
            };
            Ok(duration::largest_unit(nanos).into())
        },
    );
}

fn printing(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    let own = Rc::clone(environment);
    functions.add("now", Signature::fixed(&[]), move |_, _| {
        value(Time::from_unix_nanos(own.now()))
    });
    let own = Rc::clone(environment);
    functions.add(
        "date",
        Signature::fixed(&[Type::Str, Type::Any]),
        move |_, args| {
            print(
                &moment(own.as_ref(), any(args, 1)?),
                text(args, 0)?.as_bytes(),
                "Local",
            )
        },
    );
    let own = Rc::clone(environment);
    let zoned = Signature::fixed(&[Type::Str, Type::Any, Type::Str]);
    functions.add("dateInZone", zoned, move |_, args| {
        let moment = moment(own.as_ref(), any(args, 1)?);
        print(
            &moment,
            text(args, 0)?.as_bytes(),
            &text(args, 2)?.to_text(),
        )
    });
    functions.alias("date_in_zone", "dateInZone");
    let own = Rc::clone(environment);
    functions.add(
        "htmlDate",
        Signature::fixed(&[Type::Any]),
        move |_, args| print(&moment(own.as_ref(), any(args, 0)?), HTML, "Local"),
    );
    let own = Rc::clone(environment);
    let zoned = Signature::fixed(&[Type::Any, Type::Str]);
    functions.add("htmlDateInZone", zoned, move |_, args| {
        print(
            &moment(own.as_ref(), any(args, 0)?),
            HTML,
            &text(args, 1)?.to_text(),
        )
    });
    let own = Rc::clone(environment);
    functions.add("ago", Signature::fixed(&[Type::Any]), move |_, args| {
        let since = match any(args, 0)? {
            // Unlike `date`, this one knows no `int32`.
            Value::Int32(_) => return Ok("0s".into()),
            other => moment(own.as_ref(), other),
        };
        let nanos = Time::from_unix_nanos(own.now()).since(&since);
        Ok(format_duration(round_duration(nanos, duration::SECOND)).into())
    });
}
