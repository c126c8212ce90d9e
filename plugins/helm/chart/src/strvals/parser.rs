//! The parser behind `--set`, `--set-string`, `--set-json` and `--set-file`.

use serde_json::{Map, Value};

use super::{
    MAX_NESTED, Step, Stop, failed, index_of, quote_runes, set, set_index, take_list, take_map,
};
use crate::decode::floats;
use crate::gotext::quote;

/// What becomes of the text of a value.
pub(super) enum Reading<'a> {
    Typed,
    Text,
    Json,
    File(&'a mut dyn FnMut(&str) -> Result<Vec<u8>, String>),
}

pub(super) struct Parser<'a> {
    rest: &'a str,
    reading: Reading<'a>,
}

/// What stood where a value may be.
enum Found {
    List(Vec<Value>),
    Scalar,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, reading: Reading<'a>) -> Self {
        Self {
            rest: text,
            reading,
        }
    }

    pub(super) fn run(mut self, target: &mut Map<String, Value>) -> Result<(), String> {
        loop {
            match self.key(target, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// Text up to one of the stops, with `\` taking the next character as it is.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if stops.contains(&c) {
                return (text, Some(c));
            }
            if c == '\\' {
                match self.next() {
                    Some(next) => text.push(next),
                    None => return (text, None),
                }
            } else {
                text.push(c);
            }
        }
        (text, None)
    }

    fn key(&mut self, target: &mut Map<String, Value>, nested: usize) -> Step<()> {
        let (key, last) = self.until(&['=', '[', ',', '.']);
        match last {
            None if key.is_empty() => Err(Stop::End),
            None => failed(format!("key {} has no value", quote(&key))),
            Some('[') => {
                let index = self.index()?;
                let list = take_list(target, &key)?;
                let (list, result) = self.item(list, index, nested);
                set(target, key, Value::Array(list));
                result
            }
            Some('=') => self.value(target, key),
            Some('.') => {
                if nested >= MAX_NESTED {
                    return failed(format!(
                        "value name nested level is greater than maximum supported nested level of {MAX_NESTED}"
                    ));
                }
                let mut inner = take_map(target, &key)?;
                let result = self.key(&mut inner, nested + 1);
                if result.is_ok() && inner.is_empty() {
                    return failed(format!("key map {} has no value", quote(&key)));
                }
                if !inner.is_empty() {
                    set(target, key, Value::Object(inner));
                }
                result
            }
            Some(_) => {
                set(target, key.clone(), "".into());
                failed(format!(
                    "key {} has no value (cannot end with ,)",
                    quote(&key)
                ))
            }
        }
    }

    fn value(&mut self, target: &mut Map<String, Value>, key: String) -> Step<()> {
        if matches!(self.reading, Reading::Json) {
            let value = if self.is_blank() {
                Value::Null
            } else {
                self.json()?
            };
            set(target, key, value);
            return Ok(());
        }
        match self.list() {
            Ok(Found::List(list)) => {
                set(target, key, Value::Array(list));
                Ok(())
            }
            Ok(Found::Scalar) => {
                let (text, _) = self.until(&[',']);
                let (value, result) = self.read(text);
                set(target, key, value);
                result
            }
            Err(Stop::End) => {
                set(target, key, "".into());
                Err(Stop::End)
            }
            Err(error) => Err(error),
        }
    }

    fn index(&mut self) -> Step<i64> {
        let (text, last) = self.until(&[']']);
        if last.is_none() {
            // Helm takes the end of the text for a good end, even here.
            return Err(Stop::End);
        }
        index_of(&text).map_err(Stop::Failed)
    }

    /// The rest of a name after `]`; the list comes back in any case.
    fn item(&mut self, list: Vec<Value>, index: i64, nested: usize) -> (Vec<Value>, Step<()>) {
        let Ok(at) = usize::try_from(index) else {
            return (list, failed(format!("negative {index} index not allowed")));
        };
        let (text, last) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            let error = failed(format!(
                "unexpected data at end of array index: {}",
                quote_runes(&text)
            ));
            return (list, error);
        }
        match last {
            None => (list, Err(Stop::End)),
            Some('=') => self.item_value(list, index),
            Some('[') => {
                let next = match self.index() {
                    Ok(next) => next,
                    Err(error) => return (list, Err(error)),
                };
                let inner = match list.get(at) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(inner)) => inner.clone(),
                    Some(other) => {
                        let error = super::conversion(other, "[]interface {}");
                        return (list, Err(error));
                    }
                };
                match self.item(inner, next, nested) {
                    (inner, Ok(())) => put(list, index, Value::Array(inner)),
                    (_, Err(error)) => (list, Err(error)),
                }
            }
            Some(_) => {
                let mut list = list;
                let mut inner = match list.get_mut(at) {
                    Some(Value::Object(map)) => std::mem::take(map),
                    _ => Map::new(),
                };
                let result = self.key(&mut inner, nested);
                match result {
                    Ok(()) => put(list, index, Value::Object(inner)),
                    Err(error) => {
                        if let Some(slot) = list.get_mut(at) {
                            *slot = Value::Object(inner);
                        }
                        (list, Err(error))
                    }
                }
            }
        }
    }

    fn item_value(&mut self, list: Vec<Value>, index: i64) -> (Vec<Value>, Step<()>) {
        if matches!(self.reading, Reading::Json) {
            if self.is_blank() {
                return put(list, index, Value::Null);
            }
            return match self.json() {
                Ok(value) => put(list, index, value),
                Err(error) => (list, Err(error)),
            };
        }
        match self.list() {
            Ok(Found::List(items)) => put(list, index, Value::Array(items)),
            Err(Stop::End) => put(list, index, "".into()),
            Ok(Found::Scalar) => {
                let (text, _) = self.until(&[',']);
                match self.read(text) {
                    (value, Ok(())) => put(list, index, value),
                    (_, Err(error)) => (list, Err(error)),
                }
            }
            Err(error) => (list, Err(error)),
        }
    }

    /// Takes blanks, and a comma or the end after them.
    fn is_blank(&mut self) -> bool {
        let mut chars = self.rest.chars();
        loop {
            let before = chars.as_str();
            match chars.next() {
                None => {
                    self.rest = "";
                    return true;
                }
                Some(',') => {
                    self.rest = chars.as_str();
                    return true;
                }
                Some(c) if c.is_whitespace() => {}
                Some(_) => {
                    self.rest = before;
                    return false;
                }
            }
        }
    }

    /// One JSON value, and the blanks and comma after it.
    fn json(&mut self) -> Step<Value> {
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return failed(error.to_string()),
            None => return Err(Stop::End),
        };
        let taken = stream.byte_offset();
        self.rest = self.rest.get(taken..).unwrap_or_default();
        self.is_blank();
        Ok(floats(value))
    }

    fn list(&mut self) -> Step<Found> {
        if self.rest.is_empty() {
            return Err(Stop::End);
        }
        let Some(rest) = self.rest.strip_prefix('{') else {
            return Ok(Found::Scalar);
        };
        self.rest = rest;
        let mut items = Vec::new();
        loop {
            let (text, last) = self.until(&[',', '}']);
            let Some(last) = last else {
                return failed("list must terminate with '}'");
            };
            let (value, result) = self.read(text);
            result?;
            items.push(value);
            if last == '}' {
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                return Ok(Found::List(items));
            }
        }
    }

    fn read(&mut self, text: String) -> (Value, Step<()>) {
        match &mut self.reading {
            Reading::Typed => (typed(text), Ok(())),
            Reading::Text | Reading::Json => (text.into(), Ok(())),
            Reading::File(read) => match read(&text) {
                Ok(bytes) => (String::from_utf8_lossy(&bytes).into(), Ok(())),
                Err(error) => (Value::Null, failed(error)),
            },
        }
    }
}

fn put(list: Vec<Value>, index: i64, value: Value) -> (Vec<Value>, Step<()>) {
    let kept = if usize::try_from(index).is_ok_and(|at| at <= super::MAX_INDEX) {
        None
    } else {
        Some(list.clone())
    };
    match set_index(list, index, value) {
        Ok(list) => (list, Ok(())),
        Err(error) => (kept.unwrap_or_default(), Err(error)),
    }
}

fn typed(text: String) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return true.into();
    }
    if text.eq_ignore_ascii_case("false") {
        return false.into();
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return 0_i64.into();
    }
    if !text.starts_with('0')
        && let Ok(number) = text.parse::<i64>()
    {
        return number.into();
    }
    text.into()
}
