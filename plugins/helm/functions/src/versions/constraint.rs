//! Constraints: groups joined by `||`, each a list of operator and version that must all hold.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;

use super::VersionError;
use super::version::{Version, compare_prereleases};
use crate::go::quote;

const MAX_CONSTRAINT_BYTES: usize = 512;
const MAX_CONSTRAINT_GROUPS: usize = 32;

// The bar inside the class is part of the accepted grammar, as in the library Helm uses.
const VERSION: &str = r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
// RE2's `\s`, which unlike this engine's knows neither Unicode blanks nor the vertical tab.
const BLANK: &str = r"[\t\n\f\r ]";

/// `None` cannot happen for these constant patterns; it makes every constraint improper.
fn compile(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

static ONE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(&format!(
        r"^{BLANK}*({OPERATORS}){BLANK}*({VERSION}){BLANK}*$"
    ))
});
static RANGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(&format!(
        r"{BLANK}*({VERSION}){BLANK}+-{BLANK}+({VERSION}){BLANK}*"
    ))
});
static FIND: LazyLock<Option<Regex>> =
    LazyLock::new(|| compile(&format!(r"({OPERATORS}){BLANK}*({VERSION})")));
static GROUP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(&format!(
        r"^({BLANK}*({OPERATORS}){BLANK}*({VERSION}){BLANK}*)((?:{BLANK}+|,{BLANK}*)({OPERATORS}){BLANK}*({VERSION}){BLANK}*)*$"
    ))
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    TildeOrEqual,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

#[derive(Debug, Clone)]
struct Term {
    operator: Operator,
    version: Version,
    /// Some part is missing or a wildcard.
    dirty: bool,
    minor_dirty: bool,
    patch_dirty: bool,
}

#[derive(Debug, Clone)]
struct Group {
    terms: Vec<Term>,
    /// A term names a prerelease, so prereleases may match this group.
    has_prerelease: bool,
}

/// A parsed constraint such as `>=1.19-0 <2 || ^3`.
#[derive(Debug, Clone)]
pub struct Constraint {
    groups: Vec<Group>,
}

fn improper(text: &str) -> VersionError {
    VersionError(format!("improper constraint: {}", quote(text.as_bytes())))
}

impl Constraint {
    /// Reads a constraint.
    ///
    /// # Errors
    /// `improper constraint: "…"` with the group or term, or a text beyond 512 bytes or 32 groups.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.len() > MAX_CONSTRAINT_BYTES {
            return Err(VersionError(
                "constraint string is too long (max 512 bytes)".into(),
            ));
        }
        let text = rewrite_ranges(text);
        let parts: Vec<&str> = text.split("||").collect();
        if parts.len() > MAX_CONSTRAINT_GROUPS {
            return Err(VersionError("too many constraint groups (max 32)".into()));
        }
        let groups = parts
            .into_iter()
            .map(parse_group)
            .collect::<Result<_, _>>()?;
        Ok(Self { groups })
    }

    /// Does the version satisfy at least one group?
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            (version.prerelease.is_empty() || group.has_prerelease)
                && group.terms.iter().all(|term| term.check(version))
        })
    }
}

/// `1.2 - 2.3.4` becomes `>= 1.2, <= 2.3.4 `.
fn rewrite_ranges(text: &str) -> String {
    let mut out = text.to_owned();
    let Some(range) = RANGE.as_ref() else {
        return out;
    };
    for found in range.captures_iter(text) {
        let part = |n: usize| found.get(n).map_or("", |m| m.as_str());
        out = out.replacen(part(0), &format!(">= {}, <= {} ", part(1), part(11)), 1);
    }
    out
}

fn parse_group(text: &str) -> Result<Group, VersionError> {
    let (Some(group), Some(find)) = (GROUP.as_ref(), FIND.as_ref()) else {
        return Err(improper(text));
    };
    if !group.is_match(text) {
        return Err(improper(text));
    }
    let mut terms = find
        .find_iter(text)
        .map(|found| parse_term(found.as_str()))
        .collect::<Result<Vec<_>, _>>()?;
    if terms.is_empty() {
        terms.push(parse_term(text)?);
    }
    let has_prerelease = terms.iter().any(|term| !term.version.prerelease.is_empty());
    Ok(Group {
        terms,
        has_prerelease,
    })
}

