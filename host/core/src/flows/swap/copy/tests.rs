//! What two registries say, and what is known of it.

use serde_json::json;

use super::*;

fn cluster(value: &Value) -> Cluster {
    Cluster::from_json(&value.to_string()).unwrap()
}

fn object(name: &str, revision: &str, spec: &Value) -> Object {
    Object {
        cluster: cluster(&json!({"metadata": {"name": name}, "spec": spec})),
        revision: revision.to_owned(),
    }
}

#[test]
fn nothing_null_and_empty_say_the_same_and_all_else_counts() {
    let references = Supported {
        object_references: true,
        ..Supported::default()
    };
    let one = cluster(
        &json!({"apiVersion": "x", "metadata": {"name": "a", "uid": "1", "labels": {},
        "generation": 1}, "spec": {"x": {"y": null, "z": [1, {}]}, "empty": []}, "status": {"a": 1}}),
    );
    let same = json!({"metadata": {"name": "a", "uid": "2", "annotations": null}, "spec": {"x": {"z": [1, {}]}}});
    assert!(is_same(&one, &cluster(&same), references));
    for (pointer, value) in [
        ("/spec/x/z", json!([1])),
        ("/spec/x", json!(null)),
        ("/spec", json!({"x": {"z": [1, {}], "w": false}})),
        ("/metadata/annotations", json!({"a": "b"})),
        ("/metadata/name", json!("b")),
    ] {
        let mut other = same.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert!(!is_same(&one, &cluster(&other), references), "{pointer}");
    }
    let mut more = same;
    more["topLevel"] = true.into();
    assert!(!is_same(&one, &cluster(&more), references));
    // A reference is said in another way in each form.
    let of_today = json!({"controller": {"kind": input::REFERENCE_KIND, "name": "1"}});
    let of_2018 = |id: &str| {
        json!({"providers": [{"name": "optikon", "type": {"name": input::REFERENCE_KIND},
        "config": {"id": id}}]})
    };
    let with =
        |auth: Value| cluster(&json!({"metadata": {"name": "a"}, "spec": {"authInfo": auth}}));
    assert!(is_same(
        &with(of_today.clone()),
        &with(of_2018("1")),
        references
    ));
    assert!(!is_same(&with(of_today), &with(of_2018("2")), references));
}

#[test]
fn a_pair_is_compared_again_when_one_of_both_has_another_revision() {
    let supported = Supported::default();
    let (ours, mut same) = (BTreeSet::from(["a".to_owned()]), Same::default());
    let mut differences = |old: &Object, new: &Object| {
        let (old, new) = (std::slice::from_ref(old), std::slice::from_ref(new));
        let compared = compare(old, new, &ours, supported, &mut same).unwrap();
        compared.difference.len()
    };
    let old = object("a", "1", &json!({"x": 1}));
    let new = object("a", "7", &json!({"x": 1}));
    assert_eq!(differences(&old, &new), 0);
    // That it is not looked at again shows only where a registry breaks its word.
    assert_eq!(differences(&old, &object("a", "7", &json!({"x": 2}))), 0);
    assert_eq!(differences(&old, &object("a", "8", &json!({"x": 2}))), 1);
    assert_eq!(differences(&object("a", "2", &json!({"x": 2})), &new), 1);
    // What the gateway only remembers has no revision.
    let remembered = object("a", "", &json!({"x": 1}));
    assert_eq!(differences(&remembered, &new), 0);
    assert_eq!(differences(&object("a", "", &json!({"x": 2})), &new), 1);
}

#[test]
fn what_is_left_behind_of_a_known_pair_is_told_again() {
    let owned = Object {
        cluster: cluster(&json!({"metadata": {"name": "a", "ownerReferences": [{"uid": "1"}]}})),
        revision: "1".into(),
    };
    let new = object("a", "7", &json!({}));
    let mut same = Same::default();
    for _ in 0..2 {
        let compared = compare(
            std::slice::from_ref(&owned),
            std::slice::from_ref(&new),
            &BTreeSet::new(),
            Supported::default(),
            &mut same,
        );
        assert_eq!(compared.unwrap().losses, ["a: metadata.ownerReferences"]);
    }
}

#[test]
fn answers_tell_what_the_registry_holds_unless_one_is_missing() {
    let there = vec![object("a", "1", &json!({})), object("b", "1", &json!({}))];
    let written = |is_unsure| Written {
        stored: vec![object("b", "2", &json!({})), object("c", "2", &json!({}))],
        is_unsure,
        ..Written::default()
    };
    let after = written(false).after(there.clone()).unwrap();
    let shown: Vec<_> = after
        .iter()
        .map(|o| (o.cluster.name().as_str(), o.revision.as_str()))
        .collect();
    assert_eq!(shown, [("a", "1"), ("b", "2"), ("c", "2")]);
    assert!(written(true).after(there).is_none());
}
