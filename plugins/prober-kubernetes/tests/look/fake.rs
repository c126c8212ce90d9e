//! An API server whose answers depend on the request.

use optikon_plugin_sdk::{Fault, Request, Response};
use serde_json::{Value, json};

use super::VERSION;

pub(super) fn ok(body: impl Into<Vec<u8>>) -> Result<Response, Fault> {
    let headers = vec![("date".into(), "Tue, 15 Nov 1994 08:13:31 GMT".into())];
    Ok(Response {
        status: 200,
        headers,
        body: body.into(),
        phase_ms: vec![("first-byte".into(), 3)],
    })
}

pub(super) fn fault(reason: &str) -> Fault {
    Fault {
        reason: reason.into(),
        message: "m".into(),
        phase_ms: vec![],
    }
}

pub(super) fn query<'a>(request: &'a Request, key: &str) -> Option<&'a str> {
    request
        .query
        .iter()
        .find(|(k, _)| k == key)
        .map(|(_, v)| v.as_str())
}

/// 1,200 nodes; pages of more than `most` are too large, and those after `broken` fail.
pub(super) fn many_nodes(most: u64, broken: u64) -> impl Fn(&Request) -> Result<Response, Fault> {
    move |request| match request.path.as_str() {
        "/version" => ok(VERSION),
        "/readyz" => ok("ok"),
        "/api/v1/nodes" => {
            let limit: u64 = query(request, "limit").unwrap().parse().unwrap();
            let from: u64 = query(request, "continue").map_or(0, |token| token.parse().unwrap());
            if limit > most {
                return Err(fault("too-large"));
            }
            if from >= broken {
                return Err(fault("timeout"));
            }
            let to = (from + limit).min(1_200);
            let items: Vec<Value> = (from..to)
                .map(|n| json!({"metadata": {"name": format!("n{n:04}")}}))
                .collect();
            let next = if to < 1_200 {
                to.to_string()
            } else {
                String::new()
            };
            ok(json!({"metadata": {"continue": next}, "items": items}).to_string())
        }
        _ => ok("{}"),
    }
}