fn parse_term(text: &str) -> Result<Term, VersionError> {
    let found = ONE
        .as_ref()
        .and_then(|one| one.captures(text))
        .ok_or_else(|| improper(text))?;
    let part = |n: usize| found.get(n).map_or("", |m| m.as_str());
    let operator = match part(1) {
        "!=" => Operator::NotEqual,
        ">" => Operator::Greater,
        "<" => Operator::Less,
        ">=" | "=>" => Operator::GreaterEqual,
        "<=" | "=<" => Operator::LessEqual,
        "~" | "~>" => Operator::Tilde,
        "^" => Operator::Caret,
        _ => Operator::TildeOrEqual,
    };
    let wild = |text: &str| matches!(text, "" | "x" | "X" | "*" | ".x" | ".X" | ".*");
    let (major, minor, patch, prerelease) = (part(3), part(4), part(5), part(6));
    let (mut dirty, mut minor_dirty, mut patch_dirty) = (true, false, false);
    let version = if wild(major) {
        format!("0.0.0{prerelease}")
    } else if wild(minor) {
        minor_dirty = true;
        format!("{major}.0.0{prerelease}")
    } else if wild(patch) {
        patch_dirty = true;
        format!("{major}{minor}.0{prerelease}")
    } else {
        dirty = false;
        part(2).to_owned()
    };
    let version =
        Version::parse(&version).map_err(|_| VersionError("constraint parser error".into()))?;
    Ok(Term {
        operator,
        version,
        dirty,
        minor_dirty,
        patch_dirty,
    })
}

impl Term {
    /// Prereleases are admitted or not by the group, before.
    fn check(&self, version: &Version) -> bool {
        let order = version.compare(&self.version);
        match self.operator {
            Operator::TildeOrEqual if self.dirty => self.tilde(version, order),
            Operator::TildeOrEqual => order == Ordering::Equal,
            Operator::NotEqual => self.not_equal(version, order),
            Operator::Greater => self.greater(version, order),
            Operator::Less => order == Ordering::Less,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::LessEqual => self.less_equal(version, order),
            Operator::Tilde => self.tilde(version, order),
            Operator::Caret => self.caret(version, order),
        }
    }

    fn not_equal(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if !self.dirty {
            return order != Ordering::Equal;
        }
        if own.major != version.major {
            return true;
        }
        if own.minor != version.minor && !self.minor_dirty {
            return true;
        }
        if self.minor_dirty {
            return false;
        }
        if own.patch != version.patch && !self.patch_dirty {
            return true;
        }
        if self.patch_dirty {
            return (!version.prerelease.is_empty() || !own.prerelease.is_empty())
                && compare_prereleases(&version.prerelease, &own.prerelease) != Ordering::Equal;
        }
        order != Ordering::Equal
    }

    fn greater(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if !self.dirty || version.major != own.major {
            return if self.dirty {
                version.major > own.major
            } else {
                order == Ordering::Greater
            };
        }
        if self.minor_dirty {
            return false;
        }
        if self.patch_dirty {
            return version.minor > own.minor;
        }
        order == Ordering::Greater
    }

    fn less_equal(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if !self.dirty {
            return order != Ordering::Greater;
        }
        let minor_above =
            version.major == own.major && version.minor > own.minor && !self.minor_dirty;
        version.major <= own.major && !minor_above
    }

    fn tilde(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if order == Ordering::Less {
            return false;
        }
        // `~0.0.0` and `*` accept everything.
        let zero = own.major == 0 && own.minor == 0 && own.patch == 0;
        if zero && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        version.major == own.major && (version.minor == own.minor || self.minor_dirty)
    }

    fn caret(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if order == Ordering::Less {
            return false;
        }
        if own.major > 0 || self.minor_dirty {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || self.patch_dirty {
            return version.minor == own.minor;
        }
        version.minor == 0 && own.patch == version.patch
    }
}
