//! Writes TOML as the BurntSushi encoder does: plain keys before tables, both sorted, two blanks of
//! indentation per level, an empty line before each top-level table.

use helm_template::{Map, Str, Value};

use crate::go::{MAX_DEPTH, MAX_RESULT_BYTES, print};
use crate::time::TimeValue;

/// One value as a TOML document.
///
/// # Errors
/// The encoder's text for lists with nil in them and for values that are no table.
pub(crate) fn write(value: &Value) -> Result<Str, String> {
    let mut writer = Writer { out: Vec::new() };
    writer.encode(&mut Vec::new(), &plain(value), 0)?;
    Ok(writer.out.into())
}

/// What the encoder calls the type of a value.
#[derive(PartialEq, Eq)]
enum Sort {
    Nothing,
    Scalar,
    Array,
    Table,
    Tables,
}

/// Objects as the data they stand for; a time stays, as it is written without quotes.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(object) if value.as_object::<TimeValue>().is_none() => {
            object.to_data().unwrap_or_else(|| {
                let fields = object.fields().into_iter();
                Value::map(fields.map(|(name, value)| (Str::from(name), value)))
            })
        }
        other => other.clone(),
    }
}

fn sort_of(value: &Value, depth: usize) -> Result<Sort, String> {
    if depth > MAX_DEPTH {
        return Err("toml: values are nested too deeply".to_owned());
    }
    Ok(match value {
        Value::Nil => Sort::Nothing,
        Value::Map(map) if map.is_nil() => Sort::Nothing,
        Value::Map(_) => Sort::Table,
        Value::List(list) if list.is_nil() => Sort::Nothing,
        Value::List(list) => {
            let mut tables = !list.is_empty();
            for item in list.items() {
                match sort_of(&plain(item), depth + 1)? {
                    Sort::Nothing => {
                        return Err("toml: cannot encode array with nil element".to_owned());
                    }
                    Sort::Table => {}
                    Sort::Scalar | Sort::Array | Sort::Tables => tables = false,
                }
            }
            if tables { Sort::Tables } else { Sort::Array }
        }
        Value::Bytes(_) => Sort::Array,
        _ => Sort::Scalar,
    })
}

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn push(&mut self, text: impl AsRef<[u8]>) {
        self.out.extend_from_slice(text.as_ref());
    }

    /// An empty line, unless nothing has been written yet.
    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, path: &[Str]) {
        for _ in 1..path.len() {
            self.push("  ");
        }
    }

    fn encode(&mut self, path: &mut Vec<Str>, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH || self.out.len() > MAX_RESULT_BYTES {
            return Err("toml: values are nested too deeply".to_owned());
        }
        match (sort_of(value, depth)?, value) {
            (Sort::Nothing, _) => Ok(()),
            (Sort::Table, Value::Map(map)) => {
                if path.len() == 1 {
                    self.newline();
                }
                if !path.is_empty() {
                    self.heading(path, "[", "]");
                }
                self.table(path, map, depth)
            }
            (Sort::Tables, Value::List(list)) => {
                if path.is_empty() {
                    return Err("toml: top-level values must be Go maps or structs".to_owned());
                }
                for item in list.items() {
                    if let Value::Map(map) = plain(item) {
                        self.newline();
                        self.heading(path, "[[", "]]");
                        self.table(path, &map, depth)?;
                    }
                }
                Ok(())
            }
            _ => {
                if let Some(key) = path.last().cloned() {
                    self.indent(path);
                    self.key(&key);
                    self.push(" = ");
                    self.element(value, depth)?;
                    self.push("\n");
                    Ok(())
                } else {
                    self.element(value, depth)
                }
            }
        }
    }

    fn heading(&mut self, path: &[Str], open: &str, close: &str) {
        self.indent(path);
        self.push(open);
        for (key, at) in path.iter().zip(0..) {
            if at > 0 {
                self.push(".");
            }
            self.key(key);
        }
        self.push(close);
        self.push("\n");
    }

    fn key(&mut self, key: &Str) {
        let bare = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !key.is_empty() && key.as_bytes().iter().all(bare) {
            self.push(key);
        } else {
            self.quoted(key.as_bytes());
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for byte in text {
            match byte {
                b'"' => self.push("\\\""),
                b'\\' => self.push("\\\\"),
                b'\x08' => self.push("\\b"),
                b'\t' => self.push("\\t"),
                b'\n' => self.push("\\n"),
                b'\x0c' => self.push("\\f"),
                b'\r' => self.push("\\r"),
                0..=0x1f | 0x7f => self.push(format!("\\u{byte:04x}")),
                other => self.out.push(*other),
            }
        }
        self.out.push(b'"');
    }

    /// Keys with plain values first, then those with tables.
    fn parted(map: &Map, depth: usize) -> Result<[Vec<(Str, Value)>; 2], String> {
        let (mut direct, mut tables) = (Vec::new(), Vec::new());
        for (key, value) in map.to_vec() {
            let value = plain(&value);
            match sort_of(&value, depth + 1)? {
                Sort::Table | Sort::Tables => tables.push((key, value)),
                Sort::Nothing | Sort::Scalar | Sort::Array => direct.push((key, value)),
            }
        }
        Ok([direct, tables])
    }

    fn table(&mut self, path: &mut Vec<Str>, map: &Map, depth: usize) -> Result<(), String> {
        for (key, value) in Self::parted(map, depth)?.into_iter().flatten() {
            path.push(key);
            self.encode(path, &value, depth + 1)?;
            path.pop();
        }
        Ok(())
    }

    /// A value inside an array, or after a key.
    fn element(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("toml: values are nested too deeply".to_owned());
        }
        match value {
            Value::Str(text) => self.quoted(text.as_bytes()),
            Value::Float(number) => self.float(*number)?,
            Value::Duration(nanos) => {
                self.quoted(helm_template::format_duration(*nanos).as_bytes());
            }
            Value::List(list) => {
                self.push("[");
                for (item, at) in list.items().iter().zip(0..) {
                    if at > 0 {
                        self.push(", ");
                    }
                    self.element(&plain(item), depth + 1)?;
                }
                self.push("]");
            }
            Value::Bytes(bytes) => {
                let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
                self.push(format!("[{}]", numbers.join(", ")));
            }
            Value::Map(map) => self.inline_table(map, depth)?,
            Value::Object(_) => {
                if let Some(time) = value.as_object::<TimeValue>() {
                    let text = time.0.format(b"2006-01-02T15:04:05.999999999Z07:00");
                    self.push(text);
                }
            }
            other => {
                let text = print(other).map_err(|error| error.to_string())?;
                self.push(text);
            }
        }
        Ok(())
    }

    fn float(&mut self, number: f64) -> Result<(), String> {
        if number.is_nan() {
            self.push("nan");
        } else if number.is_infinite() {
            self.push(if number > 0.0 { "inf" } else { "-inf" });
        } else {
            let text = print(&Value::Float(number)).map_err(|error| error.to_string())?;
            self.push(&text);
            if !text.as_bytes().iter().any(|b| matches!(b, b'e' | b'.')) {
                self.push(".0");
            }
        }
        Ok(())
    }

    /// A skipped nil leaves the comma before it, as in Go.
    fn inline_table(&mut self, map: &Map, depth: usize) -> Result<(), String> {
        let [direct, tables] = Self::parted(map, depth)?;
        self.push("{");
        let more = !tables.is_empty();
        for (keys, more) in [(direct, more), (tables, false)] {
            let count = keys.len();
            for ((key, value), at) in keys.into_iter().zip(1..) {
                if value.is_nil() {
                    continue;
                }
                self.key(&key);
                self.push(" = ");
                self.element(&value, depth + 1)?;
                if more || at != count {
                    self.push(", ");
                }
            }
        }
        self.push("}");
        Ok(())
    }
}
