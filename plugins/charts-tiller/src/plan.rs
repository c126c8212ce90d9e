//! A plan: the packed chart and the user's values. Tiller renders, so it is the same for every cluster.

use helm_chart::{load_values, merge_maps};
use optikon_plugin_sdk::Error;
use prost::Message;
use serde_json::{Map, Value};

use crate::{chart, wire};

/// What is handed to Tiller.
#[derive(Clone, PartialEq, Message)]
pub struct Plan {
    /// The chart.
    #[prost(message, optional, tag = "1")]
    pub chart: Option<wire::Chart>,
    /// The user's values: a JSON object, or empty for none.
    #[prost(string, tag = "2")]
    pub values: String,
}

/// Loads, decides about dependencies, packs.
///
/// # Errors
/// `invalid` on `chart` or `values`.
pub fn prepare(archive: &[u8], values: &[String]) -> Result<Plan, Error> {
    let mut given = Map::new();
    for (index, text) in values.iter().enumerate() {
        let values = load_values(text.as_bytes()).map_err(|e| {
            let message = format!("the values do not parse: {e}");
            Error::invalid(format!("values[{index}]"), message)
        })?;
        merge_maps(&mut given, values);
    }
    Ok(Plan {
        chart: Some(chart::pack(archive, &given)?),
        values: text_of(given),
    })
}

/// Values as Tiller takes them; an empty text where there is none, which means to it that nothing was given.
pub(crate) fn text_of(values: Map<String, Value>) -> String {
    if values.is_empty() {
        return String::new();
    }
    helm_chart::to_json(&helm_chart::to_template(&Value::Object(values))).to_string()
}

/// The values of a revision.
pub(crate) fn values_of(config: Option<&wire::Config>) -> Map<String, Value> {
    let raw = config.map(|config| config.raw.as_str()).unwrap_or_default();
    // What Tiller holds was read by it before; a text that is no map is no values.
    load_values(raw.as_bytes()).unwrap_or_default()
}

impl Plan {
    /// Reads what was encoded before.
    ///
    /// # Errors
    /// `internal` when it is something else.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode(bytes).map_err(|_| Error::internal("the plan is not one of this backend"))
    }
}
