//! The globs of `.Files.Glob`: `*` and `?` within one part of a path, `**` across parts, classes,
//! `{a,b}` alternatives, `\` escapes.

/// A parsed glob.
#[derive(Debug)]
pub(crate) struct Glob(Vec<Part>);

#[derive(Debug)]
enum Part {
    Literal(char),
    /// One character that is no separator.
    One,
    /// Any characters but separators.
    Any,
    /// Any characters.
    Super,
    /// One of these characters, or none of them.
    Class(Vec<char>, bool),
    /// One in this range, or outside of it.
    Range(char, char, bool),
    Alternatives(Vec<Vec<Part>>),
}

/// Deeper alternatives are refused, as is everything else that the library refuses.
const MAX_DEPTH: usize = 32;

impl Glob {
    /// Reads a glob; one that cannot be read matches everything, as Helm has it.
    pub(crate) fn new(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut at = 0;
        match parse(&chars, &mut at, 0) {
            Some(parts) => Self(parts),
            None => Self(vec![Part::Super]),
        }
    }

    /// Whether the whole path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let text: Vec<char> = path.chars().collect();
        ends(&self.0, &text, &[0]).contains(&text.len())
    }
}

fn parse(chars: &[char], at: &mut usize, depth: usize) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while let Some(c) = chars.get(*at) {
        match c {
            ',' | '}' if depth > 0 => return Some(parts),
            '*' => {
                let is_super = chars.get(*at + 1) == Some(&'*');
                *at += usize::from(is_super);
                parts.push(if is_super { Part::Super } else { Part::Any });
            }
            '?' => parts.push(Part::One),
            '[' => {
                *at += 1;
                parts.push(class(chars, at)?);
                continue;
            }
            '{' => {
                if depth == MAX_DEPTH {
                    return None;
                }
                let mut choices = Vec::new();
                loop {
                    *at += 1;
                    choices.push(parse(chars, at, depth + 1)?);
                    match chars.get(*at) {
                        Some(',') => {}
                        // The library takes an end that never comes as one that does.
                        _ => break,
                    }
                }
                parts.push(Part::Alternatives(choices));
            }
            '\\' => {
                *at += 1;
                if let Some(c) = chars.get(*at) {
                    parts.push(Part::Literal(*c));
                }
            }
            c => parts.push(Part::Literal(*c)),
        }
        *at += 1;
    }
    Some(parts)
}

/// Reads a class after its `[`.
fn class(chars: &[char], at: &mut usize) -> Option<Part> {
    let is_negated = chars.get(*at) == Some(&'!');
    *at += usize::from(is_negated);
    let first = *chars.get(*at)?;
    if chars.get(*at + 1) == Some(&'-') {
        let last = *chars.get(*at + 2)?;
        *at += 3;
        if chars.get(*at) != Some(&']') || last < first {
            return None;
        }
        *at += 1;
        return Some(Part::Range(first, last, is_negated));
    }
    let mut members = Vec::new();
    loop {
        match chars.get(*at)? {
            ']' => break,
            '\\' => {
                *at += 1;
                members.push(*chars.get(*at)?);
            }
            c => members.push(*c),
        }
        *at += 1;
    }
    *at += 1;
    (!members.is_empty()).then_some(Part::Class(members, is_negated))
}

/// All places where a match that starts at one of `starts` may end; sorted, each once.
fn ends(parts: &[Part], text: &[char], starts: &[usize]) -> Vec<usize> {
    let mut places = starts.to_vec();
    for part in parts {
        let mut next = Vec::new();
        match part {
            Part::Any | Part::Super => {
                let mut reached = 0;
                for start in &places {
                    let mut end = (*start).max(reached);
                    if end == *start || reached == 0 {
                        next.push(*start);
                    }
                    while let Some(c) = text.get(end) {
                        if matches!(part, Part::Any) && *c == '/' {
                            break;
                        }
                        end += 1;
                        next.push(end);
                    }
                    reached = reached.max(end);
                }
            }
            Part::Alternatives(choices) => {
                for choice in choices {
                    next.extend(ends(choice, text, &places));
                }
            }
            one => {
                next.extend(places.iter().filter_map(|place| {
                    let c = *text.get(*place)?;
                    is_one(one, c).then_some(place + 1)
                }));
            }
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return next;
        }
        places = next;
    }
    places
}

fn is_one(part: &Part, c: char) -> bool {
    match part {
        Part::Literal(wanted) => *wanted == c,
        Part::One => c != '/',
        Part::Class(members, is_negated) => members.contains(&c) != *is_negated,
        Part::Range(low, high, is_negated) => (*low <= c && c <= *high) != *is_negated,
        Part::Any | Part::Super | Part::Alternatives(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars_classes_and_alternatives() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "a/b.txt", false),
            ("**.txt", "a/b.txt", true),
            ("files/**", "files/a/b", true),
            ("files/*", "files/a/b", false),
            ("files/*", "files/", true),
            ("**/x", "x", false),
            ("**/x", "a/b/x", true),
            ("{a,b*}/c", "bcd/c", true),
            ("{a,b*}/c", "cd/c", false),
            ("[a-c]", "b", true),
            ("[!a-c]", "b", false),
            ("[abc]x", "bx", true),
            ("[!abc]x", "bx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xxaybz", true),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(path),
                expected,
                "{pattern} {path}"
            );
        }
    }
}
