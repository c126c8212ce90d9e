//! Label selectors: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.

use std::collections::BTreeMap;

use crate::Error;

/// A longer text fits in no URL.
const MAX_BYTES: usize = 8 * 1024;

/// A parsed selector; the empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    key: String,
    /// `None`: only whether the key is there.
    values: Option<Vec<String>>,
    is_negative: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Comma,
    Open,
    Close,
    Equal,
    NotEqual,
    Not,
}

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// `invalid` on `labelSelector`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(invalid(format!("longer than {MAX_BYTES} bytes")));
        }
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        let mut rules = Vec::new();
        while !rest.is_empty() {
            let (rule, after) = rule(rest)?;
            rules.push(rule);
            rest = match after {
                [] => after,
                [Token::Comma, more @ ..] if !more.is_empty() => more,
                _ => return Err(invalid("requirements are separated by one comma".into())),
            };
        }
        Ok(Self(rules))
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|rule| {
            let holds = match (&rule.values, labels.get(&rule.key)) {
                (None, found) => found.is_some(),
                (Some(values), Some(found)) => values.contains(found),
                (Some(_), None) => false,
            };
            holds != rule.is_negative
        })
    }
}

fn invalid(message: String) -> Error {
    Error::invalid("labelSelector", message)
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Error> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let symbols = [
            ("!=", Token::NotEqual),
            ("==", Token::Equal),
            ("=", Token::Equal),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        let symbol = symbols
            .iter()
            .find_map(|(text, token)| Some((rest.strip_prefix(text)?, *token)));
        let (after, token) = match symbol {
            Some(found) => found,
            None => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if word.is_empty() {
                    let odd: String = rest.chars().take(1).flat_map(char::escape_debug).collect();
                    return Err(invalid(format!("\"{odd}\" has no meaning in a selector")));
                }
                (after, Token::Word(word))
            }
        };
        found.push(token);
        rest = after.trim_start();
    }
    Ok(found)
}

/// The first rule and what follows it.
fn rule<'t, 'a>(tokens: &'t [Token<'a>]) -> Result<(Rule, &'t [Token<'a>]), Error> {
    let make = |key: &str, values: Option<Vec<String>>, is_negative| -> Result<Rule, Error> {
        Ok(Rule {
            key: key_of(key)?,
            values,
            is_negative,
        })
    };
    match tokens {
        [Token::Not, Token::Word(key), rest @ ..] => Ok((make(key, None, true)?, rest)),
        [
            Token::Word(key),
            operator @ (Token::Equal | Token::NotEqual),
            rest @ ..,
        ] => {
            let (value, rest) = match rest {
                [Token::Word(value), rest @ ..] => (*value, rest),
                _ => ("", rest),
            };
            let values = Some(vec![value_of(value)?]);
            Ok((make(key, values, *operator == Token::NotEqual)?, rest))
        }
        [
            Token::Word(key),
            Token::Word(operator @ ("in" | "notin")),
            Token::Open,
            rest @ ..,
        ] => {
            let (values, rest) = values(rest)?;
            Ok((make(key, Some(values), *operator == "notin")?, rest))
        }
        [Token::Word(key), rest @ ..] => Ok((make(key, None, false)?, rest)),
        _ => Err(invalid(
            "a requirement begins with a label key or '!'".into(),
        )),
    }
}

/// The values up to the closing parenthesis, and what follows it. An empty value stands between two commas.
fn values<'t, 'a>(mut tokens: &'t [Token<'a>]) -> Result<(Vec<String>, &'t [Token<'a>]), Error> {
    let mut found = Vec::new();
    loop {
        let (value, rest) = match tokens {
            [Token::Word(value), rest @ ..] => (*value, rest),
            rest => ("", rest),
        };
        found.push(value_of(value)?);
        match rest {
            [Token::Comma, more @ ..] => tokens = more,
            [Token::Close, more @ ..] => return Ok((found, more)),
            _ => return Err(invalid("a list of values ends with ')'".into())),
        }
    }
}

fn is_value(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || text.len() <= 63
            && text.starts_with(is_edge)
            && text.ends_with(is_edge)
            && !text.contains('/')
}

fn value_of(text: &str) -> Result<String, Error> {
    if is_value(text) {
        Ok(text.to_owned())
    } else {
        Err(invalid(format!("\"{text}\" is not a label value")))
    }
}

fn key_of(text: &str) -> Result<String, Error> {
    let (prefix, name) = text.split_once('/').unwrap_or(("a", text));
    let is_part = |part: &str| {
        let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(is_edge)
            && part.ends_with(is_edge)
            && part.chars().all(|c| is_edge(c) || c == '-')
    };
    let is_prefix = prefix.len() <= 253 && prefix.split('.').all(is_part);
    if is_prefix && !name.is_empty() && is_value(name) {
        Ok(text.to_owned())
    } else {
        Err(invalid(format!("\"{text}\" is not a label key")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str) -> bool {
        let labels = [("env", "prod"), ("zone", "a"), ("example.com/x", "")];
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn selects_as_kubernetes_does() {
        for yes in [
            "",
            "  ",
            "env=prod",
            "env == prod",
            "env!=dev",
            "zone in (a, b)",
            "zone notin (c)",
            "env",
            "! gone",
            "gone!=x",
            "gone notin (x)",
            "env=prod,zone in (b,a),!gone",
            "example.com/x=",
            "example.com/x in (,y)",
        ] {
            assert!(selects(yes), "{yes}");
        }
        for no in [
            "env=dev",
            "env!=prod",
            "zone notin (a)",
            "!env",
            "gone",
            "gone in (x)",
            "env=prod,zone=b",
            "in in (x)",
        ] {
            assert!(!selects(no), "{no}");
        }
    }

    #[test]
    fn refuses_what_the_grammar_does_not_know() {
        for bad in [
            "=a",
            "a=b=c",
            "a in b",
            "a in (b",
            "a)b",
            "a,,b",
            "a,",
            "a like (b)",
            "-a",
            "a=b c",
            "a b",
            "a=é",
            "a=\u{1b}",
            "UPPER.com/a",
            "a/b/c",
            &"a".repeat(9_000),
        ] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }
}
