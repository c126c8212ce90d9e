//! Arithmetic. Whatever is not a number counts as 0, integers wrap around as in Go.

mod cast;
mod decimal;
mod sequence;

use std::rc::Rc;

use helm_template::{Error, Functions, Signature, Type, Value};

pub(crate) use cast::{parse_float, parse_int, to_float, to_int};

use crate::args::{any, float, int, rest, text};
use crate::environment::Environment;
use crate::go::print;
use decimal::Decimal;

const ONE: Signature = Signature::fixed(&[Type::Any]);
const TWO: Signature = Signature::fixed(&[Type::Any, Type::Any]);
const MANY: Signature = Signature::variadic(&[Type::Any]);
const AT_LEAST_ONE: Signature = Signature::variadic(&[Type::Any, Type::Any]);

pub(crate) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    functions.add("int", ONE, |_, args| Ok(Value::Int(to_int(any(args, 0)?))));
    functions.add("int64", ONE, |_, args| {
        Ok(Value::Int64(to_int(any(args, 0)?)))
    });
    functions.add("float64", ONE, |_, args| {
        Ok(Value::Float(to_float(any(args, 0)?)))
    });
    functions.add("atoi", Signature::fixed(&[Type::Str]), |_, args| {
        Ok(Value::Int(parse_int(text(args, 0)?.as_bytes(), 10)))
    });
    functions.add("toDecimal", ONE, |_, args| {
        let octal = print(any(args, 0)?)?;
        let value = i128::from_str_radix(octal.as_str().unwrap_or(""), 8).unwrap_or(0);
        Ok(Value::Int64(i64::try_from(value).unwrap_or(0)))
    });
    integers(functions);
    floats(functions);
    sequence::register(functions);

    let environment = Rc::clone(environment);
    functions.add(
        "randInt",
        Signature::fixed(&[Type::Int, Type::Int]),
        move |_, args| {
            let (low, high) = (int(args, 0)?, int(args, 1)?);
            let span = u64::try_from(high.wrapping_sub(low))
                .ok()
                .filter(|span| *span > 0)
                .ok_or_else(|| Error::new("invalid argument to Intn"))?;
            let offset = crate::environment::random_below(environment.as_ref(), span)?;
            Ok(Value::Int(low.wrapping_add_unsigned(offset)))
        },
    );
}

fn integers(functions: &mut Functions) {
    functions.add("add", MANY, |_, args| {
        Ok(Value::Int64(args.iter().fold(0, |sum: i64, value| {
            sum.wrapping_add(to_int(value))
        })))
    });
    functions.add("add1", ONE, |_, args| {
        Ok(Value::Int64(to_int(any(args, 0)?).wrapping_add(1)))
    });
    functions.add("sub", TWO, |_, args| {
        Ok(Value::Int64(
            to_int(any(args, 0)?).wrapping_sub(to_int(any(args, 1)?)),
        ))
    });
    functions.add("mul", AT_LEAST_ONE, |_, args| {
        Ok(Value::Int64(args.iter().fold(1, |product: i64, value| {
            product.wrapping_mul(to_int(value))
        })))
    });
    functions.add("div", TWO, |_, args| divide(args, i64::wrapping_div));
    functions.add("mod", TWO, |_, args| divide(args, i64::wrapping_rem));
    functions.add("max", AT_LEAST_ONE, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).max().unwrap_or(0)))
    });
    functions.alias("biggest", "max");
    functions.add("min", AT_LEAST_ONE, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).min().unwrap_or(0)))
    });
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Result<Value, Error> {
    match to_int(any(args, 1)?) {
        0 => Err(Error::new("runtime error: integer divide by zero")),
        divisor => Ok(Value::Int64(operation(to_int(any(args, 0)?), divisor))),
    }
}

fn floats(functions: &mut Functions) {
    functions.add("floor", ONE, |_, args| {
        Ok(Value::Float(to_float(any(args, 0)?).floor()))
    });
    functions.add("ceil", ONE, |_, args| {
        Ok(Value::Float(to_float(any(args, 0)?).ceil()))
    });
    let rounded = Signature::variadic(&[Type::Any, Type::Int, Type::Float]);
    functions.add("round", rounded, |_, args| {
        let on = if args.len() > 2 { float(args, 2)? } else { 0.5 };
        Ok(Value::Float(round(
            to_float(any(args, 0)?),
            int(args, 1)?,
            on,
        )))
    });
    functions.add("maxf", AT_LEAST_ONE, |_, args| fold(args, larger));
    functions.add("minf", AT_LEAST_ONE, |_, args| {
        fold(args, |a, b| -larger(-a, -b))
    });
    functions.add("addf", MANY, |_, args| decimals(0.0, args, Decimal::add));
    functions.add("add1f", ONE, |_, args| {
        decimals(to_float(any(args, 0)?), &[Value::Int(1)], Decimal::add)
    });
    functions.add("subf", AT_LEAST_ONE, |_, args| {
        from_first(args, Decimal::sub)
    });
    functions.add("mulf", AT_LEAST_ONE, |_, args| {
        from_first(args, Decimal::mul)
    });
    functions.add("divf", AT_LEAST_ONE, |_, args| {
        from_first(args, Decimal::div)
    });
}

fn fold(args: &[Value], pick: fn(f64, f64) -> f64) -> Result<Value, Error> {
    let first = to_float(any(args, 0)?);
    Ok(Value::Float(
        rest(args, 1).iter().map(to_float).fold(first, pick),
    ))
}

/// `math.Max`: infinity beats NaN, NaN beats numbers, +0 beats -0.
fn larger(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

type Operation = fn(&Decimal, &Decimal) -> Result<Decimal, Error>;

fn from_first(args: &[Value], operation: Operation) -> Result<Value, Error> {
    decimals(to_float(any(args, 0)?), rest(args, 1), operation)
}

/// Computes in decimals, so that 0.1 + 0.2 is 0.3.
fn decimals(first: f64, others: &[Value], operation: Operation) -> Result<Value, Error> {
    let mut total = Decimal::from_float(first)?;
    for other in others {
        total = operation(&total, &Decimal::from_float(to_float(other))?)?;
    }
    Ok(Value::Float(total.to_float()))
}

fn round(value: f64, places: i64, on: f64) -> f64 {
    let power = power_of_ten(places);
    let shifted = power * value;
    let rounded = if shifted - shifted.trunc() >= on {
        shifted.ceil()
    } else {
        shifted.floor()
    };
    rounded / power
}

/// `math.Pow(10, n)` by Go's own steps, as the last bit shows in what `round` prints.
fn power_of_ten(exponent: i64) -> f64 {
    let (mut factor, mut factor_exponent) = (0.625f64, 4i64);
    let (mut result, mut result_exponent) = (1f64, 0i64);
    let mut bits = exponent.unsigned_abs();
    while bits != 0 {
        if factor_exponent.abs() > 1 << 12 {
            result_exponent += factor_exponent;
            break;
        }
        if bits & 1 == 1 {
            result *= factor;
            result_exponent += factor_exponent;
        }
        factor *= factor;
        factor_exponent <<= 1;
        if factor < 0.5 {
            factor += factor;
            factor_exponent -= 1;
        }
        bits >>= 1;
    }
    if exponent < 0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    scale(result, result_exponent)
}

/// `value * 2^exponent` in steps that do not overflow on the way.
fn scale(mut value: f64, exponent: i64) -> f64 {
    let mut left = exponent.clamp(-4_000, 4_000);
    while left != 0 {
        let step = left.clamp(-900, 900);
        value *= 2f64.powi(i32::try_from(step).unwrap_or(0));
        left -= step;
    }
    value
}
