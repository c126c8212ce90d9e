//! The parser behind `--set-literal`: one name, and everything after `=` as it is.

use serde_json::{Map, Value};

use super::{
    MAX_NESTED, Step, Stop, failed, index_of, quote_runes, set, set_index, take_list, take_map,
};
use crate::gotext::quote;

/// `--set-literal`: the value is the rest of the text, whatever it holds.
///
/// # Errors
/// Helm's words.
pub fn parse_literal(text: &str, target: &mut Map<String, Value>) -> Result<(), String> {
    let mut parser = Literal { rest: text };
    loop {
        match parser.key(target, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
}

struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        match self.rest.find(stops) {
            Some(at) => {
                let (text, rest) = self.rest.split_at(at);
                let mut rest = rest.chars();
                let last = rest.next();
                self.rest = rest.as_str();
                (text.to_owned(), last)
            }
            None => (std::mem::take(&mut self.rest).to_owned(), None),
        }
    }

    fn all(&mut self) -> Value {
        std::mem::take(&mut self.rest).into()
    }

    fn key(&mut self, target: &mut Map<String, Value>, nested: usize) -> Step<()> {
        let (key, last) = self.until(&['=', '[', '.']);
        match last {
            None if key.is_empty() => Err(Stop::End),
            None => failed(format!("key {} has no value", quote(&key))),
            Some('=') => {
                let value = self.all();
                set(target, key, value);
                Ok(())
            }
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
                let index = self.index()?;
                let list = take_list(target, &key)?;
                let kept = list.clone();
                match self.item(list, index, nested) {
                    Ok(list) => {
                        set(target, key, Value::Array(list));
                        Ok(())
                    }
                    Err(error) => {
                        set(target, key, Value::Array(kept));
                        Err(error)
                    }
                }
            }
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

    fn item(&mut self, mut list: Vec<Value>, index: i64, nested: usize) -> Step<Vec<Value>> {
        let Ok(at) = usize::try_from(index) else {
            return failed(format!("negative {index} index not allowed"));
        };
        let (text, last) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return failed(format!(
                "unexpected data at end of array index: {}",
                quote_runes(&text)
            ));
        }
        match last {
            None => Err(Stop::End),
            Some('=') => {
                let value = self.all();
                set_index(list, index, value)
            }
            Some('.') => {
                let mut inner = match list.get_mut(at) {
                    Some(Value::Object(map)) => std::mem::take(map),
                    _ => Map::new(),
                };
                self.key(&mut inner, nested)?;
                set_index(list, index, Value::Object(inner))
            }
            Some(_) => {
                let next = self.index()?;
                let inner = match list.get(at) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(inner)) => inner.clone(),
                    Some(other) => return Err(super::conversion(other, "[]interface {}")),
                };
                let inner = self.item(inner, next, nested)?;
                set_index(list, index, Value::Array(inner))
            }
        }
    }
}
