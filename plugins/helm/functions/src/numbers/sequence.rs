//! Runs of integers: `until`, `untilStep`, `seq`.

use helm_template::{Context, Error, Functions, List, ListType, Signature, Type, Value};

use crate::args::int;
use crate::go::check_items;

pub(super) fn register(functions: &mut Functions) {
    functions.add("until", Signature::fixed(&[Type::Int]), |context, args| {
        let count = int(args, 0)?;
        ints(steps(
            context,
            "until",
            0,
            count,
            if count < 0 { -1 } else { 1 },
        )?)
    });
    let three = Signature::fixed(&[Type::Int, Type::Int, Type::Int]);
    functions.add("untilStep", three, |context, args| {
        ints(steps(
            context,
            "untilStep",
            int(args, 0)?,
            int(args, 1)?,
            int(args, 2)?,
        )?)
    });
    functions.add("seq", Signature::variadic(&[Type::Int]), |context, args| {
        let (start, end, step) = match args.len() {
            1 => (1, int(args, 0)?, None),
            2 => (int(args, 0)?, int(args, 1)?, None),
            3 => (int(args, 0)?, int(args, 2)?, Some(int(args, 1)?)),
            _ => return Ok("".into()),
        };
        let towards = if end < start { -1 } else { 1 };
        if towards < 0 && step.is_some_and(|step| step > 0) {
            return Ok("".into());
        }
        let stop = end.wrapping_add(towards);
        let numbers = steps(context, "seq", start, stop, step.unwrap_or(towards))?;
        let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        Ok(texts.join(" ").into())
    });
}

/// From `start` up or down to before `stop`; nothing when the step leads away.
fn steps(
    context: &mut dyn Context,
    name: &str,
    start: i64,
    stop: i64,
    step: i64,
) -> Result<Vec<i64>, Error> {
    let down = stop < start;
    if (down && step >= 0) || (!down && step <= 0) {
        return Ok(Vec::new());
    }
    let count = stop.abs_diff(start).div_ceil(step.unsigned_abs());
    check_items(name, usize::try_from(count).unwrap_or(usize::MAX))?;
    context.charge(count / 16)?;
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(step));
    Ok(numbers.take(usize::try_from(count).unwrap_or(0)).collect())
}

fn ints(numbers: Vec<i64>) -> Result<Value, Error> {
    let items = numbers.into_iter().map(Value::Int).collect();
    Ok(Value::List(List::new(ListType::Int, items)))
}
