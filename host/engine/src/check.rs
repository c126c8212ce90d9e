//! A plugin's answer is looked at before it is used: sizes, names, order.

use optikon_core::ports::Object;
use serde_json::{Map, Value};

/// One cluster object as JSON.
pub(crate) const MAX_OBJECT_BYTES: usize = 1024 * 1024;
/// An opaque token ends up in URLs.
pub(crate) const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// A revision ends up in headers.
const MAX_REVISION_BYTES: usize = 1024;
/// A typed reason is one word.
const MAX_REASON_BYTES: usize = 64;

/// What of the contract an answer breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

pub(crate) fn size(what: &str, bytes: usize, limit: usize) -> Result<(), Broken> {
    if bytes > limit {
        return Err(Broken(format!(
            "{what} of {bytes} bytes where {limit} are allowed"
        )));
    }
    Ok(())
}

pub(crate) fn revision(text: &str) -> Result<(), Broken> {
    size("a revision", text.len(), MAX_REVISION_BYTES)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Broken(
            "a revision that is empty or has control characters".into(),
        ));
    }
    Ok(())
}

pub(crate) fn reason(text: &str) -> Result<(), Broken> {
    size("a reason", text.len(), MAX_REASON_BYTES)?;
    if !text.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Broken(
            "a reason that is not one word of letters and digits".into(),
        ));
    }
    Ok(())
}

pub(crate) fn json_object(what: &str, text: &str) -> Result<Map<String, Value>, Broken> {
    serde_json::from_str(text)
        .map_err(|error| Broken(format!("{what} that is no JSON object: {error}")))
}

pub(crate) fn is_sorted(items: &[Object]) -> Result<(), Broken> {
    let pairs = items.iter().zip(items.iter().skip(1));
    for (a, b) in pairs {
        if a.cluster.name() >= b.cluster.name() {
            let (a, b) = (a.cluster.name(), b.cluster.name());
            return Err(Broken(format!(
                "a page with \"{a}\" before \"{b}\", which is not sorted by name"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_beyond_the_contract_are_named() {
        assert!(revision("7").is_ok());
        assert!(revision("").is_err() && revision("a\nb").is_err());
        assert!(revision(&"r".repeat(2_000)).is_err());
        assert!(reason("TlsExpired").is_ok() && reason("").is_ok());
        assert!(reason("not a word").is_err());
        assert!(json_object("status", "[]").is_err());
        assert!(json_object("status", &"[".repeat(100_000)).is_err());
    }
}
