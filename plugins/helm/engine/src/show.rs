//! `--show-only`, and lines as Helm's logger writes them.

use helm_chart::Pattern;

use crate::manifest::split;

/// The documents of an output whose template matches one of the patterns, in the patterns' order.
///
/// # Errors
/// The first pattern that nothing matches.
pub(crate) fn show_only<'a, 'b>(
    output: &'a str,
    patterns: &'b [String],
) -> Result<Vec<&'a str>, &'b str> {
    let documents = split(output);
    let mut shown = Vec::new();
    for wanted in patterns {
        let pattern = Pattern::new(wanted);
        let before = shown.len();
        for document in &documents {
            if source_of(document).is_some_and(|path| pattern.matches(path)) {
                shown.push(*document);
            }
        }
        if shown.len() == before {
            return Err(wanted);
        }
    }
    Ok(shown)
}

/// The path in the first `# Source: CHART/PATH` of a document.
fn source_of(document: &str) -> Option<&str> {
    let mut rest = document;
    loop {
        let at = rest.find("# Source: ")? + "# Source: ".len();
        rest = rest.get(at..)?;
        let chart = rest.find('/').unwrap_or_default();
        if chart > 0 {
            let path = rest.get(chart + 1..)?.lines().next().unwrap_or_default();
            if !path.is_empty() {
                return Some(path);
            }
        }
    }
}

/// A line of the log.
pub(crate) fn log_line(level: &str, message: &str, attributes: &[(&str, &str)]) -> String {
    helm_chart::log_line(level, message, attributes)
}

#[cfg(test)]
mod tests {
    use super::show_only;

    #[test]
    fn patterns_match_paths_below_the_chart() {
        let output =
            "---\n# Source: c/templates/a.yaml\na: 1\n---\n# Source: c/templates/b.yaml\nb: 1\n";
        let wanted = ["templates/b.yaml".to_owned(), "templates/*.yaml".to_owned()];
        let shown = show_only(output, &wanted).unwrap();
        assert_eq!(shown.len(), 3);
        assert!(shown[0].contains("b: 1"));
        assert_eq!(show_only(output, &["x".to_owned()]), Err("x"));
    }
}
