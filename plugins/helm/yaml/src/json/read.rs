//! Reading JSON: Go's grammar, and its words where a text breaks it.

use serde_json::{Map, Number, Value};

use crate::compose::MAX_DEPTH;
use crate::error::{Error, Problem};
use crate::expect;
use crate::go_value::quote;

/// `json.Unmarshal` into a `map[string]any`; `null` gives an empty map. All numbers are floats.
///
/// # Errors
/// Bad JSON, or JSON that is no object.
pub fn from_json(text: &str) -> Result<Value, Error> {
    parse(text, expect::object)
}

/// `json.Unmarshal` into a `[]any`; `null` gives an empty list. All numbers are floats.
///
/// # Errors
/// Bad JSON, or JSON that is no array.
pub fn from_json_array(text: &str) -> Result<Value, Error> {
    parse(text, expect::array)
}

/// `json.Unmarshal` into an `any`. All numbers are floats.
///
/// # Errors
/// Bad JSON, or a number beyond the floats.
pub fn from_json_any(text: &str) -> Result<Value, Error> {
    parse(text, Ok)
}

/// As [`from_json`], but for numbers beyond the floats: they are `null` in what was read, and the
/// error names the first, as Go's decoder goes on behind them.
///
/// # Errors
/// As [`from_json`], numbers excepted.
pub fn from_json_partly(text: &str) -> Result<(Value, Option<Error>), Error> {
    parse_partly(text, expect::object)
}

fn parse(text: &str, check: fn(Value) -> Result<Value, Problem>) -> Result<Value, Error> {
    match parse_partly(text, check)? {
        (value, None) => Ok(value),
        (_, Some(error)) => Err(error),
    }
}

/// What is wrong comes in this order: the grammar, as the whole text is checked before it is
/// decoded; the kind of the whole; a number.
fn parse_partly(
    text: &str,
    check: fn(Value) -> Result<Value, Problem>,
) -> Result<(Value, Option<Error>), Error> {
    let mut reader = Reader {
        text,
        at: 0,
        too_large: None,
    };
    let mut value = reader
        .document::<Value>()
        .map_err(|text| Error::Json(Problem::plain(text)))?;
    if value.is_null() && reader.too_large.is_some() {
        // A number still, so that the kind of the whole is judged as that of one.
        value = Value::from(0);
    }
    let value = check(value).map_err(Error::Json)?;
    let beyond = reader.too_large.map(|number| {
        Error::Json(Problem::plain(format!(
            "json: cannot unmarshal number {number} into Go value of type float64"
        )))
    });
    Ok((value, beyond))
}

/// What JSON is read into.
pub trait Json: Sized {
    /// `null`
    fn null() -> Self;
    /// `true` or `false`
    fn bool(value: bool) -> Self;
    /// A number as it was written; none where it is beyond what can be held.
    fn number(text: &str) -> Option<Self>;
    /// A text, its escapes resolved.
    fn string(text: String) -> Self;
    /// An array.
    fn array(items: Vec<Self>) -> Self;
    /// An object, in the order in which it was written; of equal keys the last counts.
    fn object(entries: Vec<(String, Self)>) -> Self;
}

