//! A value against a compiled schema.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use helm_template::strconv::quote;

use crate::address::escape;
use crate::draft::Draft;
use crate::node::Node;
use crate::report::{self, Failure, Kind, Tally, shown};
use crate::schema::{Arena, Id, KINDS, Schema};
use crate::scope::Scope;

/// Schemas applied to values in one check, patterns tried on names included.
const MAX_STEPS: u64 = 1_000_000;
/// Schemas within schemas and values within values.
const MAX_DEPTH: usize = 400;
/// Bytes of complaints.
const MAX_REPORT_BYTES: usize = 32 << 20;

/// Holds a value against a schema. `metas` are the schemas of those parts of a schema under examination that have
/// drafts of their own, by pointer.
///
/// # Errors
/// The complaints as lines.
pub(crate) fn check(
    arena: &Arena,
    id: Id,
    value: &Node,
    metas: Option<&BTreeMap<String, Id>>,
) -> Result<(), String> {
    let run = Run {
        arena,
        metas,
        tally: Tally::default(),
        path: RefCell::default(),
        steps: Cell::new(0),
        stopped: Cell::new(None),
    };
    let outcome = run.start(id, value, metas.map(|_| id), 0);
    if let Some(bound) = run.stopped.get() {
        return Err(format!("the schema and the values need more than {bound}"));
    }
    let Err(failure) = outcome else {
        return Ok(());
    };
    let mut text = String::new();
    for failure in failure.parts() {
        failure.print(0, &mut text);
    }
    Err(text)
}

/// One check.
pub(crate) struct Run<'a> {
    pub(crate) arena: &'a Arena,
    metas: Option<&'a BTreeMap<String, Id>>,
    tally: Tally,
    path: RefCell<Vec<String>>,
    steps: Cell<u64>,
    stopped: Cell<Option<&'static str>>,
}

/// Properties and items that no schema has looked at yet, where somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Left<'a> {
    pub(crate) properties: BTreeSet<&'a str>,
    pub(crate) items: BTreeSet<usize>,
}

impl<'a> Left<'a> {
    fn of(value: &'a Node, schema: &Schema, is_asked: bool) -> Self {
        let mut left = Self::default();
        match value {
            Node::Map(map) => {
                let is_asked = is_asked || schema.unevaluated_properties.is_some();
                if is_asked && !schema.evaluates_all_properties() {
                    left.properties = map.keys().map(String::as_str).collect();
                }
            }
            Node::List(items) => {
                let is_asked = is_asked || schema.unevaluated_items.is_some();
                if is_asked && !schema.evaluates_all_items() {
                    left.items = (schema.evaluated_items()..items.len()).collect();
                }
            }
            _ => {}
        }
        left
    }

    fn merge(&mut self, other: &Self) {
        self.properties
            .retain(|name| other.properties.contains(name));
        self.items.retain(|index| other.items.contains(index));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.items.is_empty()
    }
}

/// One schema on one value.
pub(crate) struct Frame<'r, 's, 'a> {
    pub(crate) run: &'r Run<'a>,
    pub(crate) schema: &'a Schema,
    pub(crate) value: &'a Node,
    pub(crate) scope: &'s Scope<'s>,
    pub(crate) left: Left<'a>,
    pub(crate) errors: Vec<Failure>,
    pub(crate) is_quiet: bool,
    meta: Option<Id>,
}

type Outcome<T> = Result<T, Box<Failure>>;

impl<'a> Run<'a> {
    /// Begins with a value of its own.
    fn start(&self, id: Id, value: &'a Node, meta: Option<Id>, depth: usize) -> Outcome<()> {
        let scope = Scope {
            id,
            keyword: "",
            value: 0,
            depth,
            parent: None,
        };
        self.apply(&scope, value, false, false, meta).map(drop)
    }

    /// The pointer to the value that is looked at.
    fn at(&self) -> String {
        let path = self.path.borrow();
        path.iter()
            .map(|token| format!("/{}", escape(token)))
            .collect()
    }

    /// The schema to use for a part of a schema that may have a draft of its own.
    fn meta_here(&self, id: Id, meta: Option<Id>) -> Option<Id> {
        if Some(id) != meta {
            return None;
        }
        self.metas?.get(&self.at()).copied()
    }

    /// Counts one step; false beyond the bound.
    pub(crate) fn step(&self) -> bool {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MAX_STEPS {
            self.stopped.set(Some("1,000,000 steps"));
        } else if self.tally.get() > MAX_REPORT_BYTES {
            self.stopped.set(Some("32 MiB of complaints"));
        }
        self.stopped.get().is_none()
    }

