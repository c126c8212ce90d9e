//! Semantic versions, without a `v`.

use super::{digits, fail, invalid_character};

/// A wrong character of an identifier.
fn odd(text: &str) -> Option<String> {
    let is_wrong = |c: &char| !c.is_ascii_alphanumeric() && *c != '-';
    text.chars().find(is_wrong).map(invalid_character)
}

/// Checks a version.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut text = text;
    if let Some((rest, build)) = text.split_once('+') {
        if build.is_empty() {
            return fail("build is empty");
        }
        for part in build.split('.') {
            if part.is_empty() {
                return fail("build identifier is empty");
            }
            if let Some(error) = odd(part) {
                return Err(format!("{error} in build identifier"));
            }
        }
        text = rest;
    }
    if let Some((rest, release)) = text.split_once('-') {
        for part in release.split('.') {
            if part.is_empty() {
                return fail("pre-release identifier is empty");
            }
            if let Some(error) = odd(part) {
                return Err(format!("{error} in pre-release identifier"));
            }
            if digits(part) == part.len() && part.len() > 1 && part.starts_with('0') {
                return fail("pre-release numeric identifier starts with zero");
            }
        }
        text = rest;
    }
    let numbers: Vec<&str> = text.split('.').collect();
    if numbers.len() != 3 {
        return fail("versionCore must have 3 numbers separated by dot");
    }
    for (name, number) in ["major", "minor", "patch"].into_iter().zip(numbers) {
        if number.is_empty() {
            return Err(format!("{name} is empty"));
        }
        if number.len() > 1 && number.starts_with('0') {
            return Err(format!("{name} starts with zero"));
        }
        if digits(number) < number.len() {
            return Err(format!("{name} contains non-digit"));
        }
    }
    Ok(())
}
