//! Errors of rendering, in the words and the layout of `helm template`.

use helm_template::{Error as TemplateError, ErrorKind as TemplateKind};

/// Which reaction an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The chart: archive, metadata, default values, dependencies.
    Chart,
    /// The caller's values or arguments, or values that do not fit the schema.
    Values,
    /// A template cannot be parsed, failed, or gave no YAML.
    Template,
    /// The cluster is too old or too new for the chart.
    Incompatible,
    /// A bound was crossed.
    Limit,
}

/// Why a chart could not be rendered. The text is what Helm prints after `Error: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// Which reaction it asks for.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<helm_chart::Error> for Error {
    fn from(error: helm_chart::Error) -> Self {
        let kind = match error.kind() {
            helm_chart::ErrorKind::Archive | helm_chart::ErrorKind::Chart => ErrorKind::Chart,
            helm_chart::ErrorKind::Limit => ErrorKind::Limit,
            helm_chart::ErrorKind::Values | helm_chart::ErrorKind::Schema => ErrorKind::Values,
        };
        Self::new(kind, error.to_string())
    }
}

/// What `required` and `fail` put around their messages, so that only the message is shown.
const START: &str = "HELM_ERR_START";
const END: &str = "HELM_ERR_END";

/// A text that is no template: its place and the last part of the message.
pub(crate) fn parse_error(file: &str, error: &TemplateError) -> Error {
    let text = error.text();
    let parts: Vec<&str> = text.split(": ").collect();
    let text = match parts.as_slice() {
        [_, place, .., message] => format!("parse error at ({place}): {message}"),
        [_, place] => format!("parse error at ({place}): {place}"),
        _ => format!("parse error in ({file}): {text}"),
    };
    Error::new(kind_of(error), text)
}

/// A template that failed: the message of `required` or `fail`, else the chain of places, else
/// the text as it is.
pub(crate) fn exec_error(file: &str, error: &TemplateError) -> Error {
    Error::new(kind_of(error), exec_text(file, error))
}

fn kind_of(error: &TemplateError) -> ErrorKind {
    match error.kind() {
        TemplateKind::Limit => ErrorKind::Limit,
        TemplateKind::Parse | TemplateKind::Exec | TemplateKind::Function => ErrorKind::Template,
    }
}

fn exec_text(file: &str, error: &TemplateError) -> String {
    let text = error.text();
    let mut current = Some(error);
    let is_exec = std::iter::from_fn(|| {
        let this = current?;
        current = this.cause();
        Some(this)
    })
    .any(|error| error.kind() == TemplateKind::Exec);
    if !is_exec {
        return text.to_owned();
    }
    let mut parts = text.splitn(3, ": ");
    let (Some(_), Some(place), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return format!("execution error in ({file}): {text}");
    };
    if let Some(message) = message_of(rest) {
        return format!("execution error at ({place}): {message}");
    }
    let mut places: Vec<Place> = Vec::new();
    let mut current = Some(error);
    while let Some(error) = current {
        let Some(place) = Place::read(error.text()) else {
            return text.to_owned();
        };
        if places.last() != Some(&place) {
            places.push(place);
        }
        current = error.cause();
    }
    let text: String = places.iter().map(Place::text).collect();
    text.trim().to_owned()
}

fn message_of(text: &str) -> Option<&str> {
    let start = text.find(START)? + START.len();
    let end = text.rfind(END)?;
    text.get(start..end)
}

#[derive(PartialEq, Eq)]
struct Place {
    location: String,
    executing: String,
    message: String,
}

impl Place {
    /// Takes `template: PLACE: executing "T" at <NODE>: MESSAGE` apart, or `template: PLACE: MESSAGE`.
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Self {
                location: String::new(),
                executing: String::new(),
                message: text.to_owned(),
            });
        }
        Self::executing(rest).or_else(|| {
            let (location, message) = rest.rsplit_once(": ")?;
            Some(Self {
                location: location.to_owned(),
                executing: String::new(),
                message: unchained(message).to_owned(),
            })
        })
    }

    fn executing(rest: &str) -> Option<Self> {
        let (location, after) = rest.split_once(": executing ")?;
        let after = after.strip_prefix('"')?;
        let (name, after) = after.split_once('"')?;
        let after = after.strip_prefix(" at <")?;
        let (node, message) = after.split_once(">: ")?;
        Some(Self {
            location: location.to_owned(),
            executing: format!("executing \"{name}\" at <{node}>:"),
            message: unchained(message).to_owned(),
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.location.is_empty() {
            text += &format!("{}\n  ", self.location);
        }
        if !self.executing.is_empty() {
            text += &format!("{}\n    ", self.executing);
        }
        if !self.message.is_empty() {
            text += &format!("{}\n", self.message);
        }
        text
    }
}

/// The message before the next error of the chain.
fn unchained(message: &str) -> &str {
    message.split(" template:").next().unwrap_or(message)
}
