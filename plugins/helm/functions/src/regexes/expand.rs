//! Go's replacement templates: `$1W` is the group called `1W`, `${1}W` is group 1 and a W.

use regex::{Captures, Regex};

/// Names longer than this many digits are no number in Go.
const MAX_GROUP: usize = 100_000_000;

/// The name after a `$`, and what follows; `None` when there is no name.
fn extract(template: &str) -> Option<(&str, &str)> {
    let (braced, text) = match template.strip_prefix('{') {
        Some(text) => (true, text),
        None => (false, template),
    };
    let is_name = |c: char| c == '_' || c.is_alphabetic() || c.is_numeric();
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced {
        Some((name, rest.strip_prefix('}')?))
    } else {
        Some((name, rest))
    }
}

/// The group number a name stands for, unless it has a leading zero.
fn number(name: &str) -> Option<usize> {
    if !name.bytes().all(|b| b.is_ascii_digit()) || (name.len() > 1 && name.starts_with('0')) {
        return None;
    }
    // What Go takes for no number names no group either.
    Some(name.parse().unwrap_or(MAX_GROUP))
}

/// Appends the template with the groups of one match filled in.
pub(super) fn expand(regex: &Regex, found: &Captures<'_>, template: &str, out: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = extract(rest) else {
            out.push('$');
            continue;
        };
        rest = after;
        let group = match number(name) {
            Some(number) => found.get(number),
            None => {
                let mut names = regex.capture_names().enumerate();
                let place = names
                    .find(|(_, own)| *own == Some(name))
                    .map(|(place, _)| place);
                place.and_then(|place| found.get(place))
            }
        };
        out.push_str(group.map_or("", |group| group.as_str()));
    }
    out.push_str(rest);
}
