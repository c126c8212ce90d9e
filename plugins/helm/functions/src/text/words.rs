//! Camel, snake and kebab case, as the xstrings library splits words.

use std::sync::LazyLock;

use regex::Regex;

use crate::go::{is_space, next_rune, to_lower, to_upper};

static PUNCTUATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{P}$").ok());

fn is_connector(rune: char) -> bool {
    matches!(rune, '-' | '_') || is_space(rune)
}

fn is_punctuation(rune: char) -> bool {
    if rune.is_ascii() {
        return rune.is_ascii_punctuation()
            && !matches!(rune, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    let mut buffer = [0; 4];
    PUNCTUATION
        .as_ref()
        .is_some_and(|regex| regex.is_match(rune.encode_utf8(&mut buffer)))
}

/// A letter that is not one of the common CJK characters.
fn is_alphabet(rune: char) -> bool {
    rune.is_alphabetic()
        && !matches!(rune, '\u{4e00}'..='\u{9fcc}' | '\u{3400}'..='\u{4d85}'
            | '\u{20000}'..='\u{2b81d}')
}

/// `some_words` to `SomeWords`; leading and doubled connectors stay.
pub(super) fn pascal_case(text: &[u8]) -> String {
    let runes: Vec<char> = crate::go::runes(text).collect();
    let mut out = String::with_capacity(text.len());
    let lead = runes.iter().take_while(|rune| is_connector(**rune)).count();
    let (connectors, words) = runes.split_at(lead);
    out.extend(connectors);
    let Some((first, tail)) = words.split_first() else {
        // The library writes the last of nothing but connectors twice.
        out.extend(connectors.last());
        return out;
    };
    let mut in_upper_run = first.is_uppercase();
    let mut previous = to_upper(*first);
    for rune in tail {
        let mut rune = *rune;
        if is_connector(rune) && is_connector(previous) {
            out.push(previous);
            previous = rune;
            continue;
        }
        if is_connector(previous) {
            in_upper_run = rune.is_uppercase();
            rune = to_upper(rune);
        } else {
            if in_upper_run {
                if rune.is_uppercase() {
                    rune = to_lower(rune);
                } else {
                    in_upper_run = false;
                }
            }
            out.push(previous);
        }
        previous = rune;
    }
    out.push(previous);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Invalid,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

/// The next rune that is not U+FFFD, `previous` at the end; the width counts what was skipped.
fn next_valid(mut text: &[u8], previous: char) -> (char, usize) {
    let mut width = 0;
    while let Some((rune, own)) = next_rune(text) {
        width += own;
        if rune != char::REPLACEMENT_CHARACTER {
            return (rune, width);
        }
        text = text.get(own..).unwrap_or_default();
    }
    (previous, width)
}

/// Extends from `offset` while runes fit: new offset, last rune looked at, width of the last taken.
fn extend(
    text: &[u8],
    mut offset: usize,
    mut rune: char,
    fits: impl Fn(char) -> bool,
) -> (usize, char, usize) {
    let mut last = 0;
    while offset < text.len() {
        let (next, width) = next_valid(text.get(offset..).unwrap_or_default(), rune);
        rune = next;
        if !fits(rune) || width == 0 {
            break;
        }
        last = width;
        offset += width;
    }
    (offset, rune, last)
}

/// The first word: its sort, itself, the rest.
fn next_word(text: &[u8]) -> (Word, &[u8], &[u8]) {
    if text.is_empty() {
        return (Word::Invalid, text, text);
    }
    let (rune, width) = next_valid(text, char::REPLACEMENT_CHARACTER);
    let lower = |rune: char| is_alphabet(rune) && !rune.is_uppercase();
    let (word, offset) = if rune == char::REPLACEMENT_CHARACTER {
        (Word::Invalid, width)
    } else if is_connector(rune) {
        (Word::Connector, extend(text, width, rune, is_connector).0)
    } else if is_punctuation(rune) {
        (
            Word::Punctuation,
            extend(text, width, rune, is_punctuation).0,
        )
    } else if rune.is_uppercase() {
        (Word::Upper, upper_end(text, width, rune, lower))
    } else if is_alphabet(rune) {
        (Word::Alphabet, extend(text, width, rune, lower).0)
    } else if rune.is_numeric() {
        (Word::Number, extend(text, width, rune, char::is_numeric).0)
    } else {
        let other = |rune: char| {
            !is_connector(rune) && !is_alphabet(rune) && !rune.is_numeric() && !is_punctuation(rune)
        };
        (Word::Other, extend(text, width, rune, other).0)
    };
    let (taken, rest) = text.split_at(offset.min(text.len()));
    (word, taken, rest)
}

/// `HTTPStatus` ends before `S`; `Status` takes the lower case letters.
fn upper_end(text: &[u8], width: usize, rune: char, lower: impl Fn(char) -> bool) -> usize {
    if width >= text.len() {
        return width;
    }
    let (second, second_width) = next_valid(text.get(width..).unwrap_or_default(), rune);
    if second.is_uppercase() {
        let start = width + second_width;
        let (end, stop, last) = extend(text, start, second, char::is_uppercase);
        let last = if last == 0 { second_width } else { last };
        if end < text.len() && is_alphabet(stop) {
            end - last
        } else {
            end
        }
    } else if is_alphabet(second) {
        extend(text, width + second_width, second, lower).0
    } else {
        width
    }
}

/// Writes a word; only upper case words and connectors change.
fn write_word(out: &mut Vec<u8>, word: Word, text: &[u8], connector: char) {
    if word != Word::Upper && word != Word::Connector {
        out.extend_from_slice(text);
        return;
    }
    for rune in crate::go::runes(text) {
        let rune = if is_connector(rune) {
            connector
        } else if rune.is_uppercase() {
            to_lower(rune)
        } else {
            rune
        };
        push(out, rune);
    }
}

fn push(out: &mut Vec<u8>, rune: char) {
    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `HTTPServer2xx` to `http_server_2xx` with the given connector.
pub(super) fn lower_case(text: &[u8], connector: char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let (mut word, mut taken, mut rest) = next_word(text);
    let joins = |word: Word| word != Word::Connector && word != Word::Punctuation;
    while !rest.is_empty() {
        if word != Word::Connector {
            write_word(&mut out, word, taken, connector);
        }
        let (previous, last) = (word, taken);
        (word, taken, rest) = next_word(rest);
        match previous {
            Word::Number => {
                while matches!(word, Word::Alphabet | Word::Number) {
                    write_word(&mut out, word, taken, connector);
                    (word, taken, rest) = next_word(rest);
                }
                if word != Word::Invalid && joins(word) {
                    push(&mut out, connector);
                }
            }
            Word::Connector => write_word(&mut out, previous, last, connector),
            Word::Punctuation => {}
            Word::Invalid | Word::Upper | Word::Alphabet | Word::Other => {
                if word != Word::Number {
                    if joins(word) {
                        push(&mut out, connector);
                    }
                    continue;
                }
                if rest.is_empty() {
                    continue;
                }
                let number = taken;
                (word, taken, rest) = next_word(rest);
                // A number before something else than letters belongs to the word before it.
                if word != Word::Alphabet {
                    write_word(&mut out, Word::Number, number, connector);
                    if joins(word) {
                        push(&mut out, connector);
                    }
                    continue;
                }
                push(&mut out, connector);
                write_word(&mut out, Word::Number, number, connector);
                while matches!(word, Word::Alphabet | Word::Number) {
                    write_word(&mut out, word, taken, connector);
                    (word, taken, rest) = next_word(rest);
                }
                if word != Word::Invalid && joins(word) {
                    push(&mut out, connector);
                }
            }
        }
    }
    write_word(&mut out, word, taken, connector);
    out
}
