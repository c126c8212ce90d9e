//! Floats in the notations of Go's `strconv` and `encoding/json`.

/// Go's `FormatFloat(value, 'g', -1, 64)` with YAML's names for what is no number: the shortest
/// digits that read back the same, with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn yaml_text(value: f64) -> String {
    general(value, &shortest(value))
}

/// The same with the precision of 32 bits, which sigs.k8s.io/yaml uses where a float becomes text.
pub(crate) fn yaml_text_32(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the original rounds to 32 bits, overflow to infinity included"
    )]
    let short = value as f32;
    let digits = break_tie(format!("{short:e}"), || format!("{short:.30e}"));
    general(f64::from(short), &digits)
}

/// The fewest digits that read back the same, as `1.5e6`.
fn shortest(value: f64) -> String {
    break_tie(format!("{value:e}"), || format!("{value:.30e}"))
}

/// Where two texts of that length are equally near, Go takes the one with the even digit, Rust the
/// larger one.
fn break_tie(scientific: String, exact: impl Fn() -> String) -> String {
    /// Fewer digits are never a tie: they would be exact.
    const MIN_TIED: usize = 6;
    let (digits, exponent) = split(&scientific);
    if digits.len() < MIN_TIED {
        return scientific;
    }
    let exact = exact();
    let Some((lower, rest)) = exact.split_at_checked(digits.len()) else {
        return scientific;
    };
    let rest = rest.split_once('e').map_or(rest, |(rest, _)| rest);
    let is_tie = rest.starts_with('5') && rest.bytes().skip(1).all(|b| b == b'0');
    let is_even = lower.ends_with(['0', '2', '4', '6', '8']);
    if is_tie && is_even {
        return format!("{lower}e{exponent}");
    }
    scientific
}

fn general(value: f64, scientific: &str) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    go_general(scientific)
}

/// Turns Rust's `1.5e6` into Go's `%g`: `1.5e+06`.
fn go_general(scientific: &str) -> String {
    let (digits, exponent) = split(scientific);
    if (-4..6).contains(&exponent) {
        return plain(digits, exponent);
    }
    with_exponent(digits, exponent, 2)
}

fn split(scientific: &str) -> (&str, i32) {
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (digits, exponent.parse().unwrap_or(0))
}

fn with_exponent(digits: &str, exponent: i32, width: usize) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:0width$}", exponent.unsigned_abs())
}

/// Digits without exponent: `1.5`, 3 → `1500`.
fn plain(digits: &str, exponent: i32) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let all: String = digits.chars().filter(char::is_ascii_digit).collect();
    let mut text = String::from(sign);
    if exponent < 0 {
        text.push_str("0.");
        text.extend((1..-exponent).map(|_| '0'));
        text.push_str(&all);
        return text;
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    match all.split_at_checked(whole) {
        Some((before, "")) => text.push_str(before),
        Some((before, after)) => {
            text.push_str(before);
            text.push('.');
            text.push_str(after);
        }
        None => {
            text.push_str(&all);
            text.extend((all.len()..whole).map(|_| '0'));
        }
    }
    text
}

/// As `encoding/json` writes it: no exponent from 1e-6 up to 1e21, else one without leading zero.
pub(crate) fn json_text(value: f64) -> String {
    let size = value.abs();
    let scientific = shortest(value);
    let (digits, exponent) = split(&scientific);
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return with_exponent(digits, exponent, 1);
    }
    plain(digits, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_appear_where_go_writes_them() {
        for (value, yaml, json) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.5, "1.5", "1.5"),
            (123_456.0, "123456", "123456"),
            (1_000_000.0, "1e+06", "1000000"),
            (1_234_567.5, "1.2345675e+06", "1234567.5"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (1e-7, "1e-07", "1e-7"),
            (1e20, "1e+20", "100000000000000000000"),
            (1e21, "1e+21", "1e+21"),
            (1e300, "1e+300", "1e+300"),
        ] {
            assert_eq!(yaml_text(value), yaml);
            assert_eq!(json_text(value), json);
        }
        assert_eq!(yaml_text_32(1.1), "1.1");
        assert_eq!(yaml_text_32(1e300), ".inf");
    }
}
