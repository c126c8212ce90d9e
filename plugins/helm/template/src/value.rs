//! The values a template works on, with their Go types.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use crate::collections::{List, ListType, Map, MapType};
use crate::error::Error;
use crate::function::{Context, Signature};
use crate::text::Str;

/// One value of a template: cheap to clone, single-threaded.
#[derive(Clone, Default)]
pub enum Value {
    /// Go's untyped `nil`, also a missing map key.
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`: literals of templates, `len`, sprig's `int`.
    Int(i64),
    /// `int32`: character literals.
    Int32(i32),
    /// `int64`: sprig's arithmetic, `--set`.
    Int64(i64),
    /// `uint8`: one byte of a string.
    Uint8(u8),
    /// `uint32`
    Uint32(u32),
    /// `uint64`
    Uint64(u64),
    /// `float64`: every number of YAML and JSON.
    Float(f64),
    /// `string`
    Str(Str),
    /// `[]uint8`
    Bytes(Rc<[u8]>),
    /// A slice.
    List(List),
    /// A map with string keys.
    Map(Map),
    /// `time.Duration` in nanoseconds.
    Duration(i64),
    /// Anything of the host that has fields or methods.
    Object(Rc<dyn Object>),
}

/// Go's kind of a value: what its type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Go's")]
pub enum Kind {
    Invalid,
    Bool,
    Int,
    Int32,
    Int64,
    Uint8,
    Uint32,
    Uint64,
    Float64,
    Str,
    Slice,
    Map,
    Struct,
    Ptr,
    Func,
}

impl Kind {
    /// As Go's `reflect.Kind` prints it, and so sprig's `kindOf`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Float64 => "float64",
            Self::Str => "string",
            Self::Slice => "slice",
            Self::Map => "map",
            Self::Struct => "struct",
            Self::Ptr => "ptr",
            Self::Func => "func",
        }
    }
}

/// A method of a named type or an object.
pub struct Method {
    /// The name after the dot.
    pub name: &'static str,
    /// What it takes, without the receiver.
    pub signature: Signature,
    /// Runs it on the receiver with checked arguments.
    pub call: fn(&mut dyn Context, &Value, &[Value]) -> Result<Value, Error>,
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method")
            .field("name", &self.name)
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}

/// A host value with Go-like fields and methods, such as `.Files`, `.Capabilities` or a `time.Time`.
pub trait Object: fmt::Debug {
    /// The Go type, e.g. `time.Time` or `*semver.Version`.
    fn type_name(&self) -> Cow<'static, str>;

    /// The Go kind; decides truth and what comparison says.
    fn kind(&self) -> Kind {
        Kind::Struct
    }

    /// Names and values of the exported fields, in declaration order: what `%v` prints.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// One exported field. The default searches [`Object::fields`].
    fn field(&self, name: &str) -> Option<Value> {
        let mut fields = self.fields().into_iter();
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A value for a map-like object (kind [`Kind::Map`]) under a key, as in `.Files.foo`.
    fn entry(&self, _key: &[u8]) -> Option<Value> {
        None
    }

    /// The entries of a map-like object in key order, for `range` and `len`.
    fn entries(&self) -> Vec<(Str, Value)> {
        Vec::new()
    }

    /// The Go element type of a map-like object's entries.
    fn element(&self) -> &'static str {
        "interface {}"
    }

    /// The methods, searched before fields and entries.
    fn methods(&self) -> &'static [Method] {
        &[]
    }

    /// The list or map that an object of kind slice or map stands for, wherever more is wanted than
    /// its entries and methods.
    fn plain(&self) -> Option<Value> {
        None
    }

    /// What an action prints for it: unlike a function's argument, a field found behind a pointer
    /// also has the methods of pointers to its type.
    fn addressed_text(&self) -> Option<Str> {
        self.text()
    }

    /// What `String()` or `Error()` returns, if the type has either.
    fn text(&self) -> Option<Str> {
        None
    }

    /// The number for objects of an integer kind, such as `time.Month`.
    fn number(&self) -> Option<i64> {
        None
    }

    /// What `toJson` and `toYaml` write for it. `None` writes the fields by their Go names.
    fn to_data(&self) -> Option<Value> {
        None
    }

    /// Go's `==` on two values of the same type.
    fn equals(&self, _other: &dyn Object) -> bool {
        false
    }

    /// For the host's functions, to get the concrete type back.
    fn as_any(&self) -> &dyn Any;
}

impl Value {
    /// The list or map behind an object that stands for one; see [`Object::plain`].
    #[must_use]
    pub fn behind(&self) -> Option<Self> {
        match self {
            Self::Object(object) => object.plain(),
            _ => None,
        }
    }

    /// A string.
    pub fn str(text: impl Into<Str>) -> Self {
        Self::Str(text.into())
    }

    /// A `[]interface {}`.
    #[must_use]
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(List::new(ListType::Any, items))
    }

    /// A `map[string]interface {}`.
    pub fn map<K: Into<Str>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(entries.into_iter().collect())
    }

    /// A host object.
    pub fn object(object: impl Object + 'static) -> Self {
        Self::Object(Rc::new(object))
    }

    /// Go's kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Invalid,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Int32(_) => Kind::Int32,
            Self::Int64(_) | Self::Duration(_) => Kind::Int64,
            Self::Uint8(_) => Kind::Uint8,
            Self::Uint32(_) => Kind::Uint32,
            Self::Uint64(_) => Kind::Uint64,
            Self::Float(_) => Kind::Float64,
            Self::Str(_) => Kind::Str,
            Self::Bytes(_) | Self::List(_) => Kind::Slice,
            Self::Map(_) => Kind::Map,
            Self::Object(object) => object.kind(),
        }
    }

    /// The Go type as `%T` and `typeOf` print it; `<nil>` for nil.
    #[must_use]
    pub fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Uint8(_) => "uint8",
            Self::Uint32(_) => "uint32",
            Self::Uint64(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::Bytes(_) => "[]uint8",
            Self::Duration(_) => "time.Duration",
            Self::List(list) => match list.ty() {
                ListType::Any => "[]interface {}",
                ListType::Str => "[]string",
                ListType::Int => "[]int",
                ListType::Of(element) => return Cow::Owned(format!("[]{element}")),
                ListType::Named(named) => named.name,
            },
            Self::Map(map) => match map.ty() {
                MapType::Any => "map[string]interface {}",
                MapType::Str => "map[string]string",
                MapType::Of(element) => return Cow::Owned(format!("map[string]{element}")),
                MapType::Named(named) => named.name,
            },
            Self::Object(object) => return object.type_name(),
        })
    }

    /// The truth of `if`: false for nil, false, zero and whatever is empty; structs are true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) | Self::Duration(value) => *value != 0,
            Self::Int32(value) => *value != 0,
            Self::Uint8(value) => *value != 0,
            Self::Uint32(value) => *value != 0,
            Self::Uint64(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(object) => match object.number() {
                Some(number) => number != 0,
                None if object.kind() == Kind::Map => !object.entries().is_empty(),
                None if object.kind() == Kind::Slice => {
                    object.plain().is_some_and(|plain| plain.is_true())
                }
                None => true,
            },
        }
    }

    /// Whether this is nil or a nil slice or map.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.is_nil(),
            Self::Map(map) => map.is_nil(),
            _ => false,
        }
    }

    /// The number of any signed integer kind.
    #[must_use]
    pub fn as_signed(&self) -> Option<i64> {
        match self {
            Self::Int(value) | Self::Int64(value) | Self::Duration(value) => Some(*value),
            Self::Int32(value) => Some(i64::from(*value)),
            Self::Object(object) => object.number(),
            _ => None,
        }
    }

    /// The number of any unsigned integer kind.
    #[must_use]
    pub fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Uint8(value) => Some(u64::from(*value)),
            Self::Uint32(value) => Some(u64::from(*value)),
            Self::Uint64(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a string value.
    #[must_use]
    pub fn as_text(&self) -> Option<&Str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The map of a map value.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list of a list value.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The host object of type `T`.
    #[must_use]
    pub fn as_object<T: 'static>(&self) -> Option<&T> {
        match self {
            Self::Object(object) => object.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// Bytes this value holds that nothing else holds, roughly: what a function has just made.
    pub(crate) fn fresh_bytes(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::List(list) if list.is_unique() => list.len() * size_of::<Self>(),
            Self::Map(map) if map.is_unique() => map.len() * 2 * size_of::<Self>(),
            _ => 0,
        }
    }

    /// Go's `reflect.DeepEqual`, types included. Values that are nested deeper than 200 or take more
    /// than ten million comparisons are not equal, so that a map inside itself comes to an end.
    #[must_use]
    pub fn deep_equal(&self, other: &Self) -> bool {
        crate::compare::deep_equal(self, other)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<Str> for Value {
    fn from(text: Str) -> Self {
        Self::Str(text)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Str(text) => fmt::Debug::fmt(text, f),
            Self::Bytes(bytes) => write!(f, "[]byte({:?})", String::from_utf8_lossy(bytes)),
            Self::List(list) => f.debug_list().entries(list.items()).finish(),
            Self::Map(map) => f.debug_map().entries(map.entries().iter()).finish(),
            Self::Object(object) => fmt::Debug::fmt(object, f),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "float64({value})"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Int64(value) => write!(f, "int64({value})"),
            Self::Duration(value) => write!(f, "duration({value}ns)"),
            Self::Int32(value) => write!(f, "int32({value})"),
            Self::Uint8(value) => write!(f, "uint8({value})"),
            Self::Uint32(value) => write!(f, "uint32({value})"),
            Self::Uint64(value) => write!(f, "uint64({value})"),
        }
    }
}
