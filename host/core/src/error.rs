//! Why something could not be done.
//!
//! One case per reaction of a caller; `Display` is for people and is never matched on. Nothing here
//! ever carries a secret: whoever builds an error from foreign text bounds and redacts it first.

use std::{fmt, time::Duration};

use crate::words::{PluginName, SlotName};

/// The result of a use-case or a port.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Path of the field, as in `spec.kubernetesApiEndpoints.serverEndpoints[0].serverAddress`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Why a use-case or a port could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The bytes are not what they claim to be (no JSON, no such encoding).
    #[error("{0}")]
    Malformed(String),
    /// Well-formed, but the named fields are not acceptable.
    #[error("{}", Invalid(.0))]
    Invalid(Vec<FieldError>),
    /// The named thing does not exist, or the caller may not know that it does.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// One of the project's words: `cluster`, `operation`, `plugin`…
        kind: &'static str,
        /// Its name as the caller gave it.
        name: String,
    },
    /// A thing of this name exists already.
    #[error("{kind} \"{name}\" already exists")]
    AlreadyExists {
        /// One of the project's words.
        kind: &'static str,
        /// The name that is taken.
        name: String,
    },
    /// What the caller expected to change is not what is there now.
    #[error("{message}")]
    Conflict {
        /// What differs, and what to do.
        message: String,
        /// The present revision, where known.
        revision: Option<String>,
    },
    /// A header precondition (`If-Match`) does not hold.
    #[error("{0}")]
    PreconditionFailed(String),
    /// A revision or continue token is too old to be served.
    #[error("{0}")]
    Expired(String),
    /// No valid credential was presented to us, or by us to a peer.
    #[error("{0}")]
    Unauthenticated(String),
    /// Known, but not allowed.
    #[error("{0}")]
    Denied(String),
    /// Larger than the limit for such a thing.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was too large.
        what: String,
        /// The limit that it crossed.
        limit_bytes: u64,
    },
    /// Too many callers at once; come again after `retry_after`.
    #[error("{message}")]
    Busy {
        /// Which queue is full.
        message: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// Something we depend on is away: registry, store, disk, shutdown.
    #[error("{message}")]
    Unavailable {
        /// What is away, and until when if that is known.
        message: String,
        /// When to try again, if that is known.
        retry_after: Option<Duration>,
    },
    /// A member, or what runs in it, refused or is in no state to do it.
    #[error("{message}")]
    Member {
        /// One word for its row, as in `NoPod`.
        reason: String,
        /// What happened, and what to do.
        message: String,
    },
    /// The caller's or the host's deadline passed.
    #[error("{0}")]
    Timeout(String),
    /// The thing behind the port cannot do this at all.
    #[error("{0}")]
    Unsupported(String),
    /// A repository or registry, asked on a caller's behalf, failed or answered nonsense.
    #[error("{0}")]
    Source(String),
    /// No plugin fills the slot.
    #[error("no plugin serves the slot \"{slot}\": {message}")]
    NoPlugin {
        /// The empty slot.
        slot: SlotName,
        /// Why it is empty, and what to do.
        message: String,
    },
    /// A plugin trapped, crossed a limit or broke its contract.
    #[error("{0}")]
    Plugin(Box<PluginFailure>),
    /// A fault of ours. The text is for the log; callers see only that it happened.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// One invalid field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// A thing that is not there.
    pub fn not_found(kind: &'static str, name: impl fmt::Display) -> Self {
        Self::NotFound {
            kind,
            name: name.to_string(),
        }
    }

    /// Something we depend on is away, for an unknown time.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            retry_after: None,
        }
    }

    /// The stable word for this error in JSON; see the table in `host/api`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Invalid(_) => "invalid",
            Self::NotFound { .. } => "not-found",
            Self::AlreadyExists { .. } => "already-exists",
            Self::Conflict { .. } => "conflict",
            Self::PreconditionFailed(_) => "precondition-failed",
            Self::Expired(_) => "expired",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Denied(_) => "denied",
            Self::TooLarge { .. } => "too-large",
            Self::Busy { .. } => "too-many",
            Self::Unavailable { .. } | Self::Member { .. } => "unavailable",
            Self::Timeout(_) => "timeout",
            Self::Unsupported(_) => "unsupported",
            Self::Source(_) => "source-failed",
            Self::NoPlugin { .. } => "no-plugin",
            Self::Plugin(_) => "plugin-failed",
            Self::Internal(_) => "internal",
        }
    }
}

struct Invalid<'a>(&'a [FieldError]);

impl fmt::Display for Invalid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            if error.field.is_empty() {
                write!(f, "{separator}{}", error.message)?;
            } else {
                write!(f, "{separator}{}: {}", error.field, error.message)?;
            }
        }
        Ok(())
    }
}

/// How a plugin failed one call. The next call gets a new instance and is unharmed.
#[derive(Debug, Clone)]
pub struct PluginFailure {
    /// The slot it was serving.
    pub slot: SlotName,
    /// Its name.
    pub plugin: PluginName,
    /// Digest of its file, `sha256:…`.
    pub digest: String,
    /// The function that was called.
    pub function: &'static str,
    /// What kind of failure.
    pub kind: FailureKind,
    /// Details for people, bounded and escaped.
    pub message: String,
}

/// The kinds of failure that are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// A trap: unreachable, out of bounds, stack overflow, panic.
    Trap,
    /// A limit was crossed.
    Limit {
        /// The configuration key of the limit, as in `memory-bytes`.
        limit: &'static str,
        /// Its value at the time, with its unit.
        value: String,
    },
    /// The answer breaks the contract of the interface.
    Contract,
}

impl fmt::Display for PluginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slot,
            plugin,
            digest,
            function,
            kind,
            message,
        } = self;
        let short = digest.get(..19).unwrap_or(digest);
        write!(
            f,
            "plugin \"{plugin}\" ({short}) in slot \"{slot}\" failed in {function}: "
        )?;
        match kind {
            FailureKind::Trap => write!(f, "it trapped: {message}"),
            FailureKind::Limit { limit, value } => {
                write!(f, "it crossed the limit {limit} = {value}: {message}")
            }
            FailureKind::Contract => write!(f, "it broke its contract: {message}"),
        }
    }
}
