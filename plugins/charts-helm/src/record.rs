//! One revision as Helm writes it down: base64 of gzip of JSON.
//!
//! Fields that are not known here are kept, so that a record of another Helm survives being superseded.

use std::io::{Read, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use optikon_plugin_sdk::Error;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What the record of a release may unpack to. A Secret holds 1 MiB, and JSON packs to a tenth at best.
const MAX_UNPACKED: u64 = 64 << 20;
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

/// `null` as absent, as Go reads it.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of Helm's record")]
pub struct Record {
    #[serde(default)]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub info: Info,
    #[serde(default)]
    pub chart: Value,
    /// The user's values.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Map::is_empty"
    )]
    pub config: Map<String, Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub hooks: Vec<Hook>,
    #[serde(default)]
    pub version: u32,
    #[serde(default)]
    pub namespace: String,
    /// `ssa` or `csa`; absent in what Helm 3 wrote, which is csa.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub apply_method: String,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How a revision is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of Helm's record")]
pub struct Info {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_deployed: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_deployed: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deleted: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Which revision a rollback goes back to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollback_revision: u32,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An object that runs at some event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of Helm's record")]
pub struct Hook {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub manifest: String,
    #[serde(default, deserialize_with = "nullable")]
    pub events: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub last_run: LastRun,
    #[serde(default, skip_serializing_if = "is_whole_zero")]
    pub weight: i64,
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub delete_policies: Vec<String>,
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub output_log_policies: Vec<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How a hook ran last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of Helm's record")]
pub struct LastRun {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub started_at: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub completed_at: String,
    /// `Unknown`, `Running`, `Succeeded`, `Failed`, or empty.
    #[serde(default)]
    pub phase: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_whole_zero(number: &i64) -> bool {
    *number == 0
}

impl Record {
    /// The content of the Secret's field `release`, before the Secret's own base64.
    ///
    /// # Errors
    /// `internal` when it cannot be packed.
    pub fn encode(&self) -> Result<String, Error> {
        let json = serde_json::to_vec(self)
            .map_err(|e| Error::internal(format!("the release record is not JSON: {e}")))?;
        let packed = || -> std::io::Result<Vec<u8>> {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&json)?;
            encoder.finish()
        };
        let packed = packed()
            .map_err(|e| Error::internal(format!("the release record cannot be packed: {e}")))?;
        Ok(STANDARD.encode(packed))
    }

    /// Reads what [`Record::encode`] or any Helm since 3.0 wrote.
    ///
    /// # Errors
    /// `unsupported` when it is something else, `too-large` when it unpacks to too much.
    pub fn decode(text: &[u8]) -> Result<Self, Error> {
        unpacked(text)
    }

    /// Whether its objects were applied by the server.
    #[must_use]
    pub fn is_server_side(&self) -> bool {
        self.apply_method == "ssa"
    }
}

/// What a list shows of a revision. The chart's files and the objects, nearly all of a record, are passed over unread.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[allow(missing_docs, reason = "the names are those of Helm's record")]
pub struct Summary {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    pub version: u32,
    #[serde(default, deserialize_with = "nullable")]
    pub info: Info,
    #[serde(default, deserialize_with = "nullable")]
    chart: ChartHead,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
struct ChartHead {
    #[serde(default, deserialize_with = "nullable")]
    metadata: Map<String, Value>,
}

impl Summary {
    /// Reads what [`Record::encode`] or any Helm since 3.0 wrote.
    ///
    /// # Errors
    /// As [`Record::decode`]; what is passed over is not judged.
    pub fn decode(text: &[u8]) -> Result<Self, Error> {
        unpacked(text)
    }

    /// That of a record that was read whole.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let metadata = record.chart.get("metadata").and_then(Value::as_object);
        Self {
            name: record.name.clone(),
            namespace: record.namespace.clone(),
            version: record.version,
            info: record.info.clone(),
            chart: ChartHead {
                metadata: metadata.cloned().unwrap_or_default(),
            },
        }
    }

    /// A text of the chart's metadata; empty where there is none.
    #[must_use]
    pub fn chart_text(&self, key: &str) -> &str {
        let text = self.chart.metadata.get(key);
        text.and_then(Value::as_str).unwrap_or_default()
    }
}

fn unpacked<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let unreadable = |e: &dyn std::fmt::Display| {
        Error::unsupported(format!("the release record is not readable: {e}"))
    };
    let bytes = STANDARD
        .decode(text.trim_ascii())
        .map_err(|e| unreadable(&e))?;
    if !bytes.starts_with(&GZIP) {
        return serde_json::from_slice(&bytes).map_err(|e| unreadable(&e));
    }
    let mut json = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .take(MAX_UNPACKED + 1)
        .read_to_end(&mut json)
        .map_err(|e| unreadable(&e))?;
    if json.len() as u64 > MAX_UNPACKED {
        return Err(Error::too_large(
            "the release record unpacks to more than 64 MiB",
        ));
    }
    serde_json::from_slice(&json).map_err(|e| unreadable(&e))
}

/// Whether somebody was at work, or died at it.
#[must_use]
pub fn is_pending(status: &str) -> bool {
    status.starts_with("pending-")
}

/// Unix milliseconds as Go writes a time: no fraction where it is zero.
#[must_use]
pub fn stamp(ms: u64) -> String {
    let text = optikon_plugin_sdk::rfc3339(ms);
    let fraction = format!("{:03}", ms % 1000);
    let fraction = fraction.trim_end_matches('0');
    match text.strip_suffix('Z') {
        Some(seconds) if !fraction.is_empty() => format!("{seconds}.{fraction}Z"),
        _ => text,
    }
}
