//! The one error of `optikon:common`, both ways.

use std::time::Duration;

use optikon_core::{Error, FieldError};

use crate::{
    bindings::host::optikon::common::types::{Error as WitError, ErrorCode},
    escape,
};

/// A message for people fits on a screen.
const MAX_MESSAGE_BYTES: usize = 2 * 1024;
/// Details are few words.
const MAX_DETAIL_BYTES: usize = 512;

/// A port's error as the guest sees it.
pub(crate) fn to_error(error: &Error) -> WitError {
    let mut details = Vec::new();
    let code = match error {
        Error::Malformed(_) => ErrorCode::Invalid,
        Error::Invalid(fields) => {
            details.extend(fields.iter().map(|f| ("field".to_owned(), f.field.clone())));
            ErrorCode::Invalid
        }
        Error::NotFound { .. } => ErrorCode::NotFound,
        Error::AlreadyExists { .. } => ErrorCode::AlreadyExists,
        Error::Conflict { revision, .. } => {
            details.extend(revision.clone().map(|r| ("revision".to_owned(), r)));
            ErrorCode::Conflict
        }
        Error::PreconditionFailed(_) => ErrorCode::Conflict,
        Error::Expired(_) => ErrorCode::Expired,
        Error::Unauthenticated(_) => ErrorCode::Unauthenticated,
        Error::Denied(_) => ErrorCode::Denied,
        Error::TooLarge { .. } => ErrorCode::TooLarge,
        Error::Busy { retry_after, .. } => {
            let ms = retry_after.as_millis().to_string();
            details.push(("retry-after-ms".to_owned(), ms));
            ErrorCode::TooMany
        }
        Error::Unavailable { retry_after, .. } => {
            let ms = retry_after.map(|after| after.as_millis().to_string());
            details.extend(ms.map(|ms| ("retry-after-ms".to_owned(), ms)));
            ErrorCode::Unavailable
        }
        Error::Member { .. } | Error::NoPlugin { .. } | Error::Source(_) => ErrorCode::Unavailable,
        Error::Timeout(_) => ErrorCode::Timeout,
        Error::Unsupported(_) => ErrorCode::Unsupported,
        Error::Plugin(_) | Error::Internal(_) => ErrorCode::Internal,
    };
    WitError {
        code,
        message: error.to_string(),
        details,
    }
}

/// A plugin's error as the use-cases see it, about `name` where the code needs one. `None`: it says that it is at fault
/// itself.
pub(crate) fn from_error(error: &WitError, name: &str) -> Option<Error> {
    let message = escape::line(&error.message, MAX_MESSAGE_BYTES);
    let detail = |key: &str| {
        let found = error.details.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| escape::line(value, MAX_DETAIL_BYTES))
    };
    let retry_after = detail("retry-after-ms")
        .and_then(|ms| ms.parse().ok())
        .map(Duration::from_millis);
    Some(match error.code {
        ErrorCode::Invalid => Error::Invalid(vec![FieldError::new(
            detail("field").unwrap_or_default(),
            message,
        )]),
        ErrorCode::NotFound => Error::not_found("cluster", name),
        ErrorCode::AlreadyExists => Error::AlreadyExists {
            kind: "cluster",
            name: name.to_owned(),
        },
        ErrorCode::Conflict => Error::Conflict {
            message,
            revision: detail("revision"),
        },
        ErrorCode::Expired => Error::Expired(message),
        ErrorCode::Denied => Error::Denied(message),
        ErrorCode::Unauthenticated => Error::Unauthenticated(message),
        ErrorCode::Unavailable => Error::Unavailable {
            message,
            retry_after,
        },
        ErrorCode::Cancelled => Error::unavailable(message),
        ErrorCode::Timeout => Error::Timeout(message),
        ErrorCode::TooLarge => Error::TooLarge {
            what: message,
            limit_bytes: detail("limit-bytes")
                .and_then(|b| b.parse().ok())
                .unwrap_or(crate::check::MAX_OBJECT_BYTES as u64),
        },
        ErrorCode::TooMany => Error::Busy {
            message,
            retry_after: retry_after.unwrap_or(Duration::from_secs(1)),
        },
        ErrorCode::Unsupported => Error::Unsupported(message),
        ErrorCode::Internal => return None,
    })
}

/// What a plugin says when it is at fault itself.
pub(crate) fn own_fault(error: &WitError) -> String {
    let message = escape::line(&error.message, MAX_MESSAGE_BYTES);
    format!("it reported an internal error: {message}")
}
