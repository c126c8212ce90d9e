//! From nodes to values: aliases, merges, keys of all types, and what JSON cannot express.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use crate::base64;
use crate::compose::{Document, MAX_DEPTH, Node, NodeKind};
use crate::error::Problem;
use crate::float;
use crate::go_value;
use crate::resolve::{Meaning, resolve};
use crate::scan::Step;

/// How numbers come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// As Go's JSON decoder gives them to who names no type: all of them floats.
    Floats,
    /// As YAML has them: integers stay integers.
    AsWritten,
}

/// Below so many nodes, 99 % may come from aliases; the share then falls evenly to 10 %.
const ALIAS_FREE_NODES: f64 = 400_000.0;
const ALIAS_TIGHT_NODES: f64 = 4_000_000.0;

/// Text that aliases may copy. The original shares it, and bounds nothing.
const MAX_ALIAS_BYTES: usize = 32 << 20;

pub(crate) fn decode(document: &Document<'_>, numbers: Numbers, strict: bool) -> Step<Value> {
    if document.is_empty() {
        return Ok(Value::Null);
    }
    let mut decoder = Decoder {
        document,
        numbers,
        strict,
        decoded: 0,
        from_aliases: 0,
        alias_depth: 0,
        alias_bytes: 0,
        open_aliases: Vec::new(),
        duplicates: Vec::new(),
        is_json: true,
    };
    let value = decoder.value(0, 0)?;
    if !decoder.duplicates.is_empty() {
        let lines = decoder.duplicates.join("\n  ");
        return Err(Problem::plain(format!(
            "yaml: unmarshal errors:\n  {lines}"
        )));
    }
    let problem = if decoder.is_json {
        None
    } else {
        go_value::not_json(document)
    };
    problem.map_or(Ok(value), Err)
}

struct Decoder<'a, 'd> {
    document: &'d Document<'a>,
    numbers: Numbers,
    strict: bool,
    decoded: usize,
    from_aliases: usize,
    alias_depth: usize,
    alias_bytes: usize,
    open_aliases: Vec<u32>,
    /// Complaints about keys written twice.
    duplicates: Vec<String>,
    /// Nothing was met that JSON cannot express. It counts only if all else is well, and only if
    /// it was not overwritten since.
    is_json: bool,
}

/// A key that is being looked at: what it reads as, and what tells it from others.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
struct Key {
    text: String,
    /// `1` and `"1"` are two keys.
    type_name: &'static str,
}

impl Key {
    fn shown(&self) -> String {
        match self.type_name {
            "string" => go_value::quote(&self.text),
            _ => self.text.clone(),
        }
    }
}

