//! Objects and arrays against a schema.

use std::collections::{BTreeMap, HashMap};

use crate::draft::Draft;
use crate::node::Node;
use crate::report::{self, join, quote};
use crate::schema::{Additional, Dependency, Items};
use crate::validate::Frame;

/// The places of the first two equal items.
fn duplicates(items: &[Node]) -> Option<(usize, usize)> {
    let mut seen = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let mut text = String::new();
        item.canonical(&mut text);
        if let Some(earlier) = seen.insert(text, at) {
            return Some((earlier, at));
        }
    }
    None
}

fn missing(map: &BTreeMap<String, Node>, wanted: &[String]) -> Vec<String> {
    let missing = wanted.iter().filter(|name| !map.contains_key(*name));
    missing.cloned().collect()
}

impl<'a> Frame<'_, '_, 'a> {
    pub(crate) fn object(&mut self, map: &'a BTreeMap<String, Node>) {
        let schema = self.schema;
        self.within(
            "Properties",
            map.len(),
            schema.min_properties,
            schema.max_properties,
        );
        let missing_ones = missing(map, &schema.required);
        if !missing_ones.is_empty() {
            let which = if missing_ones.len() == 1 {
                "property"
            } else {
                "properties"
            };
            self.complain(|| format!("missing {which} {}", join(&missing_ones)));
        }
        if self.is_quiet && !self.errors.is_empty() {
            return;
        }
        for (name, dependency) in &schema.dependencies {
            if !map.contains_key(name) {
                continue;
            }
            match dependency {
                Dependency::Properties(wanted) => self.required_by(map, name, wanted),
                Dependency::Schema(id) => {
                    let outcome = self.apply_here(*id, false);
                    self.errors.extend(outcome.err().map(|failure| *failure));
                }
            }
        }
        if !self.properties(map) {
            return;
        }
        if let Some(id) = schema.property_names {
            self.names(map, id);
        }
        for (name, id) in &schema.dependent_schemas {
            if map.contains_key(name) {
                let outcome = self.apply_here(*id, false);
                self.errors.extend(outcome.err().map(|failure| *failure));
            }
        }
        for (name, wanted) in &schema.dependent_required {
            if map.contains_key(name) {
                self.required_by(map, name, wanted);
            }
        }
    }

    fn required_by(&mut self, map: &BTreeMap<String, Node>, name: &str, wanted: &[String]) {
        let missing = missing(map, wanted);
        if !missing.is_empty() {
            self.complain(|| {
                format!(
                    "properties {} required, if {} exists",
                    join(&missing),
                    quote(name)
                )
            });
        }
    }

    /// False where nothing more is of interest.
    fn properties(&mut self, map: &'a BTreeMap<String, Node>) -> bool {
        let schema = self.schema;
        let mut unwanted = Vec::new();
        for (name, value) in map {
            if self.is_quiet && !self.errors.is_empty() {
                return false;
            }
            let own = schema.properties.get(name).copied();
            let mut ids: Vec<usize> = own.into_iter().collect();
            for (pattern, id) in &schema.pattern_properties {
                if self.run.step() && pattern.is_match(name) {
                    ids.push(*id);
                }
            }
            let mut is_evaluated = !ids.is_empty();
            match &schema.additional_properties {
                Some(additional) if !is_evaluated => {
                    is_evaluated = true;
                    match additional {
                        Additional::Bool(true) => {}
                        Additional::Bool(false) => unwanted.push(name),
                        Additional::Schema(id) => ids.push(*id),
                    }
                }
                _ => {}
            }
            for id in ids {
                let outcome = self.apply_below(id, value, name.clone());
                self.errors.extend(outcome.err().map(|failure| *failure));
            }
            if is_evaluated {
                self.left.properties.remove(name.as_str());
            }
        }
        if !unwanted.is_empty() {
            self.complain(|| format!("additional properties {} not allowed", join(&unwanted)));
        }
        true
    }

    fn names(&mut self, map: &'a BTreeMap<String, Node>, id: usize) {
        for name in map.keys() {
            let Err(failure) = self.apply_to_name(id, name) else {
                continue;
            };
            let causes = failure.parts();
            self.complain_of(causes, || format!("invalid propertyName {}", quote(name)));
        }
    }

