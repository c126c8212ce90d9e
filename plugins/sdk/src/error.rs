//! Constructors of the one error, and how faults and statuses become it.

use crate::{Error, ErrorCode, Fault, Refusal};

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident),* $(,)?) => {
        impl Error {
            $($(#[$doc])*
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(ErrorCode::$code, message)
            })*
        }
    };
}

constructors! {
    /// No object of this name.
    not_found => NotFound,
    /// The name is taken.
    already_exists => AlreadyExists,
    /// A page token or a watch's start is too old.
    expired => Expired,
    /// Known, but not allowed.
    denied => Denied,
    /// The credential was not accepted.
    unauthenticated => Unauthenticated,
    /// Whoever must be asked is away.
    unavailable => Unavailable,
    /// No answer in time.
    timeout => Timeout,
    /// More bytes than somebody takes.
    too_large => TooLarge,
    /// This implementation cannot do it.
    unsupported => Unsupported,
    /// A fault of the plugin or of what it depends on.
    internal => Internal,
}

impl Error {
    /// An error without details. The message is one line, lower case, without secrets.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The caller's input is not acceptable at `field`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message).with("field", field)
    }

    /// An expectation does not hold; `present` is the revision that is there now.
    pub fn conflict(message: impl Into<String>, present: Option<String>) -> Self {
        let error = Self::new(ErrorCode::Conflict, message);
        match present {
            Some(revision) => error.with("revision", revision),
            None => error,
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.details.push((key.to_owned(), value.into()));
        self
    }

    /// The first detail of that key.
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.details
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let code = match fault.reason.as_str() {
            "unauthorized" => ErrorCode::Unauthenticated,
            "denied" => ErrorCode::Denied,
            "timeout" => ErrorCode::Timeout,
            "too-large" => ErrorCode::TooLarge,
            _ => ErrorCode::Unavailable,
        };
        Self::new(code, fault.message).with("reason", fault.reason)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) => fault.into(),
            Refusal::Refused(response) => crate::api::error_of(&response),
        }
    }
}