    fn apply(
        &self,
        scope: &Scope<'_>,
        value: &'a Node,
        is_asked: bool,
        is_quiet: bool,
        meta: Option<Id>,
    ) -> Outcome<Left<'a>> {
        if scope.depth > MAX_DEPTH {
            self.stopped.set(Some("400 levels of schemas and values"));
        }
        let (true, Some(named)) = (self.step(), self.arena.get(scope.id)) else {
            return Ok(Left::default());
        };
        let left = Left::of(value, named, is_asked);
        let other = scope.parent.and_then(|_| self.meta_here(scope.id, meta));
        let frame = Frame {
            run: self,
            schema: other.and_then(|id| self.arena.get(id)).unwrap_or(named),
            value,
            scope,
            left,
            errors: Vec::new(),
            is_quiet,
            meta: other.or(meta),
        };
        frame.validate()
    }
}

fn kind_of(value: &Node) -> (&'static str, u8) {
    match value {
        Node::Null => ("null", 1),
        Node::Bool(_) => ("boolean", 2),
        Node::Number(_) => ("number", 4),
        Node::Text(_) => ("string", 16),
        Node::List(_) => ("array", 32),
        Node::Map(_) => ("object", 64),
    }
}

impl<'a> Frame<'_, '_, 'a> {
    fn validate(mut self) -> Outcome<Left<'a>> {
        if let Some(verdict) = self.schema.verdict {
            return if verdict {
                Ok(self.left)
            } else {
                Err(self.failure(|| "false schema".to_owned()))
            };
        }
        if let Some(text) = self.refusal() {
            return Err(self.failure(|| text));
        }
        if let Some(id) = self.schema.reference {
            let outcome = self.refer(id, "$ref");
            if !self.schema.is_since(Draft::Of2019) {
                return match outcome {
                    Ok(()) => Ok(self.left),
                    Err(failure) => Err(failure),
                };
            }
            self.errors.extend(outcome.err().map(|failure| *failure));
        }
        match self.value {
            Node::Map(map) => self.object(map),
            Node::List(items) => self.array(items),
            Node::Text(text) => self.string(text),
            Node::Number(_) => self.number(),
            _ => {}
        }
        if self.errors.is_empty() || !self.is_quiet {
            self.references();
            self.combinations();
            self.unevaluated();
        }
        if self.errors.len() > 1 {
            let mut group = self.failed(Kind::Group);
            group.causes = self.errors;
            return Err(group);
        }
        match self.errors.pop() {
            None => Ok(self.left),
            Some(failure) => Err(Box::new(failure)),
        }
    }

    /// What ends the examination at once.
    fn refusal(&self) -> Option<String> {
        let (schema, value) = (self.schema, self.value);
        if let Some(above) = self.scope.cycle() {
            return Some(format!(
                "both {} and {} resolve to {} causing reference cycle",
                self.scope.keywords(self.run.arena),
                above.keywords(self.run.arena),
                quote(schema.location().as_bytes())
            ));
        }
        let (name, bit) = kind_of(value);
        if schema.kinds != 0 && schema.kinds & bit == 0 {
            let is_integer = || value.number().is_some_and(|number| number.is_integer());
            if schema.kinds & 8 == 0 || bit != 4 || !is_integer() {
                let wanted = KINDS.iter().filter(|(_, bit)| schema.kinds & bit != 0);
                let wanted: Vec<&str> = wanted.map(|(name, _)| *name).collect();
                return Some(format!("got {name}, want {}", wanted.join(" or ")));
            }
        }
        if let Some(constant) = &schema.constant
            && !constant.equals(value)
        {
            return Some(match constant {
                Node::List(_) | Node::Map(_) => "'const' failed".to_owned(),
                _ => format!("value must be {}", shown(constant)),
            });
        }
        if let Some(choices) = &schema.choices
            && !choices.iter().any(|choice| choice.equals(value))
        {
            let compound = |node: &Node| matches!(node, Node::List(_) | Node::Map(_));
            if choices.iter().any(compound) {
                return Some("'enum' failed".to_owned());
            }
            let shown: Vec<String> = choices.iter().map(shown).collect();
            let of = if shown.len() == 1 { "" } else { "one of " };
            return Some(format!("value must be {of}{}", shown.join(", ")));
        }
        let (format, text) = (schema.format?, value.text()?);
        let error = format.check(text).err()?;
        Some(format!(
            "{} is not valid {}: {error}",
            report::quote(text),
            format.name()
        ))
    }

    fn string(&mut self, text: &str) {
        let schema = self.schema;
        if schema.min_length.is_some() || schema.max_length.is_some() {
            self.within(
                "Length",
                text.chars().count(),
                schema.min_length,
                schema.max_length,
            );
        }
        if let Some((pattern, source)) = &schema.pattern
            && !pattern.is_match(text)
        {
            self.complain(|| {
                let (text, source) = (report::quote(text), report::quote(source));
                format!("{text} does not match pattern {source}")
            });
        }
    }

    fn number(&mut self) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let schema = self.schema;
        let bounds: [(_, _, &[_]); 4] = [
            ("minimum", &schema.minimum, &[Less]),
            ("maximum", &schema.maximum, &[Greater]),
            (
                "exclusiveMinimum",
                &schema.exclusive_minimum,
                &[Less, Equal],
            ),
            (
                "exclusiveMaximum",
                &schema.exclusive_maximum,
                &[Greater, Equal],
            ),
        ];
        if bounds.iter().all(|(_, bound, _)| bound.is_none()) && schema.multiple_of.is_none() {
            return;
        }
        let Some(number) = self.value.number() else {
            return;
        };
        let words = |name: &str, bound| {
            let (got, want) = (report::number(&number), report::number(bound));
            format!("{name}: got {got}, want {want}")
        };
        for (name, bound, refused) in bounds {
            if let Some(bound) = bound
                && refused.contains(&number.cmp(bound))
            {
                self.complain(|| words(name, bound));
            }
        }
        if let Some(of) = &schema.multiple_of
            && !number.is_multiple_of(of)
        {
            self.complain(|| words("multipleOf", of));
        }
    }

    /// How many there are, between two bounds.
    pub(crate) fn within(&mut self, of: &str, got: usize, min: Option<i64>, max: Option<i64>) {
        let count = i64::try_from(got).unwrap_or(i64::MAX);
        let words = |which: &str, bound| {
            let (got, want) = (report::size(got), report::count(bound));
            format!("{which}{of}: got {got}, want {want}")
        };
        if let Some(min) = min.filter(|min| count < *min) {
            self.complain(|| words("min", min));
        }
        if let Some(max) = max.filter(|max| count > *max) {
            self.complain(|| words("max", max));
        }
    }

    /// Another schema on the same value; a reference passes the complaints on as its own.
    pub(crate) fn refer(&mut self, id: Id, keyword: &'static str) -> Outcome<()> {
        let Err(failure) = self.apply_scope(id, keyword, false) else {
            return Ok(());
        };
        let mut reference = self.failed(Kind::Reference);
        reference.causes = failure.parts();
        Err(reference)
    }

    pub(crate) fn apply_here(&mut self, id: Id, is_quiet: bool) -> Outcome<()> {
        self.apply_scope(id, "", is_quiet)
    }

    fn apply_scope(&mut self, id: Id, keyword: &'static str, is_quiet: bool) -> Outcome<()> {
        let scope = Scope {
            id,
            keyword,
            value: self.scope.value,
            depth: self.scope.depth + 1,
            parent: Some(self.scope),
        };
        let (asked, quiet) = (!self.left.is_empty(), self.is_quiet || is_quiet);
        let left = self
            .run
            .apply(&scope, self.value, asked, quiet, self.meta)?;
        self.left.merge(&left);
        Ok(())
    }

    /// A schema on a part of the value.
    pub(crate) fn apply_below(&self, id: Id, value: &'a Node, token: String) -> Outcome<()> {
        let scope = Scope {
            id,
            keyword: "",
            value: self.scope.value + 1,
            depth: self.scope.depth + 1,
            parent: Some(self.scope),
        };
        self.run.path.borrow_mut().push(token);
        let outcome = self
            .run
            .apply(&scope, value, false, self.is_quiet, self.meta);
        self.run.path.borrow_mut().pop();
        outcome.map(drop)
    }

    /// A schema on a property's name, which is a value of its own.
    pub(crate) fn apply_to_name(&self, id: Id, name: &str) -> Outcome<()> {
        let other = self.run.meta_here(id, self.meta);
        let run = Run {
            arena: self.run.arena,
            metas: self.run.metas,
            tally: Rc::clone(&self.run.tally),
            path: RefCell::default(),
            steps: self.run.steps.clone(),
            stopped: self.run.stopped.clone(),
        };
        let value = Node::Text(name.to_owned());
        let meta = other.or(self.meta);
        let outcome = run.start(other.unwrap_or(id), &value, meta, self.scope.depth + 1);
        self.run.steps.set(run.steps.get());
        self.run.stopped.set(run.stopped.get());
        outcome
    }

    fn failed(&self, kind: Kind) -> Box<Failure> {
        let failure = if self.is_quiet {
            Failure::new(String::new(), Kind::Quiet, &self.run.tally)
        } else {
            Failure::new(self.run.at(), kind, &self.run.tally)
        };
        Box::new(failure)
    }

    pub(crate) fn failure(&self, words: impl FnOnce() -> String) -> Box<Failure> {
        let kind = if self.is_quiet {
            Kind::Quiet
        } else {
            Kind::Text(words())
        };
        self.failed(kind)
    }

    pub(crate) fn complain(&mut self, words: impl FnOnce() -> String) {
        let failure = self.failure(words);
        self.errors.push(*failure);
    }

    pub(crate) fn complain_of(&mut self, causes: Vec<Failure>, words: impl FnOnce() -> String) {
        let mut failure = self.failure(words);
        failure.causes = causes;
        self.errors.push(*failure);
    }
}
