//! Writes JSON as Go's `encoding/json`: keys by bytes, floats its way, HTML escaped unless raw.

use helm_template::strconv::format_float;
use helm_template::{Map, Object, Str, Value};

use crate::go::{MAX_DEPTH, MAX_RESULT_BYTES, next_rune};

/// How to write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// No blanks; `<`, `>` and `&` escaped.
    Compact,
    /// Two blanks per level; `<`, `>` and `&` escaped.
    Pretty,
    /// No blanks; `<`, `>` and `&` as they are.
    Raw,
}

/// One value as JSON.
///
/// # Errors
/// Go's text for NaN, infinities and maps that hold themselves.
pub(crate) fn write(value: &Value, style: Style) -> Result<String, String> {
    let mut writer = Writer {
        out: String::new(),
        style,
    };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    style: Style,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "json: unsupported value: encountered a cycle via {}",
                value.type_name()
            ));
        }
        if self.out.len() > MAX_RESULT_BYTES {
            return Err("json: result is too large".to_owned());
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(number) | Value::Int64(number) | Value::Duration(number) => {
                self.out.push_str(&number.to_string());
            }
            Value::Int32(number) => self.out.push_str(&number.to_string()),
            Value::Uint8(number) => self.out.push_str(&number.to_string()),
            Value::Uint32(number) => self.out.push_str(&number.to_string()),
            Value::Uint64(number) => self.out.push_str(&number.to_string()),
            Value::Float(number) => self.out.push_str(&float(*number)?),
            Value::Str(text) => self.text(text),
            Value::Bytes(bytes) => self.text(&super::base::encode64(bytes).into()),
            Value::List(list) if list.is_nil() => self.out.push_str("null"),
            Value::List(list) => self.list(list.items(), depth)?,
            Value::Map(map) if map.is_nil() => self.out.push_str("null"),
            Value::Map(map) => self.object(map.to_vec(), depth)?,
            Value::Object(value) => self.host_object(value.as_ref(), depth)?,
        }
        Ok(())
    }

    /// Apart from [`Self::value`], whose frame is on the stack once for each level of nesting.
    fn host_object(&mut self, object: &dyn Object, depth: usize) -> Result<(), String> {
        match object.to_data() {
            Some(Value::Map(map)) => self.object(in_order(object, &map), depth),
            Some(data) => self.value(&data, depth),
            None => {
                let fields = object.fields().into_iter();
                let named = fields.map(|(name, value)| (Str::from(name), value));
                self.object(named.collect(), depth)
            }
        }
    }

    fn list(&mut self, items: &[Value], depth: usize) -> Result<(), String> {
        self.out.push('[');
        for (item, at) in items.iter().zip(0usize..) {
            self.separate(at, depth + 1);
            self.value(item, depth + 1)?;
        }
        self.close(items.is_empty(), depth, ']');
        Ok(())
    }

    fn object(&mut self, entries: Vec<(Str, Value)>, depth: usize) -> Result<(), String> {
        self.out.push('{');
        let empty = entries.is_empty();
        for ((key, value), at) in entries.into_iter().zip(0usize..) {
            self.separate(at, depth + 1);
            self.text(&key);
            self.out.push_str(if self.style == Style::Pretty {
                ": "
            } else {
                ":"
            });
            self.value(&value, depth + 1)?;
        }
        self.close(empty, depth, '}');
        Ok(())
    }

    fn separate(&mut self, at: usize, depth: usize) {
        if at > 0 {
            self.out.push(',');
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if self.style == Style::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn text(&mut self, text: &Str) {
        self.out.push('"');
        let mut rest = text.as_bytes();
        while let Some((rune, width)) = next_rune(rest) {
            let invalid = rune == char::REPLACEMENT_CHARACTER && width == 1;
            rest = rest.get(width..).unwrap_or_default();
            match rune {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                '<' | '>' | '&' if self.style != Style::Raw => self.escape(rune),
                '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => self.escape(rune),
                _ if invalid => self.out.push_str("\\ufffd"),
                _ => self.out.push(rune),
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, rune: char) {
        self.out.push_str(&format!("\\u{:04x}", u32::from(rune)));
    }
}

/// The entries of a struct in the order of its fields.
fn in_order(object: &dyn Object, map: &Map) -> Vec<(Str, Value)> {
    let fields = object.fields();
    let place = |key: &Str| {
        let mut names = fields.iter().map(|(name, _)| name.as_bytes());
        names.position(|name| name == key.as_bytes())
    };
    let mut entries = map.to_vec();
    entries.sort_by_key(|(key, _)| place(key).unwrap_or(usize::MAX));
    entries
}

/// The shortest digits, with an exponent below 1e-6 and from 1e21 on.
pub(crate) fn float(value: f64) -> Result<String, String> {
    if !value.is_finite() {
        let name = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return Err(format!("json: unsupported value: {name}"));
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format_float(value, 'e', None);
        // Go's JSON drops the zero that its printing puts before a small exponent.
        return Ok(match text.split_once("e-0") {
            Some((mantissa, exponent)) => format!("{mantissa}e-{exponent}"),
            None => text,
        });
    }
    Ok(format_float(value, 'f', None))
}
