//! Why a chart or its values could not be used, in Helm's words.

/// Which part of a chart an error is about; callers react to the part, people read the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The archive cannot be read, or what it holds is refused.
    Archive,
    /// A bound was crossed; the same chart will cross it again.
    Limit,
    /// The chart's own files are wrong: metadata, lock, default values, a missing file.
    Chart,
    /// The caller's values are wrong.
    Values,
    /// The values do not fit the chart's schema, or the schema is none.
    Schema,
}

/// Why a chart or its values could not be used. The text is the one Helm prints after `Error: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

impl Error {
    /// An error of that kind with the whole text.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    pub(crate) fn chart(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Chart, text)
    }

    pub(crate) fn values(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Values, text)
    }

    /// The same error with a text before its own.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        Self {
            kind: self.kind,
            text: format!("{prefix}: {}", self.text),
        }
    }

    /// Which part of the chart it is about.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
