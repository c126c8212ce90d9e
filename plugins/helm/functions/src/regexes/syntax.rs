//! Checks a pattern as Go's parser does and rewrites what this engine would read otherwise: classes
//! of ASCII only, `\Q…\E`, octal escapes, set operators inside classes, literal braces.

use super::escapes::{class_rune, escaped, unicode_class};

/// Go's reason and the part of the pattern it names.
pub(super) type Refusal<'p> = (&'static str, &'p str);

pub(super) const BAD_ESCAPE: &str = "invalid escape sequence";
pub(super) const BAD_RANGE: &str = "invalid character class range";
const BAD_REPEAT: &str = "invalid repeat count";
const MAX_REPEAT: u32 = 1_000;

/// One open group: what the last atom multiplies to, and the largest seen so far.
struct Group {
    largest: u32,
    last: Option<u32>,
}

impl Group {
    fn new() -> Self {
        Self {
            largest: 1,
            last: None,
        }
    }

    fn atom(&mut self, weight: u32) {
        self.largest = self.largest.max(self.last.replace(weight).unwrap_or(1));
    }

    fn weight(&self) -> u32 {
        self.largest.max(self.last.unwrap_or(1))
    }
}

/// The pattern in this engine's syntax.
pub(super) fn translate(source: &str) -> Result<String, Refusal<'_>> {
    let mut translator = Translator {
        source,
        out: String::new(),
        groups: vec![Group::new()],
        names: Vec::new(),
    };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'p> {
    source: &'p str,
    out: String,
    groups: Vec<Group>,
    names: Vec<&'p str>,
}

pub(super) fn first(text: &str) -> Option<(char, &str)> {
    let mut runes = text.chars();
    let rune = runes.next()?;
    Some((rune, runes.as_str()))
}

/// The part of `text` before `rest`, which is its end.
pub(super) fn before<'p>(text: &'p str, rest: &str) -> &'p str {
    text.get(..text.len().saturating_sub(rest.len()))
        .unwrap_or(text)
}

/// Writes a rune that stands for itself, inside or outside of a class.
fn push_literal(out: &mut String, code: u32) {
    match char::from_u32(code) {
        Some(rune) if rune.is_ascii_alphanumeric() || !rune.is_ascii() => out.push(rune),
        // Half a surrogate pair is in no text.
        None => out.push_str(r"[^\x00-\x{10FFFF}]"),
        Some(_) => out.push_str(&format!("\\x{{{code:x}}}")),
    }
}

/// What `\d` and its like match: ASCII only. The brackets serve inside classes, too.
fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\x0c\r\x20]",
        'S' => r"[^\t\n\x0c\r\x20]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

impl<'p> Translator<'p> {
    fn atom(&mut self, weight: u32) {
        if let Some(group) = self.groups.last_mut() {
            group.atom(weight);
        }
    }

    fn literal(&mut self, code: u32) {
        push_literal(&mut self.out, code);
        self.atom(1);
    }

    fn simple(&mut self, text: &str) {
        self.out.push_str(text);
        self.atom(1);
    }