impl Decoder<'_, '_> {
    fn node(&self, index: u32) -> Step<&Node<'_>> {
        self.document
            .node(index)
            .ok_or_else(|| Problem::yaml(0, "unknown problem parsing YAML content"))
    }

    /// Counts a step, and stops documents that consist of aliases.
    fn count(&mut self, depth: usize) -> Step {
        self.decoded += 1;
        if self.alias_depth > 0 {
            self.from_aliases += 1;
            if depth > MAX_DEPTH {
                return Err(Problem::yaml(
                    0,
                    format!("exceeded max depth of {MAX_DEPTH}"),
                ));
            }
            if self.from_aliases > 100 && self.decoded > 1000 && self.is_mostly_aliases() {
                return Err(Problem::yaml(0, "document contains excessive aliasing"));
            }
        }
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a share is compared, and the counts are far below 2^52"
    )]
    fn is_mostly_aliases(&self) -> bool {
        let decoded = self.decoded as f64;
        let progress = (decoded - ALIAS_FREE_NODES) / (ALIAS_TIGHT_NODES - ALIAS_FREE_NODES);
        let allowed = 0.99 - 0.89 * progress.clamp(0.0, 1.0);
        self.from_aliases as f64 / decoded > allowed || self.alias_bytes > MAX_ALIAS_BYTES
    }

    fn value(&mut self, index: u32, depth: usize) -> Step<Value> {
        self.count(depth)?;
        let node = self.node(index)?;
        match node.kind {
            NodeKind::Scalar { implicit } => self.scalar(index, implicit),
            NodeKind::Alias { target } => {
                self.enter_alias(index)?;
                let value = self.value(target, depth + 1);
                self.leave_alias();
                value
            }
            NodeKind::Sequence => {
                let end = node.end;
                let mut items = Vec::new();
                let mut child = index + 1;
                while child < end {
                    items.push(self.value(child, depth + 1)?);
                    child = self.node(child)?.end;
                }
                Ok(Value::Array(items))
            }
            NodeKind::Mapping => {
                let mut map = Map::new();
                let mut seen = HashSet::new();
                self.mapping(index, depth, &mut map, &mut seen)?;
                Ok(Value::Object(map))
            }
        }
    }

    fn enter_alias(&mut self, index: u32) -> Step {
        if self.open_aliases.contains(&index) {
            let name = &self.node(index)?.value;
            let message = format!("anchor '{name}' value contains itself");
            return Err(Problem::yaml(0, message));
        }
        self.open_aliases.push(index);
        self.alias_depth += 1;
        Ok(())
    }

    fn leave_alias(&mut self) {
        self.open_aliases.pop();
        self.alias_depth -= 1;
    }

    fn meaning(&self, node: &Node<'_>, implicit: bool) -> Step<Meaning> {
        let tag = self.document.tag(node);
        if tag.is_empty() && !implicit {
            return Ok(Meaning::Text);
        }
        resolve(tag, &node.value)
    }

    fn scalar(&mut self, index: u32, implicit: bool) -> Step<Value> {
        let node = self.node(index)?;
        let meaning = self.meaning(node, implicit)?;
        Ok(match meaning {
            Meaning::Null => Value::Null,
            Meaning::Bool(value) => Value::Bool(value),
            Meaning::Int(value) if self.numbers == Numbers::AsWritten => value.into(),
            Meaning::Uint(value) if self.numbers == Numbers::AsWritten => value.into(),
            #[expect(
                clippy::cast_precision_loss,
                reason = "JSON decoding gives the nearest float"
            )]
            Meaning::Int(value) => self.float(value as f64),
            #[expect(
                clippy::cast_precision_loss,
                reason = "JSON decoding gives the nearest float"
            )]
            Meaning::Uint(value) => self.float(value as f64),
            Meaning::Float(value) => self.float(value),
            Meaning::Binary => Value::String(binary(&node.value)?),
            Meaning::Text | Meaning::Timestamp | Meaning::Opaque => {
                let text = node.value.clone().into_owned();
                if self.alias_depth > 0 {
                    self.alias_bytes += text.len();
                }
                Value::String(text)
            }
        })
    }

    fn float(&mut self, value: f64) -> Value {
        let number = Number::from_f64(value);
        self.is_json &= number.is_some();
        number.map_or(Value::Null, Value::Number)
    }

    fn mapping(
        &mut self,
        index: u32,
        depth: usize,
        map: &mut Map<String, Value>,
        seen: &mut HashSet<Key>,
    ) -> Step {
        let end = self.node(index)?.end;
        let mut child = index + 1;
        while child < end {
            let key = self.node(child)?;
            let value = key.end;
            let next = self.node(value)?.end;
            if self.document.is_merge(key) {
                self.merge(value, depth, map, seen)?;
                child = next;
                continue;
            }
            let key = self.key(child, depth)?;
            let found = self.value(value, depth + 1)?;
            match key {
                Some(key) if self.strict && !seen.insert(key.clone()) => {
                    let line = self.node(value)?.line + 1;
                    let shown = key.shown();
                    self.duplicates
                        .push(format!("line {line}: key {shown} already set in map"));
                }
                Some(key) => {
                    map.insert(key.text, found);
                }
                None => self.is_json = false,
            }
            child = next;
        }
        Ok(())
    }

    fn merge(
        &mut self,
        index: u32,
        depth: usize,
        map: &mut Map<String, Value>,
        seen: &mut HashSet<Key>,
    ) -> Step {
        let node = self.node(index)?;
        if node.kind != NodeKind::Sequence {
            return self.merge_one(index, depth, map, seen);
        }
        let children: Vec<u32> = self.document.children(index).collect();
        // Earlier ones take precedence, so they come last.
        children
            .into_iter()
            .rev()
            .try_for_each(|child| self.merge_one(child, depth, map, seen))
    }

    fn merge_one(
        &mut self,
        index: u32,
        depth: usize,
        map: &mut Map<String, Value>,
        seen: &mut HashSet<Key>,
    ) -> Step {
        let kind = self.node(index)?.kind;
        let target = match kind {
            NodeKind::Alias { target } => target,
            NodeKind::Scalar { .. } | NodeKind::Sequence | NodeKind::Mapping => index,
        };
        if self.node(target)?.kind != NodeKind::Mapping {
            return Err(Problem::yaml(
                0,
                "map merge requires map or sequence of maps as the value",
            ));
        }
        self.count(depth + 1)?;
        if target == index {
            return self.mapping(target, depth + 1, map, seen);
        }
        self.enter_alias(index)?;
        self.count(depth + 1)?;
        let merged = self.mapping(target, depth + 1, map, seen);
        self.leave_alias();
        merged
    }

    /// A key as text; `None` if it is one that JSON cannot have.
    fn key(&mut self, index: u32, depth: usize) -> Step<Option<Key>> {
        self.count(depth + 1)?;
        let node = self.node(index)?;
        match node.kind {
            NodeKind::Alias { target } => {
                self.enter_alias(index)?;
                let key = self.key(target, depth + 1);
                self.leave_alias();
                key
            }
            NodeKind::Sequence | NodeKind::Mapping => {
                // What is wrong inside is found first.
                self.decoded -= 1;
                self.value(index, depth + 1)?;
                Err(go_value::invalid_key(self.document, index))
            }
            NodeKind::Scalar { implicit } => {
                let (text, type_name) = match self.meaning(node, implicit)? {
                    Meaning::Null | Meaning::Uint(_) => return Ok(None),
                    Meaning::Bool(value) => (value.to_string(), "bool"),
                    Meaning::Int(value) => (value.to_string(), "int"),
                    Meaning::Float(value) => (float::yaml_text_32(value), "float64"),
                    Meaning::Binary => (binary(&node.value)?, "string"),
                    Meaning::Text | Meaning::Timestamp | Meaning::Opaque => {
                        (node.value.clone().into_owned(), "string")
                    }
                };
                Ok(Some(Key { text, type_name }))
            }
        }
    }
}

fn binary(value: &str) -> Step<String> {
    base64::decode(value)
        .map(|bytes| base64::go_text(&bytes))
        .ok_or_else(|| Problem::yaml(0, "!!binary value contains invalid base64 data"))
}
