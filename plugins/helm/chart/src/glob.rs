//! Go's `filepath.Match`: `*` and `?` within one part of a path, `[a-z]`, `\` escapes.

/// A pattern, read anew at each match: patterns are short and matched seldom.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<char>);

/// Whether Go would accept the pattern when it looks at all of it.
#[must_use]
pub(crate) fn is_well_formed(pattern: &str) -> bool {
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        at += 1;
        match c {
            '\\' if chars.get(at).is_none() => return false,
            '\\' => at += 1,
            '[' => match class(&chars, at, 'a') {
                Some((_, next)) => at = next,
                None => return false,
            },
            _ => {}
        }
    }
    true
}

impl Pattern {
    /// A pattern; one that is malformed matches nothing.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let pattern = &self.0;
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            let step = match (pattern.get(p), text.get(t)) {
                (None, None) => return true,
                (Some('*'), _) => {
                    star = Some((p + 1, t));
                    p += 1;
                    continue;
                }
                (Some('?'), Some(c)) if *c != '/' => Some(p + 1),
                (Some('['), Some(c)) => match class(pattern, p + 1, *c) {
                    Some((true, next)) => Some(next),
                    Some((false, _)) => None,
                    None => return false,
                },
                (Some('\\'), Some(c)) => (pattern.get(p + 1) == Some(c)).then_some(p + 2),
                (Some(wanted), Some(c)) if wanted == c && !matches!(wanted, '?' | '[') => {
                    Some(p + 1)
                }
                _ => None,
            };
            if let Some(next) = step {
                p = next;
                t += 1;
                continue;
            }
            // Let the last star take one more character, unless that is a separator.
            match star {
                Some((after, from)) if text.get(from).is_some_and(|c| *c != '/') => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                _ => return false,
            }
        }
    }
}

/// Reads a class after its `[`: whether it holds `c`, and where the pattern goes on.
fn class(pattern: &[char], mut at: usize, c: char) -> Option<(bool, usize)> {
    let is_negated = pattern.get(at) == Some(&'^');
    if is_negated {
        at += 1;
    }
    let mut holds = false;
    let mut ranges = 0;
    loop {
        if pattern.get(at) == Some(&']') && ranges > 0 {
            return Some((holds != is_negated, at + 1));
        }
        let (low, next) = bound(pattern, at)?;
        at = next;
        let mut high = low;
        if pattern.get(at) == Some(&'-') {
            (high, at) = bound(pattern, at + 1)?;
        }
        holds |= low <= c && c <= high;
        ranges += 1;
    }
}

fn bound(pattern: &[char], at: usize) -> Option<(char, usize)> {
    match pattern.get(at)? {
        '-' | ']' => None,
        '\\' => Some((*pattern.get(at + 1)?, at + 2)),
        c => Some((*c, at + 1)),
    }
    .filter(|(_, next)| pattern.get(*next).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_separators() {
        for (pattern, text, expected) in [
            ("*", "abc", true),
            ("*", "a/b", false),
            ("a*c", "abbc", true),
            ("a*/b", "ax/b", true),
            ("templates/*.yaml", "templates/a.yaml", true),
            ("templates/*.yaml", "templates/x/a.yaml", false),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "axxbyybzc", true),
            ("[", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
