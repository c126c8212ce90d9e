//! Why a template could not be parsed or run, in Go's words.

use std::fmt;

/// What went wrong where. The text is what Go's `err.Error()` returns, byte for byte.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    text: String,
    template: String,
    cause: Option<Error>,
}

/// Which reaction an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text of a template is not a template: `template: NAME:LINE: MESSAGE`.
    Parse,
    /// Running failed (Go's `ExecError`): `template: NAME:LINE:COL: executing "T" at <NODE>: MESSAGE`.
    Exec,
    /// A function refused its arguments; becomes the cause of an [`ErrorKind::Exec`].
    Function,
    /// A limit of the run was reached; no template can go on after it.
    Limit,
}

impl Error {
    /// The refusal of a function.
    pub fn new(text: impl Into<String>) -> Self {
        Self::with(ErrorKind::Function, "", text.into(), None)
    }

    /// The refusal of a function that another error explains; `text` already contains its text
    /// (Go's `fmt.Errorf("...: %w", cause)`).
    pub fn wrap(text: impl Into<String>, cause: Error) -> Self {
        let kind = match cause.kind() {
            ErrorKind::Limit => ErrorKind::Limit,
            ErrorKind::Parse | ErrorKind::Exec | ErrorKind::Function => ErrorKind::Function,
        };
        Self::with(kind, "", text.into(), Some(cause))
    }

    pub(crate) fn with(
        kind: ErrorKind,
        template: &str,
        text: String,
        cause: Option<Error>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            text,
            template: template.to_owned(),
            cause,
        }))
    }

    pub(crate) fn parse(template: &str, text: String) -> Self {
        Self::with(ErrorKind::Parse, template, text, None)
    }

    pub(crate) fn limit(text: impl Into<String>) -> Self {
        Self::with(ErrorKind::Limit, "", text.into(), None)
    }

    /// Which reaction it asks for.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The whole text, causes included, as Go prints it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The template that was parsed or run (`ExecError.Name`); empty for a function's refusal.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.0.template
    }

    /// The error inside, whose text is already part of this one's.
    #[must_use]
    pub fn cause(&self) -> Option<&Error> {
        self.0.cause.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}
