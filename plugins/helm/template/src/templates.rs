//! Sets of parsed templates that can call each other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::builtins;
use crate::error::Error;
use crate::exec::{self, Run};
use crate::function::Functions;
use crate::limits::Limits;
use crate::strconv::quote;
use crate::syntax::node::Tree;
use crate::syntax::parse::{Scope, parse};
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

/// One parsed template, whatever set it is in.
#[derive(Clone, Debug)]
pub struct Template(Rc<Tree>);

impl Template {
    /// The name under which it can be called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name of the text it was defined in.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source.name
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.0
    }
}

/// What several runs may use together; see [`Templates::execute_within`].
#[derive(Debug)]
pub struct Budget(Run);

impl Budget {
    /// All that the limits allow.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self(Run::new(limits))
    }
}

/// A set of templates: clones share it, a [`Templates::child`] adds to it without changing it.
#[derive(Clone, Debug)]
pub struct Templates(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The name of Go's template that the set hangs on; some errors show it.
    name: Rc<str>,
    functions: Rc<Functions>,
    builtins: Rc<Functions>,
    missing_key: MissingKey,
    parent: Option<Templates>,
    own: RefCell<HashMap<Rc<str>, Template>>,
}

impl Templates {
    /// An empty set whose templates may use these functions and Go's builtins. Errors about unknown
    /// templates show the name of the set; Helm's is `gotpl`.
    #[must_use]
    pub fn new(name: &str, functions: Rc<Functions>, missing_key: MissingKey) -> Self {
        Self(Rc::new(Inner {
            name: name.into(),
            functions,
            builtins: Rc::new(builtins::functions()),
            missing_key,
            parent: None,
            own: RefCell::default(),
        }))
    }

    /// A set that starts with everything in this one (Go's `Clone`); what is parsed into it stays in it.
    /// Nothing may be parsed into this one as long as the child is in use, as the child would see it.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Rc::new(Inner {
            name: Rc::clone(&self.0.name),
            functions: Rc::clone(&self.0.functions),
            builtins: Rc::clone(&self.0.builtins),
            missing_key: self.0.missing_key,
            parent: Some(self.clone()),
            own: RefCell::default(),
        }))
    }

    /// The name of the set.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What a missing map key is for these templates.
    #[must_use]
    pub fn missing_key(&self) -> MissingKey {
        self.0.missing_key
    }

    /// Parses a text and adds it under `name`, with all it defines. As in Go, a later definition
    /// replaces an earlier one unless its body is blank. Hands out the template of the text itself,
    /// also if it was too blank to replace another.
    ///
    /// # Errors
    /// `template: NAME:LINE: MESSAGE`, with nothing added.
    pub fn parse(&self, name: &str, text: &str) -> Result<Template, Error> {
        let scope = Scope {
            functions: &self.0.functions,
            builtins: &self.0.builtins,
        };
        let (main, definitions) = parse(name, text, scope)?;
        for tree in definitions {
            self.add(tree);
        }
        Ok(self.add(main))
    }

    fn add(&self, tree: Rc<Tree>) -> Template {
        let template = Template(tree);
        if !template.0.is_blank() || self.lookup(template.name()).is_none() {
            let name = Rc::clone(&template.0.name);
            self.0.own.borrow_mut().insert(name, template.clone());
        }
        template
    }

    /// The template of that name.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Template> {
        let mut set = self;
        loop {
            if let Some(template) = set.0.own.borrow().get(name) {
                return Some(template.clone());
            }
            set = set.0.parent.as_ref()?;
        }
    }

    /// The template of that name.
    ///
    /// # Errors
    /// Go's text for an unknown one.
    pub fn find(&self, name: &str) -> Result<Template, Error> {
        self.lookup(name).ok_or_else(|| {
            let (name, set) = (quote(name.as_bytes()), quote(self.0.name.as_bytes()));
            Error::new(format!(
                "template: no template {name} associated with template {set}"
            ))
        })
    }

    /// Whether a template of that name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.lookup(name).is_some()
    }

    /// The names of all templates, in no order, each once.
    #[must_use]
    pub fn names(&self) -> Vec<Rc<str>> {
        let mut names: Vec<Rc<str>> = self.0.own.borrow().keys().cloned().collect();
        if let Some(parent) = &self.0.parent {
            let own = self.0.own.borrow();
            names.extend(
                parent
                    .names()
                    .into_iter()
                    .filter(|name| !own.contains_key(name)),
            );
        }
        names
    }

    /// Runs a template from the outside, on what earlier ones left of a budget.
    ///
    /// # Errors
    /// In Go's words; see [`crate::ErrorKind`].
    pub fn execute_within(
        &self,
        name: &str,
        data: &Value,
        budget: &mut Budget,
    ) -> Result<Str, Error> {
        let template = self.find(name)?;
        budget.0.restart();
        exec::execute(&mut budget.0, self, template.tree(), data).map(Str::from)
    }

    /// Runs a template from the outside, under fresh limits.
    ///
    /// # Errors
    /// In Go's words; see [`crate::ErrorKind`].
    pub fn execute(&self, name: &str, data: &Value, limits: &Limits) -> Result<Str, Error> {
        let template = self.find(name)?;
        let mut run = Run::new(limits);
        exec::execute(&mut run, self, template.tree(), data).map(Str::from)
    }
}