    fn run(&mut self) -> Result<(), Refusal<'p>> {
        let mut rest = self.source;
        let mut last_repeat: Option<&'p str> = None;
        while let Some((rune, tail)) = first(rest) {
            let here = rest;
            let mut repeat = None;
            match rune {
                '(' if tail.starts_with('?') => rest = self.group_flags(here)?,
                '(' => {
                    self.out.push('(');
                    self.groups.push(Group::new());
                    rest = tail;
                }
                '|' => {
                    self.out.push('|');
                    if let Some(group) = self.groups.last_mut() {
                        group.largest = group.weight();
                        group.last = None;
                    }
                    rest = tail;
                }
                ')' => {
                    self.out.push(')');
                    let closed = self.groups.pop();
                    match (closed, self.groups.last_mut()) {
                        (Some(closed), Some(outer)) => outer.atom(closed.weight()),
                        _ => return Err(("unexpected )", self.source)),
                    }
                    rest = tail;
                }
                '^' | '$' | '.' => {
                    self.simple(rune.encode_utf8(&mut [0; 4]));
                    rest = tail;
                }
                '[' => rest = self.class(here)?,
                '*' | '+' | '?' => {
                    rest = self.repeat(here, tail, last_repeat, None)?;
                    repeat = Some(here);
                }
                '{' => match counted(here) {
                    None => {
                        self.literal(u32::from('{'));
                        rest = tail;
                    }
                    Some((bounds, after)) => {
                        let Some((low, high)) = bounds else {
                            return Err((BAD_REPEAT, before(here, after)));
                        };
                        rest = self.repeat(here, after, last_repeat, Some((low, high)))?;
                        repeat = Some(here);
                    }
                },
                '\\' => rest = self.escape(here)?,
                other => {
                    self.literal(u32::from(other));
                    rest = tail;
                }
            }
            last_repeat = repeat;
        }
        if self.groups.len() != 1 {
            return Err(("missing closing )", self.source));
        }
        Ok(())
    }

    /// Writes a repetition; `bounds` are those of braces, the upper one absent when open.
    fn repeat(
        &mut self,
        here: &'p str,
        after: &'p str,
        last_repeat: Option<&'p str>,
        bounds: Option<(u32, Option<u32>)>,
    ) -> Result<&'p str, Refusal<'p>> {
        let after = after.strip_prefix('?').unwrap_or(after);
        if let Some(start) = last_repeat {
            return Err(("invalid nested repetition operator", before(start, after)));
        }
        let text = before(here, after);
        let Some(last) = self.groups.last_mut().and_then(|group| group.last.as_mut()) else {
            return Err(("missing argument to repetition operator", text));
        };
        if let Some((low, high)) = bounds {
            let times = high.unwrap_or(low);
            if times > 0 {
                let weight = last.saturating_mul(times);
                if (low >= 2 || high.is_some_and(|high| high >= 2)) && weight > MAX_REPEAT {
                    return Err((BAD_REPEAT, text));
                }
                *last = weight;
            }
        }
        self.out.push_str(text);
        Ok(after)
    }

    /// `(?i)`, `(?s:`, `(?P<name>` and their like.
    fn group_flags(&mut self, here: &'p str) -> Result<&'p str, Refusal<'p>> {
        for lead in ["(?P<", "(?<"] {
            let Some(tail) = here.strip_prefix(lead) else {
                continue;
            };
            if tail.is_empty() {
                break;
            }
            let Some((name, rest)) = tail.split_once('>') else {
                return Err(("invalid named capture", here));
            };
            let valid = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(valid) {
                return Err(("invalid named capture", before(here, rest)));
            }
            // Go allows a name to begin with a digit; such a group can only be asked by number.
            if name.starts_with(|c: char| c.is_ascii_digit()) || self.names.contains(&name) {
                self.out.push('(');
            } else {
                self.out.push_str(&format!("(?P<{name}>"));
                self.names.push(name);
            }
            self.groups.push(Group::new());
            return Ok(rest);
        }
        self.plain_flags(here)
    }

    fn plain_flags(&mut self, here: &'p str) -> Result<&'p str, Refusal<'p>> {
        let mut rest = here.get(2..).unwrap_or("");
        let (mut on, mut off) = (String::new(), String::new());
        let mut negative = false;
        while let Some((rune, tail)) = first(rest) {
            rest = tail;
            match rune {
                'i' | 'm' | 's' | 'U' => {
                    let flags = if negative { &mut off } else { &mut on };
                    if !flags.contains(rune) {
                        flags.push(rune);
                    }
                }
                '-' if !negative => negative = true,
                ':' | ')' if !negative || !off.is_empty() => {
                    on.retain(|flag| !off.contains(flag));
                    let off = if off.is_empty() {
                        off
                    } else {
                        format!("-{off}")
                    };
                    if rune == ':' {
                        self.out.push_str(&format!("(?{on}{off}:"));
                        self.groups.push(Group::new());
                    } else if !on.is_empty() || !off.is_empty() {
                        self.out.push_str(&format!("(?{on}{off})"));
                    }
                    return Ok(rest);
                }
                _ => break,
            }
        }
        Err(("invalid or unsupported Perl syntax", before(here, rest)))
    }

    fn escape(&mut self, here: &'p str) -> Result<&'p str, Refusal<'p>> {
        let tail = here.get(1..).unwrap_or("");
        let Some((letter, rest)) = first(tail) else {
            return Err(("trailing backslash at end of expression", ""));
        };
        match letter {
            'A' => self.simple(r"\A"),
            'z' => self.simple(r"\z"),
            'b' => self.simple(r"(?-u:\b)"),
            'B' => self.simple(r"(?-u:\B)"),
            'C' => return Err((BAD_ESCAPE, before(here, rest))),
            'Q' => {
                let (quoted, after) = rest.split_once("\\E").unwrap_or((rest, ""));
                for rune in quoted.chars() {
                    self.literal(u32::from(rune));
                }
                return Ok(after);
            }
            'p' | 'P' => {
                let (class, rest) = unicode_class(here)?;
                self.simple(&class);
                return Ok(rest);
            }
            _ => {
                if let Some(class) = perl_class(letter) {
                    self.simple(class);
                    return Ok(rest);
                }
                let (code, rest) = escaped(here)?;
                self.literal(code);
                return Ok(rest);
            }
        }
        Ok(rest)
    }

    /// A bracket class; brackets, `&&`, `--` and `~~` inside are plain runes in Go.
    fn class(&mut self, here: &'p str) -> Result<&'p str, Refusal<'p>> {
        let mut rest = here.get(1..).unwrap_or("");
        self.out.push('[');
        if let Some(tail) = rest.strip_prefix('^') {
            self.out.push('^');
            rest = tail;
        }
        let mut at_start = true;
        while at_start || !rest.starts_with(']') {
            at_start = false;
            if rest.starts_with("[:")
                && let Some(end) = rest.get(2..).and_then(|tail| tail.find(":]"))
            {
                let (name, tail) = rest.split_at(end + 4);
                if !is_posix(name) {
                    return Err((BAD_RANGE, name));
                }
                self.out.push_str(name);
                rest = tail;
                continue;
            }
            if rest.starts_with("\\p") || rest.starts_with("\\P") {
                let (class, tail) = unicode_class(rest)?;
                self.out.push_str(&class);
                rest = tail;
                continue;
            }
            let letter = rest.strip_prefix('\\').and_then(first);
            if let Some((letter, tail)) = letter
                && let Some(class) = perl_class(letter)
            {
                self.out.push_str(class);
                rest = tail;
                continue;
            }
            let start = rest;
            let (low, tail) = class_rune(rest, here)?;
            rest = tail;
            let mut high = low;
            if let Some(tail) = rest.strip_prefix('-')
                && !tail.is_empty()
                && !tail.starts_with(']')
            {
                (high, rest) = class_rune(tail, here)?;
                if high < low {
                    return Err((BAD_RANGE, before(start, rest)));
                }
            }
            push_range(&mut self.out, low, high);
        }
        self.out.push(']');
        self.atom(1);
        Ok(rest.get(1..).unwrap_or(""))
    }
}

