//! Lists and maps with their Go types.
//!
//! A list has value semantics (no function of a template can write through a slice), a map has
//! reference semantics: a `set` through one holder is seen by all.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::text::Str;
use crate::value::{Method, Value};

/// A Go type that has a name and possibly methods of its own, such as `common.Values`.
#[derive(Debug)]
pub struct NamedType {
    /// As `typeOf` prints it.
    pub name: &'static str,
    /// The element type as Go prints it, `interface {}` for values of any type.
    pub element: &'static str,
    /// Methods that win over map keys of the same name.
    pub methods: &'static [Method],
}

/// The Go type of a list.
#[derive(Clone, Copy, Debug, Default)]
pub enum ListType {
    /// `[]interface {}`
    #[default]
    Any,
    /// `[]string`
    Str,
    /// `[]int`
    Int,
    /// A slice of the named Go type, e.g. `Of("[]interface {}")` is `[][]interface {}`.
    Of(&'static str),
    /// A slice type with a name.
    Named(&'static NamedType),
}

/// The Go type of a map; keys are always strings.
#[derive(Clone, Copy, Debug, Default)]
pub enum MapType {
    /// `map[string]interface {}`
    #[default]
    Any,
    /// `map[string]string`
    Str,
    /// A map to the named Go type, e.g. `Of("bool")`.
    Of(&'static str),
    /// A map type with a name.
    Named(&'static NamedType),
}

const INTERFACE: &str = "interface {}";

impl ListType {
    /// The element type as Go prints it.
    #[must_use]
    pub fn element(self) -> &'static str {
        match self {
            Self::Any => INTERFACE,
            Self::Str => "string",
            Self::Int => "int",
            Self::Of(name) => name,
            Self::Named(named) => named.element,
        }
    }

    /// Whether elements are of any type, so that a selected one has the static type `interface {}`.
    #[must_use]
    pub fn holds_interfaces(self) -> bool {
        matches!(self, Self::Any) || self.element() == INTERFACE
    }
}

impl MapType {
    /// The element type as Go prints it.
    #[must_use]
    pub fn element(self) -> &'static str {
        match self {
            Self::Any => INTERFACE,
            Self::Str => "string",
            Self::Of(name) => name,
            Self::Named(named) => named.element,
        }
    }

    /// Whether elements are of any type, so that a selected one has the static type `interface {}`.
    #[must_use]
    pub fn holds_interfaces(self) -> bool {
        matches!(self, Self::Any) || self.element() == INTERFACE
    }
}

/// A Go slice: shared until somebody changes it.
#[derive(Clone, Debug)]
pub struct List(Rc<ListData>);

#[derive(Clone, Debug)]
struct ListData {
    ty: ListType,
    is_nil: bool,
    items: Vec<Value>,
}

impl List {
    /// A non-nil list of the given type.
    #[must_use]
    pub fn new(ty: ListType, items: Vec<Value>) -> Self {
        Self(Rc::new(ListData {
            ty,
            is_nil: false,
            items,
        }))
    }

    /// Go's nil slice of the given type: empty, equal to `nil`, `null` in JSON.
    #[must_use]
    pub fn nil(ty: ListType) -> Self {
        Self(Rc::new(ListData {
            ty,
            is_nil: true,
            items: Vec::new(),
        }))
    }

    /// A `[]string`.
    pub fn of_strings<T: Into<Str>>(items: impl IntoIterator<Item = T>) -> Self {
        let items = items.into_iter().map(|item| Value::Str(item.into()));
        Self::new(ListType::Str, items.collect())
    }

    /// The Go type.
    #[must_use]
    pub fn ty(&self) -> ListType {
        self.0.ty
    }

    /// Whether this is Go's nil slice.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        self.0.is_nil
    }

    /// The elements.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.0.items
    }

    /// The elements for changing; copies them first if somebody else holds this list.
    pub fn items_mut(&mut self) -> &mut Vec<Value> {
        let data = Rc::make_mut(&mut self.0);
        data.is_nil = false;
        &mut data.items
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.items.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.items.is_empty()
    }

    /// Whether nobody else holds it.
    pub(crate) fn is_unique(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// Whether both are the very same storage.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        Self::new(ListType::Any, items)
    }
}

