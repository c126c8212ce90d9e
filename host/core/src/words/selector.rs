//! Label selectors with the Kubernetes grammar.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Bound on one selector text; Kubernetes URLs end there too.
const MAX_BYTES: usize = 8 * 1024;

/// A parsed label selector; the empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `labelSelector` that says at which text the grammar broke.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(invalid(format!("longer than {MAX_BYTES} bytes")));
        }
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text)? {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(invalid("an empty requirement between commas".into()));
            }
            requirements.push(requirement(part)?);
        }
        Ok(Self { requirements })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.picks(|key| labels.get(key).map(String::as_str))
    }

    /// The same for an object that says what the value of a label is.
    pub fn picks<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let is_among = |values: &[String], v: &str| values.iter().any(|one| one == v);
        self.requirements.iter().all(|r| {
            let value = label(&r.key);
            match &r.test {
                Test::In(values) => value.is_some_and(|v| is_among(values, v)),
                Test::NotIn(values) => value.is_none_or(|v| !is_among(values, v)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
            }
        })
    }
}

fn invalid(message: String) -> Error {
    Error::invalid("labelSelector", message)
}

fn split_outside_parentheses(text: &str) -> Result<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0u32);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| invalid("a ')' without its '('".into()))?;
            }
            ',' if depth == 0 => {
                parts.push(text.get(start..i).unwrap_or_default());
                start = i + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(invalid("a '(' without its ')'".into()));
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}

fn requirement(part: &str) -> Result<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement {
            key: key_of(key)?,
            test: Test::Absent,
        });
    }
    for (operator, is_in) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = part.split_once(operator) {
            let values = vec![value_of(value)?];
            let test = if is_in {
                Test::In(values)
            } else {
                Test::NotIn(values)
            };
            return Ok(Requirement {
                key: key_of(key)?,
                test,
            });
        }
    }
    if let Some(open) = part.find('(') {
        let (head, tail) = part.split_at(open);
        let list = tail
            .strip_prefix('(')
            .and_then(|t| t.trim_end().strip_suffix(')'))
            .ok_or_else(|| invalid(format!("\"{part}\" goes on after its ')'")))?;
        let mut words = head.split_whitespace();
        let (Some(key), Some(operator), None) = (words.next(), words.next(), words.next()) else {
            return Err(invalid(format!("\"{part}\" is not \"key in (a,b)\"")));
        };
        let values = list.split(',').map(value_of).collect::<Result<Vec<_>>>()?;
        let test = match operator {
            "in" => Test::In(values),
            "notin" => Test::NotIn(values),
            _ => return Err(invalid(format!("unknown operator \"{operator}\""))),
        };
        return Ok(Requirement {
            key: key_of(key)?,
            test,
        });
    }
    Ok(Requirement {
        key: key_of(part)?,
        test: Test::Exists,
    })
}

fn key_of(text: &str) -> Result<String> {
    let text = text.trim();
    if is_label_key(text) {
        Ok(text.to_owned())
    } else {
        Err(invalid(format!(
            "\"{}\" is not a label key",
            text.escape_debug()
        )))
    }
}

fn value_of(text: &str) -> Result<String> {
    let text = text.trim();
    if is_label_value(text) {
        Ok(text.to_owned())
    } else {
        Err(invalid(format!(
            "\"{}\" is not a label value",
            text.escape_debug()
        )))
    }
}

/// A qualified name: an optional DNS subdomain and `/`, then up to 63 of `[A-Za-z0-9._-]`.
pub(crate) fn is_label_key(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if prefix.parse::<super::ClusterName>().is_err() {
                return false;
            }
            name
        }
        None => text,
    };
    !name.is_empty() && is_label_value(name)
}

/// Empty, or up to 63 of `[A-Za-z0-9._-]` with a letter or digit at both ends.
pub(crate) fn is_label_value(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text
                .chars()
                .all(|c| edge(c) || matches!(c, '.' | '_' | '-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn follows_the_kubernetes_grammar() {
        let labels = [("env", "prod"), ("region", "a"), ("example.com/x", "")];
        for yes in [
            "",
            "env=prod",
            "env==prod",
            "env!=dev",
            "region in (a, b)",
            "region notin (c)",
            "env",
            "!gone",
            "gone!=x",
            "gone notin (x)",
            "env=prod,region in (a,b),!gone",
            "example.com/x=",
            " env = prod ",
        ] {
            assert!(selects(yes, &labels), "{yes}");
        }
        for no in [
            "env=dev",
            "env!=prod",
            "region notin (a)",
            "!env",
            "gone",
            "gone in (x)",
        ] {
            assert!(!selects(no, &labels), "{no}");
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
            "a like (b)",
            "-a",
            "a=b c",
            "a b",
        ] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }
}
