//! Why a text was refused, in the words of the Go libraries that Helm prints.

use std::fmt;

/// Why reading or writing failed. `Display` is the text Helm shows, character for character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not YAML, or is YAML that JSON cannot express.
    #[error("error converting YAML to JSON: {0}")]
    Convert(Problem),
    /// Good YAML, but not of the kind that was asked for.
    #[error("error unmarshaling JSON: while decoding JSON: {0}")]
    Decode(Problem),
    /// From the JSON functions: bad JSON, or JSON of another kind than was asked for.
    #[error("{0}")]
    Json(Problem),
    /// A value that the YAML writer refuses.
    #[error("{0}")]
    Marshal(Problem),
}

impl Error {
    /// The line the text blames, counted from 1 as Go counts it (its parser errors name the line
    /// above the fault); `None` where the text names none.
    pub fn line(&self) -> Option<u32> {
        let (Self::Convert(problem)
        | Self::Decode(problem)
        | Self::Json(problem)
        | Self::Marshal(problem)) = self;
        problem.line
    }
}

/// What was found wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    text: String,
    line: Option<u32>,
}

impl Problem {
    /// A complaint of the YAML library: `yaml: line 3: …`, without the line where it is 0.
    pub(crate) fn yaml(line: u32, message: impl fmt::Display) -> Self {
        if line == 0 {
            return Self::plain(format!("yaml: {message}"));
        }
        Self {
            text: format!("yaml: line {line}: {message}"),
            line: Some(line),
        }
    }

    /// Any other text, passed on as it is.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            line: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
