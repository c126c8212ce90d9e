//! Chart versions and ranges of them, as Helm reads them.

use semver::{Version, VersionReq};

/// A version, with a `v` or without, missing parts 0.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let missing = 2_usize.checked_sub(core.matches('.').count())?;
    Version::parse(&format!("{core}{}{rest}", ".0".repeat(missing))).ok()
}

/// Whether this names one version and no range: all three parts are there.
pub(super) fn is_whole(text: &str) -> bool {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).is_ok()
}

/// A range: comparators joined by commas or blanks, alternatives by `||`.
///
/// # Errors
/// One line that says what was not understood.
fn ranges(text: &str) -> Result<Vec<VersionReq>, String> {
    text.split("||").map(range).collect()
}

fn range(text: &str) -> Result<VersionReq, String> {
    let mut parts: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split([',', ' ']).filter(|w| !w.is_empty()) {
        let bare = word.trim_start_matches(['>', '<', '=', '^', '~', '!']);
        let (operator, version) = word.split_at(word.len() - bare.len());
        let version = version.strip_prefix('v').unwrap_or(version);
        match (is_open, operator, version) {
            (true, "", version) => {
                if let Some(last) = parts.last_mut() {
                    last.push_str(version);
                }
                is_open = false;
            }
            (true, ..) => return Err(format!("\"{word}\" follows an operator")),
            (false, operator, "") => {
                parts.push(operator.to_owned());
                is_open = true;
            }
            // Bare, a short version is a range: 1.2 is any 1.2.x.
            (false, "", version) => parts.push(if version.contains(['*', 'x', 'X']) {
                version.replace(['x', 'X'], "*")
            } else {
                format!("={version}")
            }),
            (false, operator, version) => parts.push(format!("{operator}{version}")),
        }
    }
    VersionReq::parse(&parts.join(",")).map_err(|error| error.to_string())
}

/// The newest of `all` that is wanted: the very one, or the newest in a range; without a wish the
/// newest that is no pre-release.
///
/// # Errors
/// One line for people.
pub(super) fn choose<'a>(
    all: impl Iterator<Item = &'a str>,
    wanted: Option<&str>,
) -> Result<&'a str, String> {
    let mut all: Vec<(&str, Option<Version>)> = all.map(|text| (text, parse(text))).collect();
    if let Some(wanted) = wanted {
        let exact = parse(wanted);
        let is_it = |(text, version): &&(&str, Option<Version>)| {
            *text == wanted || exact.is_some() && *version == exact
        };
        if let Some((text, _)) = all.iter().find(is_it) {
            return Ok(text);
        }
    }
    all.retain(|(_, version)| version.is_some());
    let ranges = match wanted {
        None => vec![VersionReq::STAR],
        Some(text) => ranges(text)
            .map_err(|why| format!("is neither a version nor a range of versions: {why}"))?,
    };
    let fitting = all.iter().filter(|(_, version)| {
        version
            .as_ref()
            .is_some_and(|v| ranges.iter().any(|r| r.matches(v)))
    });
    let newest = fitting.max_by(|a, b| a.1.cmp(&b.1)).map(|(text, _)| *text);
    newest.ok_or_else(|| match wanted {
        None if all.is_empty() => "there is no version of it".to_owned(),
        None => "there are only pre-releases of it; name one".to_owned(),
        Some(_) => format!("no version of it fits; {}", known(&all)),
    })
}

fn known(all: &[(&str, Option<Version>)]) -> String {
    let mut newest: Vec<_> = all.iter().collect();
    newest.sort_by(|a, b| b.1.cmp(&a.1));
    let shown: Vec<String> = newest
        .iter()
        .take(5)
        .map(|(text, _)| text.escape_debug().take(40).collect())
        .collect();
    if shown.is_empty() {
        "there is none".into()
    } else {
        format!("the newest are {}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_fits_is_chosen() {
        let all = ["1.2.3", "v1.10.0", "1.2.10", "2.0.0-rc.1", "0.9", "odd"];
        let chosen = |wanted: Option<&str>| choose(all.into_iter(), wanted);
        for (wanted, version) in [
            (None, "v1.10.0"),
            (Some("1.2.3"), "1.2.3"),
            (Some("v1.2.3"), "1.2.3"),
            (Some("1.10"), "v1.10.0"),
            (Some("odd"), "odd"),
            (Some("~1.2"), "1.2.10"),
            (Some("1.2"), "1.2.10"),
            (Some("1.2.x"), "1.2.10"),
            (Some("^1.2"), "v1.10.0"),
            (Some(">= 1.0 < 1.3"), "1.2.10"),
            (Some(">=1.0, <1.2.10"), "1.2.3"),
            (Some("<0.1 || ~0.9"), "0.9"),
            (Some(">=2.0.0-0"), "2.0.0-rc.1"),
            (Some("*"), "v1.10.0"),
        ] {
            assert_eq!(chosen(wanted).as_deref(), Ok(version), "{wanted:?}");
        }
        assert!(
            chosen(Some("3.0.0"))
                .unwrap_err()
                .contains("v1.10.0, 1.2.10")
        );
        assert!(chosen(Some("latest!")).is_err());
        assert!(
            choose(["1.0.0-a"].into_iter(), None)
                .unwrap_err()
                .contains("pre-releases")
        );
        assert!(choose([].into_iter(), None).is_err());
    }
}
