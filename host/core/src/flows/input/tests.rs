use serde_json::json;

use super::*;
use crate::words::Secret;

/// Made for these tests with no key kept.
const CA: &str = include_str!("testdata/ca.pem");

fn read_ok(value: Value) -> Draft {
    read(value, None, Unknown::Refuse).unwrap()
}

fn fields_of(value: Value) -> Vec<String> {
    match read(value, None, Unknown::Refuse) {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|f| f.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_short_form_becomes_an_object_without_its_token() {
    let draft = read_ok(json!({
        "name": "edge-1", "server": "10.0.0.1:6443", "ca": CA, "token": "s3cret",
        "tlsServerName": "kubernetes", "labels": {"env": "prod"}
    }));
    assert_eq!(
        draft.credential,
        Some(Credential::Token(Secret::new("s3cret".into())))
    );
    let text = Value::Object(draft.object.clone()).to_string();
    assert!(!text.contains("s3cret"));
    let cluster = Cluster::from_object(draft.object).unwrap();
    assert_eq!(cluster.endpoints().unwrap()[0].url, "https://10.0.0.1:6443");
    assert_eq!(cluster.ca().unwrap().as_deref(), Some(CA));
    assert_eq!(
        cluster.annotation(TLS_SERVER_NAME).as_deref(),
        Some("kubernetes")
    );
}

#[test]
fn the_old_form_is_read_in_any_case_and_its_token_taken_out() {
    let draft = read_ok(json!({
        "kind": "Cluster", "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "metadata": {"name": "my-cluster", "clusterName": "x", "labels": {"foo": "bar"}},
        "Spec": {
            "cloudProvider": {"name": "P"},
            "kubernetesApiEndpoints": {"serverEndpoints": [{"clientCidr": "0.0.0.0", "serverAddress": "127.0.0.1"}]},
            "authInfo": {"providers": [{"name": "p", "type": {"name": "token"}, "config": {"token": "s3cret"}}]}
        }
    }));
    assert!(matches!(draft.credential, Some(Credential::Token(_))));
    let text = Value::Object(draft.object.clone()).to_string();
    assert!(
        !text.contains("s3cret") && text.contains("clientCIDR") && !text.contains("clusterName")
    );
}

#[test]
fn every_wrong_field_is_named() {
    assert_eq!(
        fields_of(
            json!({"name": "Edge", "server": "http://u@h", "ca": "nonsense", "token": "a\nb", "extra": 1})
        ),
        ["extra", "metadata.name",]
    );
    assert_eq!(
        fields_of(json!({"name": "edge", "server": "http://h", "ca": "nonsense", "token": "a\nb"})),
        [
            "spec.kubernetesApiEndpoints.serverEndpoints[0].serverAddress",
            "spec.kubernetesApiEndpoints.caBundle",
            "token",
        ]
    );
    assert_eq!(
        fields_of(
            json!({"metadata": {"name": "e", "labels": {"-a": "b c"}, "oops": 1},
            "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"clientCIDR": "10.0.0.0/99", "serverAddress": "h"}]}, "color": "red"}})
        ),
        [
            "metadata.labels[-a]",
            "metadata.labels[-a]",
            "metadata.oops",
            "spec.color",
            "spec.kubernetesApiEndpoints.serverEndpoints[0].clientCIDR",
        ]
    );
}

#[test]
fn contradictions_are_refused() {
    for auth in [
        json!({"controller": {"kind": "Secret", "name": "s"}, "providers": [{"name": "p", "config": {"token": "t"}}]}),
        json!({"providers": [{"name": "p", "config": {"token": "t"}}, {"name": "q", "config": {"token": "t"}}]}),
    ] {
        let fields = fields_of(json!({"metadata": {"name": "e"}, "spec": {"authInfo": auth}}));
        assert!(
            fields.iter().all(|f| f.starts_with("spec.authInfo")),
            "{fields:?}"
        );
    }
    assert_eq!(
        fields_of(
            json!({"name": "e", "server": "h", "token": "t", "username": "u", "password": "p"})
        ),
        ["token"]
    );
}

#[test]
fn a_foreign_field_that_is_there_already_is_carried_through() {
    let present =
        Cluster::from_json(r#"{"metadata":{"name":"e"},"spec":{"flavour":"mint"}}"#).unwrap();
    let again = json!({"metadata": {"name": "e"}, "spec": {"flavour": "mint"}});
    let draft = read(again.clone(), Some(&present), Unknown::Refuse).unwrap();
    assert_eq!(draft.object["spec"]["flavour"], "mint");
    assert!(read(again, None, Unknown::Refuse).is_err());
}

#[test]
fn the_reference_goes_in_and_out_in_both_forms() {
    for takes_references in [true, false] {
        let mut object = read_ok(json!({"name": "e", "server": "h"})).object;
        set_reference(&mut object, Some("id-1"), takes_references);
        assert_eq!(reference_of(&object), Some("id-1"));
        set_reference(&mut object, Some("id-2"), takes_references);
        assert_eq!(reference_of(&object), Some("id-2"));
        set_reference(&mut object, None, takes_references);
        assert_eq!(reference_of(&object), None);
        assert!(object["spec"].get("authInfo").is_none());
    }
}

#[test]
fn what_other_tools_wrote_is_masked_in_replies() {
    let cluster = Cluster::from_json(
        r#"{"metadata":{"name":"e","annotations":{"Conf":"s3cret","kubectl.kubernetes.io/last-applied-configuration":"s3cret"}},
        "spec":{"authInfo":{"providers":[{"config":{"Token":"s3cret","region":"a"}}]}}}"#,
    )
    .unwrap();
    let mut object = cluster.into_object();
    mask(&mut object);
    let text = Value::Object(object).to_string();
    assert!(
        !text.contains("s3cret") && text.contains("region"),
        "{text}"
    );
}
