//! Values against each chart's `values.schema.json`.
//!
//! A chart is checked on its own subtree, then each chart below it. References to anything outside
//! the schema are refused: nothing is fetched for a chart.

use helm_schema::Schema;
use helm_template::{Map, Value};

use crate::error::{Error, ErrorKind};
use crate::resolve::ResolvedChart;

/// Checks values against the schemas of a chart and all below it that are on.
///
/// # Errors
/// Every violation, by chart, in Helm's words.
pub fn check_schemas(chart: ResolvedChart<'_>, values: &Map) -> Result<(), Error> {
    let mut text = String::new();
    check(chart, values, &mut text);
    if text.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Schema,
        format!(
            "values don't meet the specifications of the schema(s) in the following chart(s):\n{text}"
        ),
    ))
}

fn check(chart: ResolvedChart<'_>, values: &Map, text: &mut String) {
    if let Some(schema) = chart.content().and_then(|content| content.schema.as_ref())
        && let Err(error) = check_one(schema, values)
    {
        text.push_str(&format!("{}:\n{error}", chart.name()));
    }
    for sub in chart.dependencies() {
        match values.get(sub.name().as_bytes()) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(values)) => check(sub, &values, text),
            Some(other) => text.push_str(&format!(
                "{}:\ninvalid type for values: expected object (map), got {}\n",
                sub.name(),
                other.type_name()
            )),
        }
    }
}

/// Helm ends what it says about values with a line break of its own, but not what it says about schemas.
fn check_one(schema: &[u8], values: &Map) -> Result<(), String> {
    let check = Schema::compile(schema)?.check(values);
    check.map_err(|error| error + "\n")
}
