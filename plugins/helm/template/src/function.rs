//! How a host gives functions to templates, and what a running function may ask for.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use crate::collections::{List, ListType, Map, MapType};
use crate::error::Error;
use crate::templates::{Template, Templates};
use crate::text::Str;
use crate::value::Value;

/// The Go type of a parameter. The executor checks arguments against it and reports a mismatch in
/// Go's words, so a function body only sees arguments that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `interface {}`: takes everything, nil too.
    Any,
    /// `reflect.Value`: takes everything, nil too.
    Reflect,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `int64`
    Int64,
    /// `float64`
    Float,
    /// `string`
    Str,
    /// `[]uint8`; nil becomes an empty one.
    Bytes,
    /// `[]interface {}`; nil becomes Go's nil slice.
    List,
    /// `[]string`; nil becomes Go's nil slice.
    StrList,
    /// `map[string]interface {}`; nil becomes Go's nil map. Named map types over it fit too.
    Dict,
    /// `map[string]string`; nil becomes Go's nil map.
    StrDict,
    /// The Go type with this name, e.g. `time.Time`; never nil.
    Named(&'static str),
}

impl Type {
    /// As Go prints the type in an error.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Reflect => "reflect.Value",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::Str => "string",
            Self::Bytes => "[]uint8",
            Self::List => "[]interface {}",
            Self::StrList => "[]string",
            Self::Dict => "map[string]interface {}",
            Self::StrDict => "map[string]string",
            Self::Named(name) => name,
        }
    }

    /// What nil becomes for this type, or `None` where Go has no nil of it.
    #[must_use]
    pub fn nil(self) -> Option<Value> {
        match self {
            Self::Any | Self::Reflect => Some(Value::Nil),
            Self::Bytes => Some(Value::Bytes(Rc::from([]))),
            Self::List => Some(Value::List(List::nil(ListType::Any))),
            Self::StrList => Some(Value::List(List::nil(ListType::Str))),
            Self::Dict => Some(Value::Map(Map::nil(MapType::Any))),
            Self::StrDict => Some(Value::Map(Map::nil(MapType::Str))),
            Self::Bool | Self::Int | Self::Int64 | Self::Float | Self::Str | Self::Named(_) => None,
        }
    }

    /// Whether Go would assign the value (not nil) to a variable of this type.
    #[must_use]
    pub fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any | Self::Reflect, _)
            | (Self::Bool, Value::Bool(_))
            | (Self::Int, Value::Int(_))
            | (Self::Int64, Value::Int64(_))
            | (Self::Float, Value::Float(_))
            | (Self::Str, Value::Str(_))
            | (Self::Bytes, Value::Bytes(_)) => true,
            (Self::List, Value::List(list)) => match list.ty() {
                ListType::Any => true,
                ListType::Named(named) => named.element == Self::Any.name(),
                ListType::Str | ListType::Int | ListType::Of(_) => false,
            },
            (Self::StrList, Value::List(list)) => match list.ty() {
                ListType::Str => true,
                ListType::Named(named) => named.element == Self::Str.name(),
                ListType::Any | ListType::Int | ListType::Of(_) => false,
            },
            (Self::Dict, Value::Map(map)) => match map.ty() {
                MapType::Any => true,
                MapType::Named(named) => named.element == Self::Any.name(),
                MapType::Str | MapType::Of(_) => false,
            },
            (Self::StrDict, Value::Map(map)) => match map.ty() {
                MapType::Str => true,
                MapType::Named(named) => named.element == Self::Str.name(),
                MapType::Any | MapType::Of(_) => false,
            },
            (Self::Named(name), value) => value.type_name() == name,
            _ => false,
        }
    }
}

/// What a function takes.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The parameters in order; with `variadic` the last may occur any number of times.
    pub params: &'static [Type],
    /// Whether the last parameter repeats, zero times included.
    pub variadic: bool,
}

impl Signature {
    /// Exactly these parameters.
    #[must_use]
    pub const fn fixed(params: &'static [Type]) -> Self {
        Self {
            params,
            variadic: false,
        }
    }

    /// These parameters, the last of them any number of times.
    #[must_use]
    pub const fn variadic(params: &'static [Type]) -> Self {
        Self {
            params,
            variadic: true,
        }
    }
}

/// What a running function may ask of the executor that called it.
pub trait Context {
    /// The set whose template is running: inside `tpl` it is the set made for that text.
    fn templates(&self) -> Templates;

    /// Runs a template of the given set on its own output. Steps, depth and output count
    /// against the limits of the whole run.
    ///
    /// # Errors
    /// Whatever the template ends in; also an unknown name, in Go's words.
    fn execute(&mut self, templates: &Templates, name: &str, data: &Value) -> Result<Str, Error>;

    /// As [`Context::execute`], for a template at hand: what [`Templates::parse`] gave for a text.
    ///
    /// # Errors
    /// Whatever the template ends in.
    fn execute_template(
        &mut self,
        templates: &Templates,
        template: &Template,
        data: &Value,
    ) -> Result<Str, Error>;

    /// Charges work that grows with its input (steps are roughly one action each), so that no
    /// function can run forever.
    ///
    /// # Errors
    /// When the run's step limit is used up.
    fn charge(&mut self, steps: u64) -> Result<(), Error>;

    /// The name of the template that is running.
    fn template_name(&self) -> &str;
}

/// The body of a function: checked arguments in, value or error text out.
pub type Body = dyn Fn(&mut dyn Context, &[Value]) -> Result<Value, Error>;

/// A function of templates.
pub struct Function {
    /// What it takes.
    pub signature: Signature,
    /// What it does.
    pub body: Box<Body>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}

/// Functions by name. They hide Go's builtins of the same name.
#[derive(Clone, Debug, Default)]
pub struct Functions(HashMap<&'static str, Rc<Function>>);

impl Functions {
    /// No functions besides Go's builtins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function, or replaces the one of that name.
    pub fn add(
        &mut self,
        name: &'static str,
        signature: Signature,
        body: impl Fn(&mut dyn Context, &[Value]) -> Result<Value, Error> + 'static,
    ) {
        let body = Box::new(body);
        self.0.insert(name, Rc::new(Function { signature, body }));
    }

    /// Makes a function known under a second name.
    pub fn alias(&mut self, alias: &'static str, name: &str) {
        if let Some(function) = self.get(name) {
            self.0.insert(alias, function);
        }
    }

    /// Takes a function away.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The function of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Rc<Function>> {
        self.0.get(name).cloned()
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
