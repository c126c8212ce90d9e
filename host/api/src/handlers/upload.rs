//! What comes with an archive: the body of `/archives`, and requests with the chart beside them.

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
};
use optikon_core::{Error, words::Caller};
use serde_json::{Value, json};

use crate::{multipart, negotiate, problem::Problem, state::Gateway};

/// Packed.
const MAX_ARCHIVE: usize = 32 << 20;
/// Values may be long, archives are sent apart.
const MAX_REQUEST: usize = 3 << 20;

const CHART: multipart::Part = ("chart", MAX_ARCHIVE as u64);
const PROV: multipart::Part = ("prov", 1 << 20);
const REQUEST: multipart::Part = ("request", MAX_REQUEST as u64);

/// An archive with its provenance: the raw body, or the parts `chart` and `prov`.
pub(super) async fn archive(
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Option<Bytes>), Problem> {
    if !multipart::is_multipart(headers) {
        return Ok((negotiate::body(body, MAX_ARCHIVE).await?, None));
    }
    let mut parts = multipart::read(headers, body, &[CHART, PROV]).await?;
    let chart = parts.remove(CHART.0);
    let chart = chart.ok_or_else(|| Error::invalid(CHART.0, "the part is missing"))?;
    Ok((chart, parts.remove(PROV.0)))
}

/// A request for a release, with the bytes that tell it from another: a document, or the part `request`
/// beside the part `chart` (and its `prov`), which is kept and named in it.
pub(super) async fn request(
    gateway: &Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Value, Bytes), Problem> {
    if !multipart::is_multipart(headers) {
        let bytes = negotiate::body(body, MAX_REQUEST).await?;
        return Ok((negotiate::document(headers, &bytes)?, bytes));
    }
    let mut parts = multipart::read(headers, body, &[CHART, PROV, REQUEST]).await?;
    let request = parts.remove(REQUEST.0);
    let request = request.ok_or_else(|| Error::invalid(REQUEST.0, "the part is missing"))?;
    let mut value = negotiate::json(&request)?;
    let prov = parts.remove(PROV.0);
    let (Some(chart), Some(map)) = (parts.remove(CHART.0), value.as_object_mut()) else {
        if prov.is_some() {
            return Err(Error::invalid(PROV.0, "goes with the part chart only").into());
        }
        return Ok((value, request));
    };
    if map.contains_key("chart") {
        let message = "the chart comes as a part already; leave this member out";
        return Err(Error::invalid("chart", message).into());
    }
    let kept = gateway.charts.keep_archive(caller, chart, prov).await?;
    map.insert("chart".into(), json!({ "digest": kept.digest }));
    // The chart is in it by its digest.
    let sent = value.to_string().into();
    Ok((value, sent))
}
