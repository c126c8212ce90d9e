//! `/audit`: who changed what, newest first.

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};

use super::query::Parameters;
use crate::{negotiate::reply_json, problem::Problem, state::Gateway};

/// Changes, newest first; `before` continues where the last page ended.
#[utoipa::path(get, path = "/audit", tag = "access",
    params(("limit" = Option<u64>, Query, description = "1 to 1,000, default 100"),
        ("before" = Option<u64>, Query, description = "A record's number")),
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(query.as_deref())?;
    let limit = parameters.number("limit", 1, 1_000).unwrap_or(100);
    let before = parameters.number("before", 0, u64::MAX);
    parameters.finish()?;
    let limit = usize::try_from(limit).unwrap_or(100);
    let records = gateway.documents.audit_records(before, limit).await?;
    let items: Vec<Value> = records
        .into_iter()
        .map(|(number, mut record)| {
            if let Value::Object(map) = &mut record {
                map.insert("number".into(), number.into());
            }
            record
        })
        .collect();
    reply_json(StatusCode::OK, &json!({ "items": items }))
}
