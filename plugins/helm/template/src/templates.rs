//! Sets of parsed templates that can call each other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::error::Error;
use crate::function::Functions;
use crate::limits::Limits;
use crate::text::Str;
use crate::value::Value;

/// What a missing map key is, Go's option `missingkey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// No value at all; printed as `<no value>`.
    #[default]
    Invalid,
    /// The zero value of the map's element type. Helm's choice.
    Zero,
    /// An error. Helm's choice with `--strict`.
    Error,
}

/// A set of templates: clones share it, a [`Templates::child`] adds to it without changing it.
#[derive(Clone, Debug)]
pub struct Templates(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    functions: Rc<Functions>,
    missing_key: MissingKey,
    parent: Option<Templates>,
    own: RefCell<HashMap<Rc<str>, Rc<()>>>,
}

impl Templates {
    /// An empty set whose templates may use these functions and Go's builtins.
    #[must_use]
    pub fn new(functions: Rc<Functions>, missing_key: MissingKey) -> Self {
        Self(Rc::new(Inner {
            functions,
            missing_key,
            parent: None,
            own: RefCell::default(),
        }))
    }

    /// A set that starts with everything in this one (Go's `Clone`); what is parsed into it stays in it.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Rc::new(Inner {
            functions: Rc::clone(&self.0.functions),
            missing_key: self.0.missing_key,
            parent: Some(self.clone()),
            own: RefCell::default(),
        }))
    }

    /// Parses a text and adds it under `name`, with all it defines. As in Go, a later definition
    /// replaces an earlier one unless its body is blank.
    ///
    /// # Errors
    /// `template: NAME:LINE: MESSAGE`, with nothing added.
    pub fn parse(&self, name: &str, text: &str) -> Result<(), Error> {
        let _ = text;
        Err(Error::parse(name, "not there yet".into()))
    }

    /// Whether a template of that name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.own.borrow().contains_key(name)
            || self
                .0
                .parent
                .as_ref()
                .is_some_and(|parent| parent.contains(name))
    }

    /// Runs a template from the outside, under fresh limits.
    ///
    /// # Errors
    /// In Go's words; see [`crate::ErrorKind`].
    pub fn execute(&self, name: &str, data: &Value, limits: &Limits) -> Result<Str, Error> {
        let _ = (data, limits);
        Err(Error::new(format!(
            "template: no template {name:?} associated with template"
        )))
    }
}