/// Writes a range around the surrogates, which no text holds.
fn push_range(out: &mut String, low: u32, high: u32) {
    for (from, to) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        if from <= to {
            push_literal(out, from);
            if from != to {
                out.push('-');
                push_literal(out, to);
            }
        }
    }
    if (0xd800..0xe000).contains(&low) && (0xd800..0xe000).contains(&high) {
        out.push_str(r"[^\x00-\x{10FFFF}]");
    }
}

fn is_posix(name: &str) -> bool {
    let name = name.trim_start_matches("[:").trim_end_matches(":]");
    matches!(
        name.strip_prefix('^').unwrap_or(name),
        "alnum"
            | "alpha"
            | "ascii"
            | "blank"
            | "cntrl"
            | "digit"
            | "graph"
            | "lower"
            | "print"
            | "punct"
            | "space"
            | "upper"
            | "word"
            | "xdigit"
    )
}

type Bounds = Option<(u32, Option<u32>)>;

/// `{n}`, `{n,}` or `{n,m}` and what follows; the bounds are absent when Go refuses them, and all is when
/// the brace is a plain rune.
fn counted(text: &str) -> Option<(Bounds, &str)> {
    let (inner, rest) = text.strip_prefix('{')?.split_once('}')?;
    let number = |digits: &str| -> Option<u32> {
        let fits = !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        fits.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (low, high) = match inner.split_once(',') {
        None => (number(inner)?, Some(number(inner)?)),
        Some((low, "")) => (number(low)?, None),
        Some((low, high)) => (number(low)?, Some(number(high)?)),
    };
    let valid = low <= MAX_REPEAT && high.is_none_or(|high| high <= MAX_REPEAT && low <= high);
    Some((valid.then_some((low, high)), rest))
}
