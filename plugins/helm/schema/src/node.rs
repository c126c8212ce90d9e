//! JSON whose numbers are kept as they were written.

use std::collections::BTreeMap;

use helm_template::{Map, Value};
use helm_yaml::Json;

use crate::address;
use crate::decimal::Decimal;

/// A JSON value.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

impl Json for Node {
    fn null() -> Self {
        Self::Null
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(text: &str) -> Option<Self> {
        Some(Self::Number(text.to_owned()))
    }

    fn string(text: String) -> Self {
        Self::Text(text)
    }

    fn array(items: Vec<Self>) -> Self {
        Self::List(items)
    }

    fn object(entries: Vec<(String, Self)>) -> Self {
        Self::Map(entries.into_iter().collect())
    }
}

/// Reads JSON as Go's stream decoder does.
///
/// # Errors
/// In that decoder's words.
pub(crate) fn read(text: &str) -> Result<Node, String> {
    if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        return Err("EOF".to_owned());
    }
    helm_yaml::read_json(text).map_err(|error| {
        if error == "unexpected end of JSON input" {
            "unexpected EOF".to_owned()
        } else if error.ends_with("after top-level value") {
            "invalid character after top-level value".to_owned()
        } else {
            error
        }
    })
}

impl Node {
    pub(crate) fn from_map(map: &Map) -> Self {
        let entries = map.entries();
        let entries = entries
            .iter()
            .map(|(key, value)| (key.to_text().into_owned(), Self::from_value(value)));
        Self::Map(entries.collect())
    }

    fn from_value(value: &Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(number) | Value::Int64(number) => Self::Number(number.to_string()),
            Value::Float(number) if number.is_finite() => Self::Number(format!("{number:e}")),
            Value::Str(text) => Self::Text(text.to_text().into_owned()),
            Value::List(list) => Self::List(list.items().iter().map(Self::from_value).collect()),
            Value::Map(map) => Self::from_map(map),
            _ => Self::Null,
        }
    }

    pub(crate) fn map(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(text) => Decimal::parse(text),
            _ => None,
        }
    }

    /// A map's entry that is text.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.map()?.get(key)?.text()
    }

    /// What a JSON pointer leads to.
    pub(crate) fn lookup(&self, pointer: &str) -> Result<&Self, Lost> {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            let token = address::unescape(token).ok_or(Lost::Malformed)?;
            let below = match node {
                Self::Map(map) => map.get(&token),
                Self::List(items) => token.parse().ok().and_then(|at: usize| items.get(at)),
                _ => None,
            };
            node = below.ok_or(Lost::Missing)?;
        }
        Ok(node)
    }

    /// Equal as JSON: numbers by value.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Number(_), Self::Number(_)) => match (self.number(), other.number()) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            },
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.equals(b))
            }
            (Self::Map(one), Self::Map(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(other)
                        .all(|((key, a), (other, b))| key == other && a.equals(b))
            }
            _ => false,
        }
    }

    /// The same text for equal values only.
    pub(crate) fn canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push('n'),
            Self::Bool(value) => out.push(if *value { 't' } else { 'f' }),
            Self::Number(text) => match Decimal::parse(text) {
                Some(number) => out.push_str(&format!("#{number:?}")),
                None => out.push_str(&format!("?{text};")),
            },
            Self::Text(text) => out.push_str(&format!("\"{}:{text}", text.len())),
            Self::List(items) => {
                out.push('[');
                for item in items {
                    item.canonical(out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                for (key, value) in map {
                    out.push_str(&format!("{}:{key}", key.len()));
                    value.canonical(out);
                }
                out.push('}');
            }
        }
    }
}

/// Why a pointer leads nowhere.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lost {
    /// An escape that is none.
    Malformed,
    /// Nothing there.
    Missing,
}
