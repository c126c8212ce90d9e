//! A compiled schema.

use std::collections::BTreeMap;

use helm_functions::Pattern;

use crate::decimal::Decimal;
use crate::draft::Draft;
use crate::formats::Format;
use crate::node::Node;

/// Which of the schemas that were compiled together.
pub(crate) type Id = usize;

/// Schemas that were compiled together.
#[derive(Debug, Default)]
pub(crate) struct Arena(Vec<Schema>);

impl Arena {
    pub(crate) fn get(&self, id: Id) -> Option<&Schema> {
        self.0.get(id)
    }

    pub(crate) fn add(&mut self, schema: Schema) -> Id {
        self.0.push(schema);
        self.0.len() - 1
    }

    pub(crate) fn set(&mut self, id: Id, schema: Schema) {
        if let Some(place) = self.0.get_mut(id) {
            *place = schema;
        }
    }
}

/// A keyword that takes a truth or a schema.
#[derive(Debug)]
pub(crate) enum Additional {
    Bool(bool),
    Schema(Id),
}

/// `items` of the old drafts.
#[derive(Debug)]
pub(crate) enum Items {
    All(Id),
    Each(Vec<Id>),
}

/// What the presence of a property asks for.
#[derive(Debug)]
pub(crate) enum Dependency {
    Properties(Vec<String>),
    Schema(Id),
}

/// Kinds of values, as bits.
pub(crate) const KINDS: [(&str, u8); 7] = [
    ("null", 1),
    ("boolean", 2),
    ("number", 4),
    ("integer", 8),
    ("string", 16),
    ("array", 32),
    ("object", 64),
];

/// What a schema asks for. Empty where it asks for nothing.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) draft: Option<Draft>,
    pub(crate) url: String,
    pub(crate) pointer: String,
    /// The document or part with an address of its own that it belongs to.
    pub(crate) resource: Id,
    pub(crate) dynamic_anchors: BTreeMap<String, Id>,
    pub(crate) verdict: Option<bool>,
    pub(crate) reference: Option<Id>,
    pub(crate) recursive_reference: Option<Id>,
    pub(crate) is_recursive_anchor: bool,
    pub(crate) dynamic_reference: Option<(Id, String)>,
    pub(crate) dynamic_anchor: String,
    /// Of [`KINDS`]; 0 for all.
    pub(crate) kinds: u8,
    pub(crate) choices: Option<Vec<Node>>,
    pub(crate) constant: Option<Node>,
    pub(crate) not: Option<Id>,
    pub(crate) all_of: Vec<Id>,
    pub(crate) any_of: Vec<Id>,
    pub(crate) one_of: Vec<Id>,
    pub(crate) condition: Option<Id>,
    pub(crate) then: Option<Id>,
    pub(crate) otherwise: Option<Id>,
    pub(crate) format: Option<Format>,

    pub(crate) min_properties: Option<i64>,
    pub(crate) max_properties: Option<i64>,
    pub(crate) required: Vec<String>,
    pub(crate) property_names: Option<Id>,
    pub(crate) properties: BTreeMap<String, Id>,
    pub(crate) pattern_properties: Vec<(Pattern, Id)>,
    pub(crate) additional_properties: Option<Additional>,
    pub(crate) dependencies: BTreeMap<String, Dependency>,
    pub(crate) dependent_required: BTreeMap<String, Vec<String>>,
    pub(crate) dependent_schemas: BTreeMap<String, Id>,
    pub(crate) unevaluated_properties: Option<Id>,

    pub(crate) min_items: Option<i64>,
    pub(crate) max_items: Option<i64>,
    pub(crate) are_items_unique: bool,
    pub(crate) contains: Option<Id>,
    pub(crate) min_contains: Option<i64>,
    pub(crate) max_contains: Option<i64>,
    pub(crate) items: Option<Items>,
    pub(crate) additional_items: Option<Additional>,
    /// Since 2020.
    pub(crate) prefix_items: Vec<Id>,
    /// Since 2020.
    pub(crate) rest_of_items: Option<Id>,
    pub(crate) unevaluated_items: Option<Id>,

    pub(crate) min_length: Option<i64>,
    pub(crate) max_length: Option<i64>,
    pub(crate) pattern: Option<(Pattern, String)>,

    pub(crate) minimum: Option<Decimal>,
    pub(crate) maximum: Option<Decimal>,
    pub(crate) exclusive_minimum: Option<Decimal>,
    pub(crate) exclusive_maximum: Option<Decimal>,
    pub(crate) multiple_of: Option<Decimal>,
}

impl Schema {
    pub(crate) fn at(url: &str, pointer: &str) -> Self {
        Self {
            url: url.to_owned(),
            pointer: pointer.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn is_since(&self, draft: Draft) -> bool {
        self.draft.is_none_or(|own| own >= draft)
    }

    /// Where it lies, as errors name it.
    pub(crate) fn location(&self) -> String {
        crate::address::place(&self.url, &self.pointer)
    }

    /// No property is left for `unevaluatedProperties` above.
    pub(crate) fn evaluates_all_properties(&self) -> bool {
        self.additional_properties.is_some()
    }

    pub(crate) fn evaluates_all_items(&self) -> bool {
        if self.is_since(Draft::Of2020) {
            self.rest_of_items.is_some()
        } else {
            self.additional_items.is_some() || matches!(self.items, Some(Items::All(_)))
        }
    }

    /// Items that are always evaluated, from the first on.
    pub(crate) fn evaluated_items(&self) -> usize {
        match &self.items {
            _ if self.is_since(Draft::Of2020) => self.prefix_items.len(),
            Some(Items::Each(items)) => items.len(),
            _ => 0,
        }
    }
}
