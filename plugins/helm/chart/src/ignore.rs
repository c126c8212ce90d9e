//! The rules of `.helmignore`, for whoever packs a folder.

use crate::error::Error;
use crate::glob::{Pattern, is_well_formed};

/// Name of the file with the rules.
pub const FILE_NAME: &str = ".helmignore";

/// Rules that say which files of a folder are no part of the chart.
#[derive(Clone, Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    scope: Scope,
    is_negated: bool,
    is_folder: bool,
}

#[derive(Clone, Copy, Debug)]
enum Scope {
    /// The whole path.
    Path,
    /// The last part of the path.
    Name,
}

impl Default for Rules {
    /// What holds for every chart: nothing whose name starts with a dot right below `templates/`.
    fn default() -> Self {
        let mut rules = Self(Vec::new());
        rules.add_defaults();
        rules
    }
}

impl Rules {
    /// Reads the rules of a file; the defaults are added.
    ///
    /// # Errors
    /// `**`, or a malformed pattern.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut rules = Self(Vec::new());
        for line in text.strip_prefix('\u{FEFF}').unwrap_or(text).lines() {
            rules.add(line)?;
        }
        rules.add_defaults();
        Ok(rules)
    }

    fn add_defaults(&mut self) {
        self.0.push(Rule {
            pattern: "templates/.?*".into(),
            scope: Scope::Path,
            is_negated: false,
            is_folder: false,
        });
    }

    fn add(&mut self, line: &str) -> Result<(), Error> {
        let rule = line.trim();
        if rule.is_empty() || rule.starts_with('#') {
            return Ok(());
        }
        if rule.contains("**") {
            return Err(Error::chart("double-star (**) syntax is not supported"));
        }
        if !is_well_formed(rule) {
            return Err(Error::chart("syntax error in pattern"));
        }
        let (rule, is_negated) = match rule.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (rule, false),
        };
        let (rule, is_folder) = match rule.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (rule, false),
        };
        let (pattern, scope) = match rule.strip_prefix('/') {
            Some(rest) => (rest, Scope::Path),
            None if rule.contains('/') => (rule, Scope::Path),
            None => (rule, Scope::Name),
        };
        self.0.push(Rule {
            pattern: pattern.to_owned(),
            scope,
            is_negated,
            is_folder,
        });
        Ok(())
    }

    /// Whether a path relative to the chart's folder is left out. A folder that is left out takes
    /// everything below it along, so ask for folders on the way down.
    #[must_use]
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        if matches!(path, "" | "." | "./") {
            return false;
        }
        for rule in &self.0 {
            let text = match rule.scope {
                Scope::Path => path,
                Scope::Name => path.rsplit('/').next().unwrap_or(path),
            };
            let matches = || Pattern::new(&rule.pattern).matches(text);
            if rule.is_negated {
                if (rule.is_folder && !is_folder) || !matches() {
                    return true;
                }
            } else if (!rule.is_folder || is_folder) && matches() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_without_slash_looks_at_the_last_part_only() {
        let rules = Rules::parse("*.bak\n# comment\n/top.txt\nold/\na/*.txt\n").unwrap();
        assert!(rules.ignores("deep/down/x.bak", false));
        assert!(rules.ignores("top.txt", false));
        assert!(!rules.ignores("deep/top.txt", false));
        assert!(rules.ignores("deep/old", true));
        assert!(!rules.ignores("deep/old", false));
        assert!(rules.ignores("a/b.txt", false));
        assert!(!rules.ignores("a/b/c.txt", false));
        assert!(rules.ignores("templates/.hidden", false));
    }

    #[test]
    fn a_negated_rule_leaves_out_everything_it_does_not_match() {
        let rules = Rules::parse("!*.yaml").unwrap();
        assert!(rules.ignores("x.txt", false));
        assert!(!rules.ignores("x.yaml", false));
    }

    #[test]
    fn double_stars_and_broken_patterns_are_refused() {
        assert!(Rules::parse("a/**").is_err());
        assert!(Rules::parse("[a").is_err());
    }
}
