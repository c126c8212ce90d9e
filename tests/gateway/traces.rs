//! Traces, as a collector gets them.

use std::collections::BTreeMap;

use optikon_tests::fake::Door;
use optikon_tests::{Answer, FakeMember, Gateway};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{assert_absent, forms, own, registration};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Every span that arrived, by its id.
fn spans(collector: &FakeMember) -> BTreeMap<String, Value> {
    let arrays = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut found = BTreeMap::new();
    for seen in collector.seen() {
        assert_eq!(seen.target, "/v1/traces");
        assert_eq!(seen.header("x-collector"), Some("its-token"));
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        for resource in arrays(&sent, "resourceSpans") {
            for scope in arrays(&resource, "scopeSpans") {
                for span in arrays(&scope, "spans") {
                    found.insert(span["spanId"].as_str().unwrap().to_owned(), span);
                }
            }
        }
    }
    found
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().into_iter().flatten();
    let mut of_key = attributes.filter(|a| a["key"] == key);
    of_key.next().map_or(&Value::Null, |a| &a["value"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_look_is_one_trace_from_its_caller_to_the_requests_of_the_guest() {
    let (member, collector) = tokio::try_join!(FakeMember::start(), FakeMember::start()).unwrap();
    collector.door(Door::PlainHttp);
    collector.answer("/v1/traces", Answer::json(200, &json!({})));
    let config = format!(
        "[telemetry]\notlp_endpoint = \"http://127.0.0.1:{}\"\notlp_headers = {{ x-collector = \"its-token\" }}\n",
        collector.port()
    );
    let mut own = own(Gateway::builder().config(&config)).await;
    let client = own.gateway.client().unwrap();
    let body = registration("traced", &member, "tracer-bullet-token");
    client.create("/cluster", &body).await.unwrap();
    let request = client
        .request(Method::GET, "/cluster/traced")
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!(client.send(request).await.unwrap().status, 200);
    assert!(own.gateway.stop().await.unwrap().success());

    let spans = spans(&collector);
    let asked = spans
        .values()
        .find(|s| s["name"] == "kube request" && s["traceId"] == TRACE)
        .unwrap_or_else(|| panic!("no request of the guest: {spans:#?}"));
    assert_eq!(attribute(asked, "cluster")["stringValue"], "traced");
    let mut above = Vec::new();
    let mut at = asked;
    while let Some(parent) = spans.get(at["parentSpanId"].as_str().unwrap()) {
        above.push(parent["name"].as_str().unwrap());
        at = parent;
    }
    assert_eq!(above, ["plugin call", "look", "request"]);
    assert_eq!(at["parentSpanId"], CALLER);
    assert_eq!(attribute(at, "route")["stringValue"], "/cluster/{name}");
    // What nobody asked for is no trace: the background would fill the collector.
    let first = spans.values().filter(|s| s["parentSpanId"] == "");
    assert!(first.into_iter().all(|s| s["name"] == "request"));
    for seen in collector.seen() {
        assert_absent(&forms("tracer-bullet-token"), "a trace", &seen.body);
    }
}
