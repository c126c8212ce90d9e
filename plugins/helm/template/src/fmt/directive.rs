//! Reads the directives of a format.

use super::layout::Flags;
use super::printer::Printer;
use crate::error::Error;
use crate::value::Value;

/// Larger widths and precisions are not taken for such.
const MAX_NUMBER: usize = 1_000_000;

struct Reader<'a> {
    format: &'a [u8],
    at: usize,
    args: &'a [Value],
    next_arg: usize,
    /// Whether any directive chose its argument, so that none counts as left over.
    reordered: bool,
    good_index: bool,
    after_index: bool,
}

/// Prints the arguments as the format says.
pub(super) fn run(printer: &mut Printer<'_>, format: &[u8], args: &[Value]) -> Result<(), Error> {
    let mut reader = Reader {
        format,
        at: 0,
        args,
        next_arg: 0,
        reordered: false,
        good_index: true,
        after_index: false,
    };
    while reader.copy_plain(printer) {
        reader.good_index = true;
        reader.after_index = false;
        reader.read_flags(&mut printer.flags);
        reader.read_index();
        reader.read_width(printer);
        reader.read_precision(printer);
        if !reader.after_index {
            reader.read_index();
        }
        let Some(verb) = reader.read_verb() else {
            printer.write("%!(NOVERB)");
            break;
        };
        reader.print(printer, verb)?;
    }
    printer.flags = Flags::default();
    if !reader.reordered {
        print_extra(printer, args.get(reader.next_arg..).unwrap_or_default())?;
    }
    Ok(())
}

fn print_extra(printer: &mut Printer<'_>, extra: &[Value]) -> Result<(), Error> {
    if extra.is_empty() {
        return Ok(());
    }
    printer.write("%!(EXTRA ");
    for (at, arg) in extra.iter().enumerate() {
        if at > 0 {
            printer.write(", ");
        }
        if !matches!(arg, Value::Nil) {
            printer.write(&arg.type_name());
            printer.write("=");
        }
        printer.print_arg(arg, 'v')?;
    }
    printer.write(")");
    Ok(())
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// Copies up to and over the next `%`; false at the end.
    fn copy_plain(&mut self, printer: &mut Printer<'_>) -> bool {
        let rest = self.format.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'%');
        let plain = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        printer.out.extend_from_slice(plain);
        self.at += plain.len() + 1;
        length.is_some()
    }

    fn read_flags(&mut self, flags: &mut Flags) {
        *flags = Flags::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
    }

    /// Reads `[n]`, which chooses the next argument.
    fn read_index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let close = rest
            .iter()
            .position(|byte| *byte == b']')
            .filter(|_| rest.len() >= 3);
        let Some(close) = close else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        let start = self.at + 1;
        let end = self.at + close;
        self.at = end + 1;
        let (number, stop) = read_number(self.format, start, end);
        let parsed = number.filter(|_| stop == end);
        self.after_index = parsed.is_some();
        match parsed.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.args.len() => self.next_arg = index,
            _ => self.good_index = false,
        }
    }

    fn read_width(&mut self, printer: &mut Printer<'_>) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            self.after_index = false;
            let Some(width) = self.number_arg() else {
                printer.write("%!(BADWIDTH)");
                return;
            };
            printer.flags.width = Some(usize::try_from(width.unsigned_abs()).unwrap_or(0));
            if width < 0 {
                printer.flags.minus = true;
                printer.flags.zero = false;
            }
            return;
        }
        let (number, end) = read_number(self.format, self.at, self.format.len());
        self.at = end;
        printer.flags.width = number;
        if self.after_index && number.is_some() {
            self.good_index = false;
        }
    }

    fn read_precision(&mut self, printer: &mut Printer<'_>) {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good_index = false;
        }
        self.read_index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            self.after_index = false;
            let precision = self
                .number_arg()
                .and_then(|number| usize::try_from(number).ok());
            if precision.is_none() {
                printer.write("%!(BADPREC)");
            }
            printer.flags.precision = precision;
            return;
        }
        let (number, end) = read_number(self.format, self.at, self.format.len());
        self.at = end;
        printer.flags.precision = Some(number.unwrap_or(0));
    }

    /// The next argument as a width or precision.
    fn number_arg(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next_arg)?;
        self.next_arg += 1;
        let unsigned = arg
            .as_unsigned()
            .and_then(|number| i64::try_from(number).ok());
        let number = arg.as_signed().or(unsigned)?;
        usize::try_from(number.unsigned_abs())
            .is_ok_and(|size| size <= MAX_NUMBER)
            .then_some(number)
    }

    fn read_verb(&mut self) -> Option<char> {
        let rest = self.format.get(self.at..).filter(|rest| !rest.is_empty())?;
        let verb = rest
            .utf8_chunks()
            .next()
            .and_then(|chunk| chunk.valid().chars().next());
        self.at += verb.map_or(1, char::len_utf8);
        Some(verb.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn print(&mut self, printer: &mut Printer<'_>, verb: char) -> Result<(), Error> {
        if verb == '%' {
            printer.write("%");
            return Ok(());
        }
        if !self.good_index {
            printer.write(&format!("%!{verb}(BADINDEX)"));
            return Ok(());
        }
        let Some(arg) = self.args.get(self.next_arg) else {
            printer.write(&format!("%!{verb}(MISSING)"));
            return Ok(());
        };
        self.next_arg += 1;
        let flags = &mut printer.flags;
        if matches!(verb, 'v' | 'w') {
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        printer.print_arg(arg, verb)
    }
}

/// Digits from `start` up to `end` as a number, and where they stop. Too many make no number, and
/// nothing after them is read.
fn read_number(text: &[u8], start: usize, end: usize) -> (Option<usize>, usize) {
    let mut number = None;
    let mut at = start;
    while at < end {
        let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) else {
            break;
        };
        let sofar = number.unwrap_or(0);
        if sofar > MAX_NUMBER {
            return (None, end);
        }
        number = Some(sofar * 10 + usize::from(digit - b'0'));
        at += 1;
    }
    (number, at)
}
