//! One version: loose reading (`v1`, `1.2`, leading zeros) and ordering.

use std::cmp::Ordering;
use std::fmt;

use super::VersionError;

/// Longer texts are refused before they are looked at.
const MAX_VERSION_BYTES: usize = 256;

/// A semantic version as written, missing parts read as 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number, 0 when absent.
    pub minor: u64,
    /// Third number, 0 when absent.
    pub patch: u64,
    /// What follows `-`, without it; empty for a release.
    pub prerelease: String,
    /// What follows `+`, without it; never compared.
    pub metadata: String,
    /// The text it was read from.
    pub original: String,
}

fn error(text: &str) -> VersionError {
    VersionError(text.to_owned())
}

/// Takes the leading bytes that satisfy `accept`.
fn take(text: &str, accept: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !accept(b)).unwrap_or(text.len());
    text.split_at(end)
}

fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Takes `identifier(.identifier)*`; `None` when there is not even one.
fn take_dotted(text: &str) -> Option<(&str, &str)> {
    let (first, mut rest) = take(text, is_identifier);
    if first.is_empty() {
        return None;
    }
    while let Some(after) = rest.strip_prefix('.') {
        let (part, tail) = take(after, is_identifier);
        if part.is_empty() {
            break;
        }
        rest = tail;
    }
    let used = text.len() - rest.len();
    Some(text.split_at(used))
}

fn number(digits: &str) -> Result<u64, VersionError> {
    digits.parse().map_err(|_| {
        VersionError(format!(
            "error parsing version segment: strconv.ParseUint: parsing \"{digits}\": value out of range"
        ))
    })
}

impl Version {
    /// Reads a version leniently: an optional `v`, one to three numbers, prerelease, metadata.
    ///
    /// # Errors
    /// `invalid semantic version`, `version segment starts with 0` for a numeric prerelease part,
    /// an out of range number, or a text above 256 bytes.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.len() > MAX_VERSION_BYTES {
            return Err(error("version string is too long (max 256 bytes)"));
        }
        let invalid = || error("invalid semantic version");
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (major, mut rest) = take(rest, |b| b.is_ascii_digit());
        if major.is_empty() {
            return Err(invalid());
        }
        let mut numbers = [major, "", ""];
        for slot in numbers.iter_mut().skip(1) {
            let Some(after) = rest.strip_prefix('.') else {
                break;
            };
            let (digits, tail) = take(after, |b| b.is_ascii_digit());
            if digits.is_empty() {
                break;
            }
            *slot = digits;
            rest = tail;
        }
        let mut prerelease = "";
        if let Some(after) = rest.strip_prefix('-') {
            (prerelease, rest) = take_dotted(after).ok_or_else(invalid)?;
        }
        let mut metadata = "";
        if let Some(after) = rest.strip_prefix('+') {
            (metadata, rest) = take_dotted(after).ok_or_else(invalid)?;
        }
        if !rest.is_empty() {
            return Err(invalid());
        }
        let [major, minor, patch] = numbers;
        let optional = |digits: &str| {
            if digits.is_empty() {
                Ok(0)
            } else {
                number(digits)
            }
        };
        let version = Self {
            major: number(major)?,
            minor: optional(minor)?,
            patch: optional(patch)?,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        };
        for part in prerelease.split('.') {
            if part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(error("version segment starts with 0"));
            }
        }
        Ok(version)
    }

    /// Orders two versions; metadata does not count, a prerelease comes before its release.
    pub fn compare(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_prereleases(&self.prerelease, &other.prerelease),
            }
        })
    }
}

/// The canonical form, without a leading `v`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

/// Compares part by part; a shorter list that is a prefix comes first.
pub(super) fn compare_prereleases(left: &str, right: &str) -> Ordering {
    let mut left = left.split('.');
    let mut right = right.split('.');
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        let order = compare_parts(a.unwrap_or(""), b.unwrap_or(""));
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Numbers compare as numbers and come before words.
fn compare_parts(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    if a.is_empty() {
        return Ordering::Less;
    }
    if b.is_empty() {
        return Ordering::Greater;
    }
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(x), Ok(y)) if x > y => Ordering::Greater,
        (Ok(_), Ok(_)) | (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}
