//! Writing JSON: keys in byte order, floats and escapes as Go has them.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use crate::float;

/// `json.Marshal`: no blanks, and `<`, `>`, `&`, U+2028 and U+2029 escaped.
pub fn to_json(value: &Value) -> String {
    write(value, true, false)
}

/// As `to_json`, with `<`, `>` and `&` as they are.
pub fn to_raw_json(value: &Value) -> String {
    write(value, false, false)
}

/// As `to_json`, on lines indented by two blanks.
pub fn to_pretty_json(value: &Value) -> String {
    write(value, true, true)
}

fn write(value: &Value, escape_html: bool, pretty: bool) -> String {
    let mut writer = Writer {
        out: String::new(),
        escape_html,
        pretty,
        level: 0,
    };
    writer.value(value);
    writer.out
}

struct Writer {
    out: String,
    escape_html: bool,
    pretty: bool,
    level: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(number) => self.out.push_str(&number_text(number)),
            Value::String(text) => self.string(text),
            Value::Array(items) if items.is_empty() => self.out.push_str("[]"),
            Value::Array(items) => {
                self.open('[');
                for (nth, item) in items.iter().enumerate() {
                    self.separate(nth);
                    self.value(item);
                }
                self.close(']');
            }
            Value::Object(map) if map.is_empty() => self.out.push_str("{}"),
            Value::Object(map) => {
                self.open('{');
                for (nth, (key, value)) in sorted(map).into_iter().enumerate() {
                    self.separate(nth);
                    self.string(key);
                    self.out.push_str(if self.pretty { ": " } else { ":" });
                    self.value(value);
                }
                self.close('}');
            }
        }
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.level += 1;
    }

    fn close(&mut self, bracket: char) {
        self.level -= 1;
        self.new_line();
        self.out.push(bracket);
    }

    fn separate(&mut self, nth: usize) {
        if nth > 0 {
            self.out.push(',');
        }
        self.new_line();
    }

    fn new_line(&mut self) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend((0..self.level).map(|_| "  "));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut from = 0;
        for (at, c) in text.char_indices() {
            let escape = match c {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\x08' => "\\b",
                '\x0C' => "\\f",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                '<' if self.escape_html => "\\u003c",
                '>' if self.escape_html => "\\u003e",
                '&' if self.escape_html => "\\u0026",
                '\0'..='\x1F' => "",
                _ => continue,
            };
            self.out.push_str(text.get(from..at).unwrap_or(""));
            self.out.push_str(escape);
            if escape.is_empty() {
                // Writing into a string cannot fail.
                let _ = write!(self.out, "\\u{:04x}", u32::from(c));
            }
            from = at + c.len_utf8();
        }
        self.out.push_str(text.get(from..).unwrap_or(""));
        self.out.push('"');
    }
}

/// Entries in byte order of their keys, whatever order the map keeps.
fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    if !entries.is_sorted_by_key(|(key, _)| *key) {
        entries.sort_by_key(|(key, _)| *key);
    }
    entries
}

pub(crate) fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float::json_text(value),
        _ => number.to_string(),
    }
}
