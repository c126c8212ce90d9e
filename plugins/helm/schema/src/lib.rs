//! JSON Schema, drafts 4 to 2020-12, with the verdicts and the words of the validator that Helm uses.
//!
//! [`Schema::compile`] reads a schema, [`Schema::check`] holds a value against it. Nothing is fetched: a schema that
//! refers to another document is refused, unless that is one of the drafts themselves.
//!
//! # Why an own validator?
//! Which values a schema accepts, libraries agree on; what is printed for the others they do not. Helm prints a tree of
//! complaints whose shape follows from the order in which its validator looks at keywords, where it stops, and how it
//! passes through references. It also compiles a definition only when something refers to it, checks patterns as RE2 and
//! compares numbers as exact fractions. The model is santhosh-tekuri/jsonschema 6.0.3.
//!
//! # What differs?
//! Where the original follows the random order of its maps, ours goes by name. Work, depth and the size of what is
//! printed are bounded: a schema and values that cross a bound are refused.

mod address;
mod combine;
mod compile;
mod decimal;
mod draft;
mod fields;
mod formats;
mod ip;
mod node;
mod object;
mod report;
mod roots;
mod schema;
mod scope;
mod validate;

use helm_template::Map;

use compile::{Compiler, Space};
use node::Node;
use schema::{Arena, Id};

/// Where Helm says a chart's schema lies.
const ADDRESS: &str = "file:///values.schema.json";

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    arena: Arena,
    id: Id,
}

impl Schema {
    /// Reads and compiles a schema.
    ///
    /// # Errors
    /// No JSON, no schema, a reference to nowhere or to another document: in the validator's words.
    pub fn compile(text: &[u8]) -> Result<Self, String> {
        let document = node::read(&String::from_utf8_lossy(text))?;
        let mut compiler = Compiler::default();
        compiler.add(Space::Chart, ADDRESS, document);
        let id = compiler.compile(Space::Chart, ADDRESS)?;
        Ok(Self {
            arena: compiler.arena,
            id,
        })
    }

    /// Holds values against the schema.
    ///
    /// # Errors
    /// All that is wrong, a line each, what belongs together indented.
    pub fn check(&self, values: &Map) -> Result<(), String> {
        let value = Node::from_map(values);
        validate::check(&self.arena, self.id, &value, None)
    }
}
