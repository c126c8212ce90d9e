//! Releases, and what changes do to them.

use optikon_core::{
    Error,
    ports::{Content, ObjectChange, Outcome, Release},
    words::FaultReason,
};

use super::error::from_error;
use crate::{
    bindings::{
        charts::exports::optikon::charts::releases as wit,
        host::optikon::common::types::{Error as WitError, ErrorCode},
    },
    check::{self, Broken},
    escape,
};

/// Longer than Helm allows a name to be.
const MAX_NAME_BYTES: usize = 253;
/// A message for people fits on a screen.
const MAX_MESSAGE_BYTES: usize = 2 * 1024;
/// A status is one word.
const MAX_WORD_BYTES: usize = 64;
/// Details are for people; notes are the longest of them.
const MAX_DETAILS_BYTES: usize = 1024 * 1024;
/// Manifest and values of one revision fit into a Secret, packed.
const MAX_CONTENT_BYTES: usize = 32 * 1024 * 1024;
/// A kind with its API version.
const MAX_KIND_BYTES: usize = 512;
/// The fields of one object that differ.
const MAX_PATCH_BYTES: usize = 4 * 1024 * 1024;
/// Warnings of one plan, and the bytes of each.
const MAX_WARNINGS: usize = 200;
const MAX_WARNING_BYTES: usize = 2 * 1024;
/// What a change may do to an object.
const CHANGES: [&str; 5] = ["created", "changed", "deleted", "unchanged", "kept"];

fn name(what: &str, text: &str) -> Result<(), Broken> {
    check::size(what, text.len(), MAX_NAME_BYTES)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Broken(format!(
            "{what} that is empty or has control characters"
        )));
    }
    Ok(())
}

pub(crate) fn from_release(release: wit::Release) -> Result<Release, Broken> {
    name("a release's name", &release.name)?;
    name("a release's namespace", &release.namespace)?;
    check::size(
        "details of a release",
        release.details.len(),
        MAX_DETAILS_BYTES,
    )?;
    Ok(Release {
        status: escape::line(&release.status, MAX_WORD_BYTES),
        operation: release
            .operation
            .map(|id| escape::line(&id, MAX_WORD_BYTES)),
        details: check::json_object("details", &release.details)?,
        name: release.name,
        namespace: release.namespace,
        revision: release.revision,
    })
}

pub(crate) fn from_outcome(outcome: wit::Outcome) -> Result<Outcome, Broken> {
    Ok(Outcome {
        release: from_release(outcome.release)?,
        is_changed: outcome.changed,
    })
}

pub(crate) fn from_releases(releases: Vec<wit::Release>) -> Result<Vec<Release>, Broken> {
    releases.into_iter().map(from_release).collect()
}

/// Records that name what they are of; the rest is for whoever reads them.
pub(crate) fn from_records(records: Vec<String>) -> Result<Vec<serde_json::Value>, Broken> {
    let bytes = records.iter().map(String::len).sum();
    check::size("records", bytes, MAX_CONTENT_BYTES)?;
    let each = records.into_iter().map(|text| {
        let record = check::json_object("a record", &text)?;
        for key in ["name", "namespace"] {
            let text = record.get(key).and_then(serde_json::Value::as_str);
            name(&format!("a record's {key}"), text.unwrap_or_default())?;
        }
        Ok(record.into())
    });
    each.collect()
}

pub(crate) fn from_content(content: wit::Content) -> Result<Content, Broken> {
    let bytes = content.manifest.len() + content.values.len() + content.notes.len();
    check::size("a revision", bytes, MAX_CONTENT_BYTES)?;
    check::json_object("values", &content.values)?;
    Ok(Content {
        release: from_release(content.release)?,
        manifest: content.manifest,
        values: content.values,
        notes: content.notes,
    })
}

pub(crate) fn from_change(change: wit::Change) -> Result<ObjectChange, Broken> {
    if !CHANGES.contains(&change.what.as_str()) {
        let word = escape::line(&change.what, MAX_WORD_BYTES);
        return Err(Broken(format!("a change of the unknown sort \"{word}\"")));
    }
    check::size("a change", change.patch.len(), MAX_PATCH_BYTES)?;
    let Ok(patch) = serde_json::from_str(&change.patch) else {
        return Err(Broken("a change whose patch is no JSON list".into()));
    };
    Ok(ObjectChange {
        kind: escape::line(&change.kind, MAX_KIND_BYTES),
        namespace: change.namespace.map(|n| escape::line(&n, MAX_NAME_BYTES)),
        name: escape::line(&change.name, MAX_NAME_BYTES),
        what: change.what,
        patch,
    })
}

/// Warnings of a plan, as lines.
pub(crate) fn from_warnings(warnings: Vec<String>) -> Vec<String> {
    let some = warnings.into_iter().take(MAX_WARNINGS);
    some.map(|line| escape::line(&line, MAX_WARNING_BYTES))
        .collect()
}

/// A backend's error as the use-cases see it, about the release `name`. `None`: it says that it is at fault itself.
pub(crate) fn from_release_error(error: &WitError, name: &str) -> Option<Error> {
    Some(match error.code {
        ErrorCode::NotFound => Error::not_found("release", name),
        ErrorCode::AlreadyExists => Error::AlreadyExists {
            kind: "release",
            name: name.to_owned(),
        },
        ErrorCode::Unavailable | ErrorCode::Conflict | ErrorCode::Denied => {
            match error.details.iter().find(|(key, _)| key == "reason") {
                Some((_, word)) => Error::Member {
                    reason: reason(word),
                    message: escape::line(&error.message, MAX_MESSAGE_BYTES),
                },
                None => return from_error(error, name),
            }
        }
        _ => return from_error(error, name),
    })
}

/// A backend's word for a row: that of a fault as people know it, any other one in their spelling.
fn reason(word: &str) -> String {
    if let Some(known) = FaultReason::of_wit_word(word) {
        return known.reason().to_owned();
    }
    let word = escape::line(word, MAX_WORD_BYTES);
    let parts = word.split('-').map(|part| {
        let mut chars = part.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(details: &str) -> wit::Release {
        wit::Release {
            name: "web".into(),
            namespace: "shop".into(),
            revision: 1,
            status: "deployed".into(),
            operation: None,
            details: details.into(),
        }
    }

    #[test]
    fn a_backends_reason_becomes_that_of_a_row() {
        for (word, wanted) in [
            ("no-pod", "NoPod"),
            ("tunnel", "TunnelBroken"),
            ("release-locked", "ReleaseLocked"),
            ("", ""),
        ] {
            assert_eq!(reason(word), wanted);
        }
    }

    #[test]
    fn answers_beyond_the_contract_are_broken() {
        assert!(from_release(release(r#"{"chart":"a-1"}"#)).is_ok());
        assert!(from_release(release("[]")).is_err());
        let nameless = wit::Release {
            name: String::new(),
            ..release("{}")
        };
        assert!(from_release(nameless).is_err());
        let change = |what: &str, patch: &str| wit::Change {
            kind: "v1/ConfigMap".into(),
            namespace: None,
            name: "a".into(),
            what: what.into(),
            patch: patch.into(),
        };
        assert!(from_change(change("kept", "[]")).is_ok());
        assert!(from_change(change("vanished", "[]")).is_err());
        assert!(from_change(change("created", "{}")).is_err());
    }
}
