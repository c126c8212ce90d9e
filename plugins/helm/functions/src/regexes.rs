//! Regular expressions in RE2's syntax with Go's rules for matches, splits and templates.

mod escapes;
mod expand;
mod search;
mod syntax;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use helm_template::{Error, Functions, List, ListType, Signature, Str, Type, Value};

pub use search::Pattern;

use crate::args::{int, strings, text};
use crate::go::{check_bytes, quote};

const TWO: Signature = Signature::fixed(&[Type::Str, Type::Str]);
const THREE: Signature = Signature::fixed(&[Type::Str, Type::Str, Type::Str]);
const COUNTED: Signature = Signature::fixed(&[Type::Str, Type::Str, Type::Int]);

/// Patterns kept compiled; charts use a handful, and a hostile one cannot fill the memory.
const CACHED_PATTERNS: usize = 64;

/// Compiles each pattern once per function map.
#[derive(Clone, Default)]
struct Cache(Rc<RefCell<HashMap<Str, Rc<Pattern>>>>);

impl Cache {
    fn get(&self, source: &Str) -> Result<Rc<Pattern>, String> {
        if let Some(pattern) = self.0.borrow().get(source) {
            return Ok(Rc::clone(pattern));
        }
        let pattern = Rc::new(Pattern::new(&source.to_text())?);
        let mut patterns = self.0.borrow_mut();
        if patterns.len() >= CACHED_PATTERNS {
            patterns.clear();
        }
        patterns.insert(source.clone(), Rc::clone(&pattern));
        Ok(pattern)
    }

    /// As the must functions fail.
    fn checked(&self, source: &Str) -> Result<Rc<Pattern>, Error> {
        self.get(source).map_err(Error::new)
    }

    /// As the others fail, which is Go's panic of `MustCompile`.
    fn panicking(&self, source: &Str) -> Result<Rc<Pattern>, Error> {
        self.get(source)
            .map_err(|error| Error::new(format!("regexp: Compile({}): {error}", shown(source))))
    }
}

/// In backquotes where Go can, else quoted.
fn shown(source: &Str) -> String {
    let plain = |c: char| c == '\t' || (!c.is_control() && c != '`' && c != '\u{feff}');
    match source.as_str() {
        Some(text) if text.chars().all(plain) => format!("`{text}`"),
        _ => quote(source.as_bytes()),
    }
}

type Find = fn(&Cache, &Str) -> Result<Rc<Pattern>, Error>;

pub(crate) fn register(functions: &mut Functions) {
    let cache = Cache::default();
    let own = cache.clone();
    functions.add("regexMatch", TWO, move |_, args| {
        let pattern = own.get(text(args, 0)?).ok();
        let subject = text(args, 1)?.to_text();
        Ok(pattern
            .is_some_and(|pattern| pattern.is_match(&subject))
            .into())
    });
    let own = cache.clone();
    functions.add("mustRegexMatch", TWO, move |_, args| {
        Ok(own
            .checked(text(args, 0)?)?
            .is_match(&text(args, 1)?.to_text())
            .into())
    });
    functions.add(
        "regexQuoteMeta",
        Signature::fixed(&[Type::Str]),
        |_, args| Ok(quote_meta(text(args, 0)?).into()),
    );
    let plain: [&'static str; 5] = [
        "regexFind",
        "regexFindAll",
        "regexReplaceAll",
        "regexReplaceAllLiteral",
        "regexSplit",
    ];
    let must: [&'static str; 5] = [
        "mustRegexFind",
        "mustRegexFindAll",
        "mustRegexReplaceAll",
        "mustRegexReplaceAllLiteral",
        "mustRegexSplit",
    ];
    register_twins(functions, plain, &cache, Cache::panicking);
    register_twins(functions, must, &cache, Cache::checked);
}

fn register_twins(functions: &mut Functions, names: [&'static str; 5], cache: &Cache, find: Find) {
    let [one, all, expand, literal, split] = names;
    let own = cache.clone();
    functions.add(one, TWO, move |_, args| {
        let pattern = find(&own, text(args, 0)?)?;
        Ok(pattern.find(&text(args, 1)?.to_text()).unwrap_or("").into())
    });
    let own = cache.clone();
    functions.add(all, COUNTED, move |_, args| {
        let pattern = find(&own, text(args, 0)?)?;
        let subject = text(args, 1)?.to_text();
        let found = pattern.find_all(&subject, usize::try_from(int(args, 2)?).ok());
        Ok(if found.is_empty() {
            Value::List(List::nil(ListType::Str))
        } else {
            strings(found.into_iter().map(Str::from).collect())
        })
    });
    let own = cache.clone();
    functions.add(expand, THREE, move |_, args| {
        let pattern = find(&own, text(args, 0)?)?;
        replace(&pattern, text(args, 1)?, &text(args, 2)?.to_text(), true)
    });
    let own = cache.clone();
    functions.add(literal, THREE, move |_, args| {
        let pattern = find(&own, text(args, 0)?)?;
        replace(&pattern, text(args, 1)?, &text(args, 2)?.to_text(), false)
    });
    let own = cache.clone();
    functions.add(split, COUNTED, move |_, args| {
        let pattern = find(&own, text(args, 0)?)?;
        let subject = text(args, 1)?.to_text();
        Ok(match int(args, 2)? {
            0 => Value::List(List::nil(ListType::Str)),
            limit => {
                let parts = pattern.split(&subject, usize::try_from(limit).ok());
                strings(parts.into_iter().map(Str::from).collect())
            }
        })
    });
}

fn replace(pattern: &Pattern, subject: &Str, with: &str, expand: bool) -> Result<Value, Error> {
    let text = subject.to_text();
    let replaced = pattern.replace_all(&text, with, expand, crate::go::MAX_RESULT_BYTES);
    match replaced {
        Some(replaced) => Ok(replaced.into()),
        None => {
            check_bytes("regexReplaceAll", crate::go::MAX_RESULT_BYTES + 1)?;
            Ok(subject.clone().into())
        }
    }
}

/// `regexp.QuoteMeta`.
fn quote_meta(text: &Str) -> Str {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.as_bytes() {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.into()
}
