//! What is wrong with a value, as a tree, and the tree as text.

use std::cell::Cell;
use std::rc::Rc;

use helm_template::strconv::quote as go_quote;

use crate::decimal::Decimal;
use crate::node::Node;

/// What a complaint is about.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Nobody wants to know.
    Quiet,
    /// Several complaints of one schema about one value.
    Group,
    /// What was referred to has complaints.
    Reference,
    /// Anything else, in words.
    Text(String),
}

/// Bytes that all complaints of a check take at present.
pub(crate) type Tally = Rc<Cell<usize>>;

/// One complaint and those that led to it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) at: String,
    pub(crate) kind: Kind,
    pub(crate) causes: Vec<Failure>,
    weight: usize,
    tally: Tally,
}

impl Failure {
    pub(crate) fn new(at: String, kind: Kind, tally: &Tally) -> Self {
        let text = if let Kind::Text(text) = &kind {
            text.len()
        } else {
            0
        };
        let weight = size_of::<Self>() + at.len() + text;
        tally.set(tally.get() + weight);
        Self {
            at,
            kind,
            causes: Vec::new(),
            weight,
            tally: Rc::clone(tally),
        }
    }

    pub(crate) fn is_group(&self) -> bool {
        matches!(self.kind, Kind::Group)
    }

    /// Those it consists of: a group's, or itself.
    pub(crate) fn parts(mut self) -> Vec<Self> {
        if self.is_group() {
            std::mem::take(&mut self.causes)
        } else {
            vec![self]
        }
    }

    /// Adds it as lines, two blanks further in with each level.
    pub(crate) fn print(&self, indent: usize, out: &mut String) {
        let is_shown = !(matches!(self.kind, Kind::Reference) && self.causes.len() == 1);
        if is_shown {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&"  ".repeat(indent));
            let words = match &self.kind {
                Kind::Text(text) => text,
                _ => "validation failed",
            };
            out.push_str(&format!("- at {}: {words}", quote(&self.at)));
        }
        for cause in &self.causes {
            cause.print(indent + usize::from(is_shown), out);
        }
    }
}

impl Drop for Failure {
    fn drop(&mut self) {
        self.tally.set(self.tally.get().saturating_sub(self.weight));
    }
}

/// In single quotes.
pub(crate) fn quote(text: &str) -> String {
    let quoted = go_quote(text.as_bytes())
        .replace("\\\"", "\"")
        .replace('\'', "\\'");
    let inner = quoted.get(1..quoted.len().saturating_sub(1));
    format!("'{}'", inner.unwrap_or_default())
}

pub(crate) fn join(names: &[impl AsRef<str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| quote(name.as_ref())).collect();
    names.join(", ")
}

/// A scalar as it is shown.
pub(crate) fn shown(node: &Node) -> String {
    match node {
        Node::Text(text) => quote(text),
        Node::List(_) | Node::Map(_) => "value".to_owned(),
        Node::Null => "<nil>".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(text) => text.clone(),
    }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count, with separators.
pub(crate) fn count(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(&number.unsigned_abs().to_string()))
}

pub(crate) fn size(number: usize) -> String {
    grouped(&number.to_string())
}

/// A number as English prints it: with separators, from a million on with a power of ten.
pub(crate) fn number(value: &Decimal) -> String {
    let value = value.to_f64();
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let written = format!("{:e}", value.abs());
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if value < 0.0 { "-" } else { "" };
    if (-4..6).contains(&exponent) {
        let plain = value.abs().to_string();
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let point = if fraction.is_empty() { "" } else { "." };
        return format!("{sign}{}{point}{fraction}", grouped(whole));
    }
    let power = format!("{:02}", exponent.abs());
    let raised = power.chars().map(|digit| match digit {
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' => '⁰',
        other => char::from_u32(0x2070 + other.to_digit(10).unwrap_or(0)).unwrap_or(other),
    });
    let minus = if exponent < 0 { "⁻" } else { "" };
    format!("{sign}{mantissa}×10{minus}{}", raised.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{Decimal, number, quote};

    #[test]
    fn numbers_are_printed_as_english_has_them() {
        for (text, wanted) in [
            ("0", "0"),
            ("65535", "65,535"),
            ("1234.5", "1,234.5"),
            ("-1234567", "-1.234567×10⁰⁶"),
            ("1e6", "1×10⁰⁶"),
            ("1e300", "1×10³⁰⁰"),
            ("0.0001", "0.0001"),
            ("0.00000015", "1.5×10⁻⁰⁷"),
            ("123456789012345678", "1.2345678901234568×10¹⁷"),
        ] {
            assert_eq!(number(&Decimal::parse(text).unwrap()), wanted);
        }
    }

    #[test]
    fn quotes_are_single() {
        assert_eq!(quote("a\"b'c\\d\n"), "'a\"b\\'c\\\\d\\n'");
    }
}