/// A Go map with string keys, kept in the order in which Go's `range` and `%v` visit it.
#[derive(Clone, Debug)]
pub struct Map(Rc<MapData>);

#[derive(Debug)]
struct MapData {
    ty: MapType,
    is_nil: bool,
    /// Shared by the same map under several types.
    entries: Rc<RefCell<BTreeMap<Str, Value>>>,
}

impl Map {
    /// An empty map of the given type.
    #[must_use]
    pub fn new(ty: MapType) -> Self {
        Self::from_entries(ty, BTreeMap::new())
    }

    /// A map of the given type with these entries.
    #[must_use]
    pub fn from_entries(ty: MapType, entries: BTreeMap<Str, Value>) -> Self {
        Self(Rc::new(MapData {
            ty,
            is_nil: false,
            entries: Rc::new(RefCell::new(entries)),
        }))
    }

    /// Go's nil map: reads as empty, is `null` in JSON, and writing to it is Go's panic
    /// `assignment to entry in nil map` (see [`Map::is_nil`]).
    #[must_use]
    pub fn nil(ty: MapType) -> Self {
        Self(Rc::new(MapData {
            ty,
            is_nil: true,
            entries: Rc::default(),
        }))
    }

    /// The same map under another Go type: what is written through either is seen through both.
    #[must_use]
    pub fn retyped(&self, ty: MapType) -> Self {
        Self(Rc::new(MapData {
            ty,
            is_nil: self.0.is_nil,
            entries: Rc::clone(&self.0.entries),
        }))
    }

    /// The Go type.
    #[must_use]
    pub fn ty(&self) -> MapType {
        self.0.ty
    }

    /// Whether this is Go's nil map.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        self.0.is_nil
    }

    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.0.entries.borrow().get(key.as_ref()).cloned()
    }

    /// Whether the key is there, whatever its value.
    #[must_use]
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.0.entries.borrow().contains_key(key.as_ref())
    }

    /// Writes an entry, for every holder of this map.
    pub fn insert(&self, key: impl Into<Str>, value: Value) {
        self.0.entries.borrow_mut().insert(key.into(), value);
    }

    /// Removes an entry, for every holder of this map, and hands it back.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.0.entries.borrow_mut().remove(key.as_ref())
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries.borrow().len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.borrow().is_empty()
    }

    /// The entries for reading. Drop the guard before anything may write to this map.
    #[must_use]
    pub fn entries(&self) -> Ref<'_, BTreeMap<Str, Value>> {
        self.0.entries.borrow()
    }

    /// A copy of the entries in key order; values are shared, not copied.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(Str, Value)> {
        let entries = self.0.entries.borrow();
        entries
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Whether nobody else holds it.
    pub(crate) fn is_unique(&self) -> bool {
        Rc::strong_count(&self.0) == 1 && Rc::strong_count(&self.0.entries) == 1
    }

    /// Whether both are the very same map.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0.entries, &other.0.entries)
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new(MapType::Any)
    }
}

impl<K: Into<Str>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
        Self::from_entries(MapType::Any, entries.collect())
    }
}

impl Drop for ListData {
    fn drop(&mut self) {
        release(std::mem::take(&mut self.items));
    }
}

impl Drop for MapData {
    fn drop(&mut self) {
        if let Some(entries) = Rc::get_mut(&mut self.entries) {
            release(std::mem::take(entries.get_mut()).into_values());
        }
    }
}

/// Drops values without recursion: a loop in a template can nest lists as deep as it has steps.
fn release(values: impl IntoIterator<Item = Value>) {
    let is_nested = |value: &Value| matches!(value, Value::List(_) | Value::Map(_));
    let mut pending: Vec<Value> = values.into_iter().filter(is_nested).collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::List(mut list) => {
                if let Some(data) = Rc::get_mut(&mut list.0) {
                    pending.extend(
                        std::mem::take(&mut data.items)
                            .into_iter()
                            .filter(is_nested),
                    );
                }
            }
            Value::Map(mut map) => {
                let entries = Rc::get_mut(&mut map.0).map(|data| &mut data.entries);
                if let Some(entries) = entries.and_then(Rc::get_mut) {
                    let entries = std::mem::take(entries.get_mut());
                    pending.extend(entries.into_values().filter(is_nested));
                }
            }
            _ => {}
        }
    }
}
