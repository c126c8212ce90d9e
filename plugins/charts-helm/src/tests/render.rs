//! What a rendering asks for.

use std::rc::Rc;

use futures::executor::block_on;
use helm_functions::NativeEnvironment;
use optikon_plugin_sdk::{Error, ErrorCode};
use serde_json::json;

use super::server::{Fixed, Server, archive, entries};
use crate::plan::{Plan, prepare};

const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");

fn rendered(
    template: &str,
    values: &[&str],
    target: &Rc<Fixed>,
    server: Option<&Server>,
) -> Result<Plan, Error> {
    let archive = archive(&[
        CHART,
        ("values.yaml", "a: 1\nb: {x: 1, z: 2}\n"),
        ("templates/a.yaml", template),
    ]);
    let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
    block_on(prepare(
        &archive,
        &values,
        Rc::clone(target),
        Rc::new(NativeEnvironment),
        server,
    ))
}

#[test]
fn only_the_facts_that_templates_use_are_asked_for() {
    let reads = |template: &str| {
        let target = Rc::new(Fixed::default());
        rendered(template, &[], &target, None).unwrap();
        target.reads.take()
    };
    assert_eq!(reads("kind: ConfigMap"), [] as [&str; 0]);
    assert_eq!(reads("kind: {{ .Release.Name }}"), ["release"]);
    assert_eq!(
        reads("kind: {{ if .Capabilities.APIVersions.Has \"apps/v1\" }}A{{ end }}"),
        ["api-versions"]
    );
}

#[test]
fn values_are_merged_in_order_and_null_deletes_a_default() {
    let target = Rc::new(Fixed::default());
    let plan = rendered(
        "kind: X\nv: {{ .Values | toJson }}",
        &["b: {x: 5}\n", r#"{"b": {"z": null}, "c": 2}"#],
        &target,
        None,
    )
    .unwrap();
    assert!(
        plan.manifest.contains(r#"v: {"a":1,"b":{"x":5},"c":2}"#),
        "{}",
        plan.manifest
    );
    assert_eq!(
        plan.config,
        entries(&json!({"b": {"x": 5, "z": null}, "c": 2}))
    );
    let error = rendered("kind: X", &["{}", "- a"], &target, None).unwrap_err();
    assert_eq!(
        (error.code, error.detail("field")),
        (ErrorCode::Invalid, Some("values[1]"))
    );
}

#[test]
fn lookups_are_fetched_and_the_chart_rendered_again() {
    let server = Server::default();
    server.put(
        "/api/v1/namespaces/demo/configmaps/first",
        json!({"metadata": {"name": "first"}, "data": {"next": "second"}}),
    );
    server.put(
        "/api/v1/namespaces/demo/configmaps/second",
        json!({"metadata": {"name": "second"}, "data": {"v": "found"}}),
    );
    let template = r#"{{- $first := lookup "v1" "ConfigMap" "demo" "first" }}
{{- $second := lookup "v1" "ConfigMap" "demo" (dig "data" "next" "none" $first) }}
kind: X
v: {{ dig "data" "v" (required "there must be one" $second.data | toString) $second }}
none: {{ lookup "v1" "ConfigMap" "demo" "third" | toJson }}
unknown: {{ lookup "x.io/v1" "Thing" "demo" "third" | toJson }}
all: {{ len (lookup "v1" "ConfigMap" "demo" "").items }}"#;
    let plan = rendered(template, &[], &Rc::new(Fixed::default()), Some(&server)).unwrap();
    assert!(
        plan.manifest
            .contains("v: found\nnone: {}\nunknown: {}\nall: 2"),
        "{}",
        plan.manifest
    );
    // Without a cluster there is nothing to find.
    let error = rendered(template, &[], &Rc::new(Fixed::default()), None).unwrap_err();
    assert_eq!(error.detail("field"), Some("chart"));
}

#[test]
fn endless_lookups_are_refused() {
    let server = Server::default();
    let template = "{{ lookup \"v1\" \"ConfigMap\" \"demo\" (randAlpha 9) | toJson }}";
    let error = rendered(template, &[], &Rc::new(Fixed::default()), Some(&server)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
}

#[test]
fn an_error_says_where_it_is() {
    let target = Rc::new(Fixed::default());
    let field =
        |result: Result<Plan, Error>| result.unwrap_err().detail("field").map(str::to_owned);
    assert_eq!(
        field(rendered("{{ fail \"no\" }}", &[], &target, None)).as_deref(),
        Some("chart")
    );
    let old = archive(&[(
        "Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 1.0.0\nkubeVersion: <1.2.0\n",
    )]);
    let result = block_on(prepare(
        &old,
        &[],
        target,
        Rc::new(NativeEnvironment),
        None::<&Server>,
    ));
    assert_eq!(field(result).as_deref(), Some("kubeVersion"));
    assert_eq!(
        crate::chart::describe(b"no gzip").unwrap_err().code,
        ErrorCode::Invalid
    );
    let described = crate::chart::describe(include_bytes!("fixtures/web.tgz")).unwrap();
    assert_eq!(
        (
            &described["name"],
            &described["appVersion"],
            &described["dependencies"][0]["name"]
        ),
        (&json!("web"), &json!("9.9"), &json!("sub"))
    );
}
