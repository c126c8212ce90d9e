//! Matching with Go's rules for empty matches, splits and replacements.

use regex::{Captures, Regex, RegexBuilder};

use super::{expand, syntax};

/// Nesting up to which Go accepts a pattern.
const MAX_NESTING: u32 = 1_000;

/// A compiled pattern of RE2's syntax.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    is_blank: bool,
}

fn width_at(text: &str, at: usize) -> usize {
    text.get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8)
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Go's text, e.g. ``error parsing regexp: missing closing ]: `[a` ``.
    pub fn new(source: &str) -> Result<Self, String> {
        let failed = |(code, part): (&str, &str)| format!("error parsing regexp: {code}: `{part}`");
        let translated = syntax::translate(source).map_err(failed)?;
        let regex = RegexBuilder::new(&translated)
            .nest_limit(MAX_NESTING)
            .build()
            .map_err(|_| failed(("expression too large", source)))?;
        Ok(Self {
            regex,
            is_blank: source.is_empty(),
        })
    }

    /// Does it match anywhere?
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.regex.find(text).map(|found| found.as_str())
    }

    /// Places of at most `limit` matches; an empty one right after another match does not count.
    fn places(&self, text: &str, limit: Option<usize>) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        let (mut at, mut previous_end) = (0, None);
        while at <= text.len() && limit.is_none_or(|limit| places.len() < limit) {
            let Some(found) = self.regex.find_at(text, at) else {
                break;
            };
            let mut accepted = true;
            if found.end() == at {
                accepted = previous_end != Some(found.start());
                at += width_at(text, at).max(1);
            } else {
                at = found.end();
            }
            previous_end = Some(found.end());
            if accepted {
                places.push((found.start(), found.end()));
            }
        }
        places
    }

    /// At most `limit` matches from the left.
    pub fn find_all<'t>(&self, text: &'t str, limit: Option<usize>) -> Vec<&'t str> {
        let places = self.places(text, limit).into_iter();
        places
            .map(|(start, end)| text.get(start..end).unwrap_or(""))
            .collect()
    }

    /// The text between matches, in at most `limit` parts.
    pub fn split<'t>(&self, text: &'t str, limit: Option<usize>) -> Vec<&'t str> {
        if !self.is_blank && text.is_empty() {
            return vec![""];
        }
        let mut parts = Vec::new();
        let (mut begin, mut end) = (0, 0);
        for (start, stop) in self.places(text, limit) {
            if limit.is_some_and(|limit| parts.len() + 1 == limit) {
                break;
            }
            end = start;
            if stop != 0 {
                parts.push(text.get(begin..end).unwrap_or(""));
            }
            begin = stop;
        }
        if end != text.len() {
            parts.push(text.get(begin..).unwrap_or(""));
        }
        parts
    }

    /// Replaces every match; with `expand`, `$1`, `${name}` and `$$` mean groups and a dollar sign.
    /// `None` when the result would be larger than `limit` bytes.
    pub fn replace_all(
        &self,
        text: &str,
        with: &str,
        expand: bool,
        limit: usize,
    ) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let (mut last_end, mut at) = (0, 0);
        let expand = expand && with.contains('$');
        while at <= text.len() {
            let Some(found) = self.regex.captures_at(text, at) else {
                break;
            };
            let (start, end) = whole(&found);
            out.push_str(text.get(last_end..start).unwrap_or(""));
            if end > last_end || start == 0 {
                if expand {
                    expand::expand(&self.regex, &found, with, &mut out);
                } else {
                    out.push_str(with);
                }
            }
            last_end = end;
            let width = width_at(text, at);
            at = if at + width > end {
                at + width
            } else {
                end.max(at + usize::from(end <= at))
            };
            if out.len() > limit {
                return None;
            }
        }
        out.push_str(text.get(last_end..).unwrap_or(""));
        Some(out)
    }
}

fn whole(found: &Captures<'_>) -> (usize, usize) {
    found.get(0).map_or((0, 0), |all| (all.start(), all.end()))
}
