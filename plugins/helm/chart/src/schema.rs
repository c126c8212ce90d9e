//! Values against each chart's `values.schema.json`.
//!
//! A chart is checked on its own subtree, then each chart below it. References to anything outside
//! the schema are refused: nothing is fetched for a chart.

mod cycle;
mod patterns;
mod reach;
mod words;

use helm_template::{Map, Value};
use jsonschema::{Draft, PatternOptions, Retrieve, Uri};
use serde_json::Value as Json;

use crate::convert::map_to_json;
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
        && let Err(error) = check_one(schema, &map_to_json(values))
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

fn check_one(schema: &[u8], values: &Json) -> Result<(), String> {
    let mut schema: Json =
        serde_json::from_slice(schema).map_err(|error| words::bad_json(schema, &error))?;
    let draft = take_draft(&mut schema)?;
    check_form(draft, &schema).map_err(|error| words::bad_schema(&error))?;
    if let Some(complaint) = patterns::find_bad(&schema) {
        return Err(words::bad_pattern(&complaint));
    }
    reach::keep_reachable(&mut schema);
    if let Some(at) = cycle::find(&schema) {
        return Err(format!(
            "{at} references itself, which no value can satisfy"
        ));
    }
    let validator = jsonschema::options()
        .with_draft(draft)
        .with_retriever(Nothing)
        // Helm's patterns run in linear time as well: what looks around is no pattern.
        .with_pattern_options(PatternOptions::regex())
        // Contents and these formats are annotations to Helm.
        .without_content_encoding_support("base64")
        .without_content_media_type_support("application/json")
        .with_format("idn-email", |_| true)
        .with_format("idn-hostname", |_| true)
        .build(&schema)
        .map_err(|error| words::bad_schema(&error))?;
    let errors: Vec<_> = validator.iter_errors(values).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(words::violations(&errors))
    }
}

/// Whether a schema is one at all, in the parts too that are never reached.
fn check_form(draft: Draft, schema: &Json) -> Result<(), jsonschema::ValidationError<'_>> {
    match draft {
        Draft::Draft4 => jsonschema::draft4::meta::validate(schema),
        Draft::Draft6 => jsonschema::draft6::meta::validate(schema),
        Draft::Draft7 => jsonschema::draft7::meta::validate(schema),
        Draft::Draft201909 => jsonschema::draft201909::meta::validate(schema),
        _ => jsonschema::draft202012::meta::validate(schema),
    }
}

/// The draft that a schema names; the newest if it names none. The name is taken out, as the
/// validator knows fewer spellings than Helm's.
fn take_draft(schema: &mut Json) -> Result<Draft, String> {
    let Some(map) = schema.as_object_mut() else {
        return Ok(Draft::Draft202012);
    };
    let Some(Json::String(name)) = map.get("$schema") else {
        return Ok(Draft::Draft202012);
    };
    let plain = name.strip_suffix('#').unwrap_or(name);
    let plain = plain
        .strip_prefix("http://")
        .or_else(|| plain.strip_prefix("https://"));
    let draft = match plain {
        Some("json-schema.org/schema" | "json-schema.org/draft/2020-12/schema") => {
            Draft::Draft202012
        }
        Some("json-schema.org/draft/2019-09/schema") => Draft::Draft201909,
        Some("json-schema.org/draft-07/schema") => Draft::Draft7,
        Some("json-schema.org/draft-06/schema") => Draft::Draft6,
        Some("json-schema.org/draft-04/schema") => Draft::Draft4,
        _ => {
            return Err(format!(
                "{name:?} names no draft of JSON Schema; nothing is fetched\n"
            ));
        }
    };
    map.remove("$schema");
    Ok(draft)
}

/// Fetches nothing. An unresolved `urn:` allows everything, as in Helm.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        if uri.scheme().as_str() == "urn" {
            return Ok(Json::Bool(true));
        }
        Err(format!("{uri} lies outside the chart; nothing is fetched").into())
    }
}
