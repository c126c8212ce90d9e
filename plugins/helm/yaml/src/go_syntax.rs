//! Values in Go's `%#v` notation, for the two errors that show one.

use crate::compose::{Document, Node, NodeKind};
use crate::float;
use crate::resolve::{Meaning, resolve};

/// Characters that an error shows at most; a huge key helps nobody.
const MAX_SHOWN: usize = 64 << 10;

/// A key that was already decoded to text.
pub(crate) fn key(text: &str, type_name: &str) -> String {
    if type_name == "string" {
        quote(text)
    } else {
        text.to_owned()
    }
}

/// A mapping or sequence, as Go prints it.
pub(crate) fn show(document: &Document<'_>, index: u32) -> String {
    let mut shown = String::new();
    Printer { document }.write(index, false, &mut shown);
    shown
}

/// The complaint about a key that JSON has no place for.
pub(crate) fn show_entry(document: &Document<'_>, key: u32, value: u32) -> String {
    let printer = Printer { document };
    let mut key_text = String::new();
    printer.write(key, false, &mut key_text);
    let mut value_text = String::new();
    printer.write(value, false, &mut value_text);
    let type_name = if key_text == "<nil>" {
        "%!s(<nil>)"
    } else {
        "uint64"
    };
    format!("unsupported map key of type: {type_name}, key: {key_text}, value: {value_text}")
}

struct Printer<'a, 'd> {
    document: &'d Document<'a>,
}

impl Printer<'_, '_> {
    /// `inside` a collection, nil shows its type.
    fn write(&self, index: u32, inside: bool, out: &mut String) {
        let Some(node) = self.document.node(index) else {
            return;
        };
        if out.len() > MAX_SHOWN {
            return;
        }
        match node.kind {
            NodeKind::Alias { target } => self.write(target, inside, out),
            NodeKind::Scalar { implicit } => out.push_str(&self.scalar(node, implicit, inside)),
            NodeKind::Sequence => {
                out.push_str("[]interface {}{");
                let mut child = index + 1;
                while let Some(item) = self.document.node(child).filter(|_| child < node.end) {
                    if child > index + 1 {
                        out.push_str(", ");
                    }
                    self.write(child, true, out);
                    child = item.end;
                }
                out.push('}');
            }
            NodeKind::Mapping => {
                out.push_str("map[interface {}]interface {}{");
                for (nth, (key, value)) in self.entries(index, node).into_iter().enumerate() {
                    if nth > 0 {
                        out.push_str(", ");
                    }
                    out.push_str(&key);
                    out.push(':');
                    self.write(value, true, out);
                }
                out.push('}');
            }
        }
    }

    /// Entries in Go's order: nil, then by type and value; the last of equal keys.
    fn entries(&self, index: u32, node: &Node<'_>) -> Vec<(String, u32)> {
        let mut entries: Vec<(Order, String, u32)> = Vec::new();
        let mut child = index + 1;
        while let Some(key) = self.document.node(child).filter(|_| child < node.end) {
            let value = key.end;
            let mut text = String::new();
            self.write(child, true, &mut text);
            let order = self.order(key);
            entries.retain(|(_, known, _)| *known != text);
            entries.push((order, text, value));
            child = self.document.node(value).map_or(node.end, |node| node.end);
        }
        entries.sort_by(|(a, ..), (b, ..)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        entries
            .into_iter()
            .map(|(_, text, value)| (text, value))
            .collect()
    }

    fn order(&self, node: &Node<'_>) -> Order {
        let NodeKind::Scalar { implicit } = node.kind else {
            return Order::Nil;
        };
        match self.meaning(node, implicit) {
            Meaning::Null => Order::Nil,
            Meaning::Int(value) => Order::Int(value),
            Meaning::Uint(value) => Order::Uint(value),
            Meaning::Float(value) => Order::Float(value),
            Meaning::Bool(value) => Order::Bool(value),
            _ => Order::Text(node.value.clone().into_owned()),
        }
    }

    fn meaning(&self, node: &Node<'_>, implicit: bool) -> Meaning {
        let tag = self.document.tag(node);
        if tag.is_empty() && !implicit {
            return Meaning::Text;
        }
        resolve(tag, &node.value).unwrap_or(Meaning::Text)
    }

    fn scalar(&self, node: &Node<'_>, implicit: bool, inside: bool) -> String {
        match self.meaning(node, implicit) {
            Meaning::Null if inside => "interface {}(nil)".to_owned(),
            Meaning::Null => "<nil>".to_owned(),
            Meaning::Bool(value) => value.to_string(),
            Meaning::Int(value) => value.to_string(),
            Meaning::Uint(value) => format!("{value:#x}"),
            Meaning::Float(value) if value.is_nan() => "NaN".to_owned(),
            Meaning::Float(value) if value.is_infinite() => {
                if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
            }
            Meaning::Float(value) => float::yaml_text(value),
            Meaning::Text | Meaning::Timestamp | Meaning::Opaque | Meaning::Binary => {
                quote(&node.value)
            }
        }
    }
}

/// Map keys in the order of Go's `internal/fmtsort`: by kind as the machine numbers them.
#[derive(Debug, PartialEq, PartialOrd)]
enum Order {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
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

/// Beyond ASCII: what Rust's own notation leaves as it is, blanks apart.
fn is_printable(c: char) -> bool {
    c.escape_debug().count() == 1 && !c.is_whitespace()
}
