//! The keywords of one schema.

use std::collections::BTreeMap;

use helm_functions::Pattern;
use helm_template::strconv::quote;

use crate::address::{below, is_pointer, place, split_decoded};
use crate::compile::{Compiler, Queue, Space};
use crate::decimal::Decimal;
use crate::draft::Draft;
use crate::formats::Format;
use crate::node::Node;
use crate::schema::{Additional, Dependency, Id, Items, KINDS, Schema};

/// A schema's keywords, and where they stand.
pub(crate) struct Fields<'a> {
    pub(crate) compiler: &'a mut Compiler,
    pub(crate) space: Space,
    pub(crate) draft: Draft,
    /// What references are relative to.
    pub(crate) base: &'a str,
    pub(crate) url: &'a str,
    pub(crate) pointer: &'a str,
    pub(crate) map: &'a BTreeMap<String, Node>,
    pub(crate) queue: &'a mut Queue,
}

fn strings(items: &[Node]) -> Vec<String> {
    let texts = items.iter().filter_map(Node::text);
    texts.map(str::to_owned).collect()
}

fn kinds(node: &Node) -> u8 {
    let names: &[Node] = node.list().unwrap_or(std::slice::from_ref(node));
    let names = names.iter().filter_map(Node::text);
    names.fold(0, |bits, name| {
        let found = KINDS.iter().find(|(known, _)| *known == name);
        bits | found.map_or(0, |(_, bit)| *bit)
    })
}

