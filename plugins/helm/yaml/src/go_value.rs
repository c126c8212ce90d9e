//! A document as go-yaml decodes it, with keys of all types, for the errors that depend on it:
//! those that print a value in Go's `%#v` notation, and what JSON cannot express. Built only when
//! there is such an error.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::compose::{Document, Node, NodeKind};
use crate::error::Problem;
use crate::float;
use crate::resolve::{Meaning, resolve};

/// Bytes of a printed value, about; a huge key helps nobody.
const MAX_SHOWN: usize = 64 << 10;

/// In the order in which Go prints keys: nil, then by the addresses of the types in the binary,
/// which its linker sorts so.
#[derive(Debug, PartialEq, PartialOrd)]
enum GoValue {
    Nil,
    Text(String),
    Uint(u64),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<GoValue>),
    Map(Vec<(GoValue, GoValue)>),
}

/// `yaml: invalid map key: …` for the mapping or sequence that is one.
pub(crate) fn invalid_key(document: &Document<'_>, index: u32) -> Problem {
    let shown = build(document, index).shown(false);
    Problem::yaml(0, format!("invalid map key: {shown}"))
}

/// The first thing in the document that JSON cannot express, in the order of sorted keys. The
/// original meets bad keys in any order.
pub(crate) fn not_json(document: &Document<'_>) -> Option<Problem> {
    let value = build(document, 0);
    let problem = value.bad_key().or_else(|| value.bad_number())?;
    Some(Problem::plain(problem))
}

/// The tree below a node, whose aliases have been counted before.
fn build(document: &Document<'_>, index: u32) -> GoValue {
    let Some(node) = document.node(index) else {
        return GoValue::Nil;
    };
    match node.kind {
        NodeKind::Alias { target } => build(document, target),
        NodeKind::Scalar { implicit } => scalar(document, node, implicit),
        NodeKind::Sequence => GoValue::List(
            document
                .children(index)
                .map(|child| build(document, child))
                .collect(),
        ),
        NodeKind::Mapping => {
            let mut entries = Entries::default();
            entries.fill(document, index);
            let mut entries = entries.list;
            entries.sort_by(|(a, _), (b, _)| a.compare(b));
            GoValue::Map(entries)
        }
    }
}

fn scalar(document: &Document<'_>, node: &Node<'_>, implicit: bool) -> GoValue {
    let tag = document.tag(node);
    let meaning = if tag.is_empty() && !implicit {
        Meaning::Text
    } else {
        resolve(tag, &node.value).unwrap_or(Meaning::Text)
    };
    match meaning {
        Meaning::Null => GoValue::Nil,
        Meaning::Bool(value) => GoValue::Bool(value),
        Meaning::Int(value) => GoValue::Int(value),
        Meaning::Uint(value) => GoValue::Uint(value),
        Meaning::Float(value) => GoValue::Float(value),
        Meaning::Binary | Meaning::Text | Meaning::Timestamp | Meaning::Opaque => {
            GoValue::Text(node.value.clone().into_owned())
        }
    }
}

/// A mapping under way: merges and later keys overwrite.
#[derive(Default)]
struct Entries {
    list: Vec<(GoValue, GoValue)>,
    places: HashMap<(&'static str, String), usize>,
}

impl Entries {
    fn fill(&mut self, document: &Document<'_>, index: u32) {
        let mut children = document.children(index);
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            if document.node(key).is_some_and(|key| document.is_merge(key)) {
                self.merge(document, value);
                continue;
            }
            let (key, value) = (build(document, key), build(document, value));
            let identity = (key.type_name(), key.shown(true));
            let known = self.places.get(&identity).copied();
            match known.and_then(|place| self.list.get_mut(place)) {
                Some(entry) => entry.1 = value,
                None => {
                    self.places.insert(identity, self.list.len());
                    self.list.push((key, value));
                }
            }
        }
    }

    fn merge(&mut self, document: &Document<'_>, index: u32) {
        match document.node(index).map(|node| node.kind) {
            Some(NodeKind::Mapping) => self.fill(document, index),
            Some(NodeKind::Alias { target }) => self.fill(document, target),
            Some(NodeKind::Sequence) => {
                let children: Vec<u32> = document.children(index).collect();
                for child in children.into_iter().rev() {
                    self.merge(document, child);
                }
            }
            Some(NodeKind::Scalar { .. }) | None => {}
        }
    }
}

impl GoValue {
    fn compare(&self, other: &Self) -> Ordering {
        // Not comparable are only numbers that are none; they come first among the floats.
        self.partial_cmp(other).unwrap_or_else(|| match self {
            Self::Float(value) if value.is_nan() => Ordering::Less,
            _ => Ordering::Greater,
        })
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "%!s(<nil>)",
            Self::Text(_) => "string",
            Self::Uint(_) => "uint64",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Bool(_) => "bool",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[interface {}]interface {}",
        }
    }

    /// As `%#v` prints it; `inside` a collection, nil shows its type.
    fn shown(&self, inside: bool) -> String {
        let mut out = String::new();
        self.show(inside, &mut out);
        out
    }

    fn show(&self, inside: bool, out: &mut String) {
        if out.len() > MAX_SHOWN {
            return;
        }
        match self {
            Self::Nil if inside => out.push_str("interface {}(nil)"),
            Self::Nil => out.push_str("<nil>"),
            Self::Text(text) => out.push_str(&quote(text)),
            Self::Uint(value) => out.push_str(&format!("{value:#x}")),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&float_name(*value)),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::List(items) => {
                out.push_str("[]interface {}{");
                for (nth, item) in items.iter().enumerate() {
                    out.push_str(if nth > 0 { ", " } else { "" });
                    item.show(true, out);
                }
                out.push('}');
            }
            Self::Map(entries) => {
                out.push_str("map[interface {}]interface {}{");
                for (nth, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if nth > 0 { ", " } else { "" });
                    key.show(true, out);
                    out.push(':');
                    value.show(true, out);
                }
                out.push('}');
            }
        }
    }

    fn bad_key(&self) -> Option<String> {
        match self {
            Self::List(items) => items.iter().find_map(Self::bad_key),
            Self::Map(entries) => entries.iter().find_map(|(key, value)| match key {
                Self::Nil | Self::Uint(_) => Some(format!(
                    "unsupported map key of type: {}, key: {}, value: {}",
                    key.type_name(),
                    key.shown(false),
                    value.shown(false)
                )),
                _ => value.bad_key(),
            }),
            _ => None,
        }
    }

    fn bad_number(&self) -> Option<String> {
        match self {
            Self::Float(value) if !value.is_finite() => {
                Some(format!("json: unsupported value: {}", float_name(*value)))
            }
            Self::List(items) => items.iter().find_map(Self::bad_number),
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (key.json_key(), value))
                    .collect();
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                entries.iter().find_map(|(_, value)| value.bad_number())
            }
            _ => None,
        }
    }

    fn json_key(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Float(value) => float::yaml_text_32(*value),
            _ => self.shown(true),
        }
    }
}

fn float_name(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => float::yaml_text(value),
    }
}

/// Go's `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0C' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0B' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            '\0'..='\x1F' | '\x7F' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Beyond ASCII: what Rust's own notation leaves as it is, blanks apart. After a letter, as marks
/// are escaped where they have nothing to stand on.
fn is_printable(c: char) -> bool {
    let text: String = ['a', c].iter().collect();
    text.escape_debug().count() == 2 && !c.is_whitespace()
}