    pub(crate) fn array(&mut self, items: &'a [Node]) {
        let schema = self.schema;
        self.within("Items", items.len(), schema.min_items, schema.max_items);
        if schema.are_items_unique
            && let Some((one, other)) = duplicates(items)
        {
            self.complain(|| {
                let (one, other) = (report::size(one), report::size(other));
                format!("items at {one} and {other} are equal")
            });
        }
        if schema.is_since(Draft::Of2020) {
            let first = schema.prefix_items.iter().copied();
            self.items(
                items,
                0,
                first.chain(schema.rest_of_items.into_iter().cycle()),
            );
        } else {
            self.items_of_old(items);
        }
        self.contains(items);
    }

    /// A schema for each item from one on, while there are both.
    fn items(&mut self, items: &'a [Node], from: usize, ids: impl Iterator<Item = usize>) {
        for ((at, item), id) in items.iter().enumerate().skip(from).zip(ids) {
            let outcome = self.apply_below(id, item, at.to_string());
            self.errors.extend(outcome.err().map(|failure| *failure));
        }
    }

    fn items_of_old(&mut self, items: &'a [Node]) {
        let evaluated = match &self.schema.items {
            Some(Items::All(id)) => {
                self.items(items, 0, std::iter::repeat(*id));
                items.len()
            }
            Some(Items::Each(ids)) => {
                self.items(items, 0, ids.iter().copied());
                ids.len().min(items.len())
            }
            None => 0,
        };
        match &self.schema.additional_items {
            Some(Additional::Bool(false)) if evaluated != items.len() => {
                let count = report::size(items.len() - evaluated);
                self.complain(|| format!("last {count} additionalItem(s) not allowed"));
            }
            Some(Additional::Schema(id)) => {
                self.items(items, evaluated, std::iter::repeat(*id));
            }
            _ => {}
        }
    }

    fn contains(&mut self, items: &'a [Node]) {
        let schema = self.schema;
        let Some(id) = schema.contains else {
            return;
        };
        let (mut causes, mut matched) = (Vec::new(), Vec::new());
        for (at, item) in items.iter().enumerate() {
            match self.apply_below(id, item, at.to_string()) {
                Err(failure) => causes.push(*failure),
                Ok(()) => {
                    matched.push(at.to_string());
                    if schema.is_since(Draft::Of2020) {
                        self.left.items.remove(&at);
                    }
                }
            }
        }
        let count = i64::try_from(matched.len()).unwrap_or(i64::MAX);
        let among = || {
            let (count, places) = (report::count(count), matched.join(" "));
            format!(
                "items required to match contains schema, but matched {count} items at {places}"
            )
        };
        match schema.min_contains {
            Some(min) if count < min => self.complain_of(causes, || {
                let want = report::count(min);
                if matched.is_empty() {
                    format!("min {want} items required to match contains schema, but none matched")
                } else {
                    format!("min {want} {}", among())
                }
            }),
            None if matched.is_empty() => {
                self.complain_of(causes, || "no items match contains schema".to_owned());
            }
            _ => {}
        }
        if let Some(max) = schema.max_contains.filter(|max| count > *max) {
            self.complain(|| format!("max {} {}", report::count(max), among()));
        }
    }

    /// What no other schema has looked at.
    pub(crate) fn unevaluated(&mut self) {
        let (schema, value) = (self.schema, self.value);
        if let (Some(id), Some(map)) = (schema.unevaluated_properties, value.map()) {
            for name in std::mem::take(&mut self.left.properties) {
                if let Some(value) = map.get(name) {
                    let outcome = self.apply_below(id, value, name.to_owned());
                    self.errors.extend(outcome.err().map(|failure| *failure));
                }
            }
        }
        if let (Some(id), Some(items)) = (schema.unevaluated_items, value.list()) {
            for at in std::mem::take(&mut self.left.items) {
                if let Some(item) = items.get(at) {
                    let outcome = self.apply_below(id, item, at.to_string());
                    self.errors.extend(outcome.err().map(|failure| *failure));
                }
            }
        }
    }
}