impl Fields<'_> {
    /// Reads them in the order in which the original does, as the first error ends it.
    ///
    /// # Errors
    /// A pattern that is none, a reference to nowhere.
    pub(crate) fn compile(mut self, schema: &mut Schema) -> Result<(), String> {
        schema.reference = self.reference("$ref")?;
        // Beside a reference nothing counts in the old drafts; the original still compiles what came after draft 4.
        if self.draft >= Draft::Of2019 || schema.reference.is_none() {
            self.applicators(schema)?;
            self.validators(schema)?;
            self.format(schema);
        }
        if self.draft >= Draft::Six {
            schema.contains = self.schema("contains");
            schema.property_names = self.schema("propertyNames");
            schema.constant = self.map.get("const").cloned();
        }
        if self.draft >= Draft::Seven {
            self.condition(schema);
        }
        if self.draft >= Draft::Of2019 {
            self.since_2019(schema)?;
        }
        if self.draft >= Draft::Of2020 {
            self.since_2020(schema)?;
        }
        Ok(())
    }

    fn applicators(&mut self, schema: &mut Schema) -> Result<(), String> {
        schema.all_of = self.schemas("allOf");
        schema.any_of = self.schemas("anyOf");
        schema.one_of = self.schemas("oneOf");
        schema.not = self.schema("not");
        if self.draft < Draft::Of2020 {
            match self.map.get("items") {
                Some(Node::List(_)) => {
                    schema.items = Some(Items::Each(self.schemas("items")));
                    schema.additional_items = self.additional("additionalItems");
                }
                Some(_) => schema.items = self.schema("items").map(Items::All),
                None => {}
            }
        }
        schema.properties = self.schemas_by_name("properties");
        for (name, id) in self.schemas_by_name("patternProperties") {
            let pattern = self.pattern("patternProperties", &name)?;
            schema.pattern_properties.push((pattern, id));
        }
        schema.additional_properties = self.additional("additionalProperties");
        let dependencies = self.map.get("dependencies").and_then(Node::map);
        for (name, node) in dependencies.into_iter().flatten() {
            let dependency = match node {
                Node::List(items) => Dependency::Properties(strings(items)),
                _ => {
                    let at = below(&below(self.pointer, "dependencies"), name);
                    Dependency::Schema(self.at(&at))
                }
            };
            schema.dependencies.insert(name.clone(), dependency);
        }
        Ok(())
    }

    fn validators(&mut self, schema: &mut Schema) -> Result<(), String> {
        schema.kinds = self.map.get("type").map_or(0, kinds);
        schema.choices = self
            .map
            .get("enum")
            .and_then(Node::list)
            .map(<[Node]>::to_vec);
        schema.multiple_of = self.number("multipleOf");
        let (maximum, exclusive) = self.bound("maximum", "exclusiveMaximum");
        (schema.maximum, schema.exclusive_maximum) = (maximum, exclusive);
        let (minimum, exclusive) = self.bound("minimum", "exclusiveMinimum");
        (schema.minimum, schema.exclusive_minimum) = (minimum, exclusive);
        schema.min_length = self.integer("minLength");
        schema.max_length = self.integer("maxLength");
        if let Some(source) = self.map.get("pattern").and_then(Node::text) {
            schema.pattern = Some((self.pattern("pattern", source)?, source.to_owned()));
        }
        schema.min_items = self.integer("minItems");
        schema.max_items = self.integer("maxItems");
        schema.are_items_unique = self.truth("uniqueItems");
        schema.max_properties = self.integer("maxProperties");
        schema.min_properties = self.integer("minProperties");
        let required = self.map.get("required").and_then(Node::list);
        schema.required = strings(required.unwrap_or_default());
        Ok(())
    }

    /// A bound, and the same without itself; in draft 4 a truth beside it says which it is.
    fn bound(&self, name: &str, exclusive: &str) -> (Option<Decimal>, Option<Decimal>) {
        let bound = self.number(name);
        if self.truth(exclusive) {
            (None, bound)
        } else {
            (bound, self.number(exclusive))
        }
    }

    fn format(&self, schema: &mut Schema) {
        if self.draft < Draft::Of2019 || self.space == Space::Drafts {
            let name = self.map.get("format").and_then(Node::text);
            schema.format = name.and_then(Format::by_name);
        }
    }

    fn condition(&mut self, schema: &mut Schema) {
        schema.condition = self.schema("if");
        if schema.condition.is_some() {
            let known = self.map.get("if").and_then(Node::bool);
            if known != Some(false) {
                schema.then = self.schema("then");
            }
            if known != Some(true) {
                schema.otherwise = self.schema("else");
            }
        }
    }

    fn since_2019(&mut self, schema: &mut Schema) -> Result<(), String> {
        schema.recursive_reference = self.reference("$recursiveRef")?;
        schema.is_recursive_anchor = self.truth("$recursiveAnchor");
        if schema.contains.is_some() {
            schema.min_contains = self.integer("minContains");
            schema.max_contains = self.integer("maxContains");
        }
        let required = self.map.get("dependentRequired").and_then(Node::map);
        for (name, node) in required.into_iter().flatten() {
            if let Some(items) = node.list() {
                schema
                    .dependent_required
                    .insert(name.clone(), strings(items));
            }
        }
        schema.dependent_schemas = self.schemas_by_name("dependentSchemas");
        schema.unevaluated_items = self.schema("unevaluatedItems");
        schema.unevaluated_properties = self.schema("unevaluatedProperties");
        Ok(())
    }

    fn since_2020(&mut self, schema: &mut Schema) -> Result<(), String> {
        if let Some(id) = self.reference("$dynamicRef")? {
            let reference = self.map.get("$dynamicRef").and_then(Node::text);
            let (_, fragment) = split_decoded(reference.unwrap_or_default())?;
            let anchor = if is_pointer(&fragment) {
                String::new()
            } else {
                fragment
            };
            schema.dynamic_reference = Some((id, anchor));
        }
        let anchor = self.map.get("$dynamicAnchor").and_then(Node::text);
        anchor
            .unwrap_or_default()
            .clone_into(&mut schema.dynamic_anchor);
        schema.prefix_items = self.schemas("prefixItems");
        schema.rest_of_items = self.schema("items");
        Ok(())
    }

    fn at(&mut self, pointer: &str) -> Id {
        self.compiler
            .enqueue(self.space, self.url, pointer, self.queue)
    }

    fn reference(&mut self, name: &str) -> Result<Option<Id>, String> {
        let Some(reference) = self.map.get(name).and_then(Node::text) else {
            return Ok(None);
        };
        self.compiler
            .enqueue_reference(self.space, self.url, self.base, reference, self.queue)
            .map(Some)
    }

    fn schema(&mut self, name: &str) -> Option<Id> {
        self.map.get(name)?;
        Some(self.at(&below(self.pointer, name)))
    }

    fn schemas(&mut self, name: &str) -> Vec<Id> {
        let count = self
            .map
            .get(name)
            .and_then(Node::list)
            .map_or(0, <[Node]>::len);
        let at = below(self.pointer, name);
        (0..count)
            .map(|index| self.at(&format!("{at}/{index}")))
            .collect()
    }

    fn schemas_by_name(&mut self, name: &str) -> BTreeMap<String, Id> {
        let at = below(self.pointer, name);
        let entries = self.map.get(name).and_then(Node::map).into_iter().flatten();
        entries
            .map(|(name, _)| (name.clone(), self.at(&below(&at, name))))
            .collect()
    }

    fn additional(&mut self, name: &str) -> Option<Additional> {
        if let Some(verdict) = self.map.get(name).and_then(Node::bool) {
            return Some(Additional::Bool(verdict));
        }
        self.schema(name).map(Additional::Schema)
    }

    fn pattern(&self, keyword: &str, source: &str) -> Result<Pattern, String> {
        Pattern::new(source).map_err(|error| {
            let at = place(self.url, &below(self.pointer, keyword));
            format!(
                "invalid regex {} at {}: {error}",
                quote(source.as_bytes()),
                quote(at.as_bytes())
            )
        })
    }

    fn truth(&self, name: &str) -> bool {
        self.map.get(name).and_then(Node::bool) == Some(true)
    }

    fn number(&self, name: &str) -> Option<Decimal> {
        self.map.get(name)?.number()
    }

    fn integer(&self, name: &str) -> Option<i64> {
        self.number(name)?.to_i64()
    }
}