impl Json for Value {
    fn null() -> Self {
        Self::Null
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(text: &str) -> Option<Self> {
        let number = text.parse().ok().and_then(Number::from_f64);
        number.map(Self::Number)
    }

    fn string(text: String) -> Self {
        Self::String(text)
    }

    fn array(items: Vec<Self>) -> Self {
        Self::Array(items)
    }

    fn object(entries: Vec<(String, Self)>) -> Self {
        Self::Object(Map::from_iter(entries))
    }
}

/// Reads JSON into anything.
///
/// # Errors
/// Bad JSON, in Go's words.
pub fn read_json<T: Json>(text: &str) -> Result<T, String> {
    let mut reader = Reader {
        text,
        at: 0,
        too_large: None,
    };
    reader.document()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    too_large: Option<String>,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The complaint about the byte in front, or about the end.
    fn fail<T>(&self, context: &str) -> Read<T> {
        Err(match self.peek() {
            None => "unexpected end of JSON input".to_owned(),
            Some(byte) => format!("invalid character {} {context}", quote_byte(byte)),
        })
    }

    /// The same within a word, a number or an escape, which the original takes to end in a blank.
    fn fail_inside<T>(&self, context: &str) -> Read<T> {
        match self.peek() {
            None => Err(format!("invalid character ' ' {context}")),
            Some(_) => self.fail(context),
        }
    }

    fn document<T: Json>(&mut self) -> Read<T> {
        self.skip_blanks();
        let value = self.value(0)?;
        self.skip_blanks();
        match self.peek() {
            None => Ok(value),
            Some(_) => self.fail("after top-level value"),
        }
    }

    fn value<T: Json>(&mut self, depth: usize) -> Read<T> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(T::string),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", T::bool(true)),
            Some(b'f') => self.word("false", T::bool(false)),
            Some(b'n') => self.word("null", T::null()),
            _ => self.fail("looking for beginning of value"),
        }
    }

    fn word<T>(&mut self, word: &str, value: T) -> Read<T> {
        for wanted in word.bytes() {
            if self.peek() != Some(wanted) {
                let wanted = char::from(wanted);
                return self.fail_inside(&format!("in literal {word} (expecting '{wanted}')"));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn object<T: Json>(&mut self, depth: usize) -> Read<T> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(T::object(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail("looking for beginning of object key string");
            }
            let key = self.string()?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return self.fail("after object key");
            }
            self.at += 1;
            self.skip_blanks();
            let value = self.value(depth + 1)?;
            entries.push((key, value));
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(T::object(entries));
                }
                _ => return self.fail("after object key:value pair"),
            }
            self.skip_blanks();
        }
    }

    fn array<T: Json>(&mut self, depth: usize) -> Read<T> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(T::array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(T::array(items));
                }
                _ => return self.fail("after array element"),
            }
            self.skip_blanks();
        }
    }

    fn digits(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > from
    }

    fn number<T: Json>(&mut self) -> Read<T> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ if self.digits() => {}
            _ => return self.fail_inside("in numeric literal"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                return self.fail_inside("after decimal point in numeric literal");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.digits() {
                return self.fail_inside("in exponent of numeric literal");
            }
        }
        let text = self.text.get(from..self.at).unwrap_or("");
        let number = T::number(text);
        if number.is_none() && self.too_large.is_none() {
            self.too_large = Some(text.to_owned());
        }
        Ok(number.unwrap_or_else(T::null))
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut out = String::new();
        let mut from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    out.push_str(self.text.get(from..self.at).unwrap_or(""));
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(self.text.get(from..self.at).unwrap_or(""));
                    self.at += 1;
                    self.escape(&mut out)?;
                    from = self.at;
                }
                None | Some(0..=0x1F) => return self.fail("in string literal"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Read<()> {
        let c = match self.peek() {
            Some(b'b') => '\x08',
            Some(b'f') => '\x0C',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'\\' | b'/' | b'"')) => char::from(byte),
            Some(b'u') => {
                self.at += 1;
                return self.unicode(out);
            }
            _ => return self.fail_inside("in string escape code"),
        };
        self.at += 1;
        out.push(c);
        Ok(())
    }

    fn unicode(&mut self, out: &mut String) -> Read<()> {
        let first = self.hex4()?;
        if (0xD800..0xDC00).contains(&first) && self.rest().starts_with("\\u") {
            let after_first = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                return Ok(());
            }
            // A lone half: what follows it stands for itself.
            self.at = after_first;
        }
        out.push(char::from_u32(first).unwrap_or('\u{fffd}'));
        Ok(())
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn hex4(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return self.fail_inside("in \\u hexadecimal character escape");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// A byte in single quotes, taken for the character of that number.
fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        _ => {
            let quoted = quote(&char::from(byte).to_string());
            let inner = quoted.trim_start_matches('"').trim_end_matches('"');
            format!("'{inner}'")
        }
    }
}
