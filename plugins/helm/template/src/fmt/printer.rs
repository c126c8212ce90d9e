//! Writes values of all types under one directive.

use super::layout::Flags;
use crate::duration::format_duration;
use crate::error::Error;
use crate::text::Str;
use crate::value::{Kind, Object, Value};

/// Deeper values are refused: they are endless (a map in itself) or made to exhaust the stack.
const MAX_DEPTH: usize = 400;

/// Larger texts are refused: a list that holds another twice, and so on, grows without bound.
const MAX_BYTES: usize = 16 << 20;

/// A printer at the end of an output.
pub(super) struct Printer<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) flags: Flags,
    /// Whether a mistake is being reported, in which values show their plain contents.
    erroring: bool,
    end: usize,
}

type Done = Result<(), Error>;

impl<'o> Printer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        let end = out.len() + MAX_BYTES;
        Self {
            out,
            flags: Flags::default(),
            erroring: false,
            end,
        }
    }

    pub(super) fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A value given to a directive.
    pub(super) fn print_arg(&mut self, value: &Value, verb: char) -> Done {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.flags.pad(self.out, b"<nil>", self.flags.zero),
            (_, 'T') => self.flags.text(self.out, value.type_name().as_bytes()),
            (Value::Nil, _) | (_, 'p' | 'w') => return self.bad_verb(value, verb),
            _ => return self.print_value(value, verb, 0),
        }
        Ok(())
    }

    fn print_value(&mut self, value: &Value, verb: char, depth: usize) -> Done {
        if depth > MAX_DEPTH {
            return Err(Error::limit("a value is nested too deeply to be printed"));
        }
        if self.out.len() > self.end {
            return Err(Error::limit("a value is too large to be printed"));
        }
        match value {
            Value::Nil if self.flags.sharp_v => self.write("interface {}(nil)"),
            Value::Nil => self.write("<nil>"),
            Value::Bool(value) if matches!(verb, 't' | 'v') => self.flags.bool(self.out, *value),
            Value::Bool(_) => return self.bad_verb(value, verb),
            Value::Float(number) => return self.float(*number, value, verb),
            Value::Str(text) => return self.text(text.as_bytes(), value, verb),
            Value::Bytes(bytes) => return self.bytes(bytes, value, verb, depth),
            Value::List(list) => {
                self.open_list(value, list.is_nil(), |printer| {
                    for (at, item) in list.items().iter().enumerate() {
                        printer.separate(at);
                        printer.print_value(item, verb, depth + 1)?;
                    }
                    Ok(())
                })?;
            }
            Value::Map(map) => {
                let entries = map.entries();
                let entries = entries.iter();
                return self.map(value, map.is_nil(), entries, verb, depth);
            }
            Value::Duration(number) => {
                if self.takes_text(verb) {
                    let text = format_duration(*number);
                    return self.text(text.as_bytes(), value, verb);
                }
                return self.integer(*number < 0, number.unsigned_abs(), true, value, verb);
            }
            Value::Object(object) => return self.object(object.as_ref(), value, verb, depth),
            Value::Int(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Uint8(_)
            | Value::Uint32(_)
            | Value::Uint64(_) => {
                if let Some(number) = value.as_signed() {
                    return self.integer(number < 0, number.unsigned_abs(), true, value, verb);
                }
                return self.integer(false, value.as_unsigned().unwrap_or(0), false, value, verb);
            }
        }
        Ok(())
    }

    /// Whether a value's own text, if it has one, stands for it.
    fn takes_text(&self, verb: char) -> bool {
        !self.erroring && !self.flags.sharp_v && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.write(if self.flags.sharp_v { ", " } else { " " });
        }
    }

    fn open_list(
        &mut self,
        value: &Value,
        is_nil: bool,
        items: impl FnOnce(&mut Self) -> Done,
    ) -> Done {
        if !self.flags.sharp_v {
            self.write("[");
            items(self)?;
            self.write("]");
            return Ok(());
        }
        self.write(&value.type_name());
        if is_nil {
            self.write("(nil)");
            return Ok(());
        }
        self.write("{");
        items(self)?;
        self.write("}");
        Ok(())
    }

    fn map<'e>(
        &mut self,
        value: &Value,
        is_nil: bool,
        entries: impl Iterator<Item = (&'e Str, &'e Value)>,
        verb: char,
        depth: usize,
    ) -> Done {
        if self.flags.sharp_v {
            self.write(&value.type_name());
            self.write(if is_nil { "(nil)" } else { "{" });
            if is_nil {
                return Ok(());
            }
        } else {
            self.write("map[");
        }
        for (at, (key, item)) in entries.enumerate() {
            self.separate(at);
            self.text(key.as_bytes(), &Value::Str(key.clone()), verb)?;
            self.write(":");
            self.print_value(item, verb, depth + 1)?;
        }
        self.write(if self.flags.sharp_v { "}" } else { "]" });
        Ok(())
    }

    fn object(&mut self, object: &dyn Object, value: &Value, verb: char, depth: usize) -> Done {
        if self.takes_text(verb)
            && let Some(text) = object.text()
        {
            return self.text(text.as_bytes(), value, verb);
        }
        if let Some(number) = object.number() {
            return self.integer(number < 0, number.unsigned_abs(), true, value, verb);
        }
        if let Some(plain) = object.plain() {
            return self.print_value(&plain, verb, depth);
        }
        if object.kind() == Kind::Map {
            let entries = object.entries();
            let entries = entries.iter().map(|(key, item)| (key, item));
            return self.map(value, false, entries, verb, depth);
        }
        if object.kind() == Kind::Ptr {
            self.write("&");
        }
        if self.flags.sharp_v {
            self.write(object.type_name().trim_start_matches('*'));
        }
        self.write("{");
        for (at, (name, field)) in object.fields().iter().enumerate() {
            self.separate(at);
            if self.flags.plus_v || self.flags.sharp_v {
                self.write(name);
                self.write(":");
            }
            self.print_value(field, verb, depth + 1)?;
        }
        self.write("}");
        Ok(())
    }

    fn float(&mut self, number: f64, value: &Value, verb: char) -> Done {
        let flags = self.flags;
        match verb {
            'v' => flags.float(self.out, number, 'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => flags.float(self.out, number, verb, None),
            'e' | 'E' | 'f' | 'F' => flags.float(self.out, number, verb, Some(6)),
            _ => return self.bad_verb(value, verb),
        }
        Ok(())
    }

    fn integer(
        &mut self,
        negative: bool,
        size: u64,
        signed: bool,
        value: &Value,
        verb: char,
    ) -> Done {
        let mut flags = self.flags;
        // Characters take the two's complement, so that a negative number is an invalid one.
        let bits = if negative { size.wrapping_neg() } else { size };
        match verb {
            'v' if flags.sharp_v && !signed => {
                flags.sharp = true;
                flags.integer(self.out, negative, size, 'x');
            }
            'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' => {
                flags.integer(self.out, negative, size, verb)
            }
            'c' => flags.char(self.out, bits),
            'q' => flags.quoted_char(self.out, bits),
            'U' => flags.unicode(self.out, bits),
            _ => return self.bad_verb(value, verb),
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8], value: &Value, verb: char) -> Done {
        match verb {
            'v' if self.flags.sharp_v => self.flags.quoted(self.out, text),
            'v' | 's' => self.flags.text(self.out, text),
            'x' | 'X' => self.flags.hex_text(self.out, text, verb == 'X'),
            'q' => self.flags.quoted(self.out, text),
            _ => return self.bad_verb(value, verb),
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], value: &Value, verb: char, depth: usize) -> Done {
        if matches!(verb, 's' | 'x' | 'X' | 'q') {
            return self.text(bytes, value, verb);
        }
        if self.flags.sharp_v {
            self.write(if depth == 0 { "[]byte{" } else { "[]uint8{" });
            for (at, byte) in bytes.iter().enumerate() {
                self.separate(at);
                let mut flags = self.flags;
                flags.sharp = true;
                flags.integer(self.out, false, u64::from(*byte), 'x');
            }
            self.write("}");
            return Ok(());
        }
        self.write("[");
        for (at, byte) in bytes.iter().enumerate() {
            self.separate(at);
            let number = u64::from(*byte);
            self.integer(false, number, false, &Value::Uint8(*byte), verb)?;
        }
        self.write("]");
        Ok(())
    }

    /// Reports a verb that does not fit: `%!d(string=x)`.
    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) -> Done {
        let outer = self.erroring;
        self.erroring = true;
        self.write("%!");
        self.write(verb.encode_utf8(&mut [0; 4]));
        self.write("(");
        if let Value::Nil = value {
            self.write("<nil>");
        } else {
            self.write(&value.type_name());
            self.write("=");
            self.print_value(value, 'v', 0)?;
        }
        self.write(")");
        self.erroring = outer;
        Ok(())
    }
}
