use serde_json::json;

use super::*;

fn fields(value: Value) -> Vec<String> {
    match ChartsRequest::read(value) {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|f| f.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_wrong_field_of_a_request_is_named() {
    let base = json!({"chart": {"digest": "sha256:00"}, "release": {"name": "web"}});
    assert_eq!(fields(base.clone()), ["targets"]);
    let mut bad = base;
    bad["release"] = json!({"name": "Web", "namespace": "a b"});
    bad["targets"] = json!({"all": true, "names": ["x"]});
    bad["strategy"] = json!({"maxFailures": "half", "waves": [{"count": 1, "percent": 5}]});
    bad["options"] = json!({"timeoutSeconds": 0, "waitForJobs": true});
    assert_eq!(
        fields(bad),
        [
            "release.name",
            "release.namespace",
            "targets.all",
            "options.timeoutSeconds",
            "options.waitForJobs",
            "strategy.maxFailures",
            "strategy.waves[0]"
        ]
    );
}

#[test]
fn amounts_are_counts_or_percentages() {
    assert_eq!(Amount::Count(3).of(10, "f").unwrap(), 3);
    assert_eq!(Amount::Percent("25%".into()).of(10, "f").unwrap(), 3);
    assert_eq!(Amount::Percent("0%".into()).of(10, "f").unwrap(), 0);
    assert!(Amount::Percent("101%".into()).of(10, "f").is_err());
}

#[test]
fn overrides_merge_maps_and_replace_the_rest() {
    let map = |v: Value| v.as_object().cloned().unwrap();
    let mut base = map(json!({"a": {"x": 1, "y": [1, 2]}, "b": 1}));
    merge_values(
        &mut base,
        &map(json!({"a": {"y": [3], "z": null}, "b": {"c": 1}})),
    );
    assert_eq!(
        Value::Object(base),
        json!({"a": {"x": 1, "y": [3], "z": null}, "b": {"c": 1}})
    );
}
