//! Single writes.

use optikon_core::ports::{Call, Object};
use serde_json::{Value, json};

use crate::bed::{Bed, cluster, code, draft, json_of, name, present, uid};

pub(crate) async fn a_new_cluster_gets_a_uid_and_is_never_overwritten(bed: Bed) {
    let mut wanted = draft("a", &[("x", "1")]);
    wanted["metadata"]["uid"] = "forged".into();
    wanted["metadata"]["creationTimestamp"] = "1999-01-01T00:00:00Z".into();
    let made = bed.try_create(&wanted).await.unwrap();
    assert_ne!(uid(&made).as_str(), "forged");
    let created = json_of(&made)["metadata"]["creationTimestamp"].clone();
    let created = created.as_str().expect("a creation time").to_owned();
    assert!(
        created.as_str() > "2020" && created.ends_with('Z'),
        "{created}"
    );
    assert_eq!(bed.get("a").await.unwrap(), made);

    assert_eq!(
        code(bed.try_create(&draft("a", &[])).await),
        "already-exists"
    );
    assert_eq!(bed.get("a").await.unwrap(), made);

    bed.delete("a").await.unwrap();
    let again = bed.create("a", &[]).await;
    assert_ne!(uid(&again), uid(&made), "a uid is never used again");
    assert_ne!(again.revision, made.revision);
}

pub(crate) async fn what_is_not_there_is_not_found(bed: Bed) {
    let mut ghost = draft("ghost", &[]);
    ghost["metadata"]["uid"] = "u".into();
    assert_eq!(code(bed.get("ghost").await), "not-found");
    assert_eq!(code(bed.get("a.name.with.dots").await), "not-found");
    assert_eq!(code(bed.update(&ghost, None).await), "not-found");
    assert_eq!(code(bed.delete("ghost").await), "not-found");
    let (registry, ghost) = (bed.registry(), cluster(&ghost));
    assert_eq!(
        code(registry.update(Call::client(), &ghost, None, true).await),
        "not-found"
    );
    let name = name("ghost");
    assert_eq!(
        code(
            registry
                .delete(Call::client(), &name, None, None, true)
                .await
        ),
        "not-found"
    );
}

pub(crate) async fn a_namesake_is_a_conflict(bed: Bed) {
    let before = bed.create("a", &[]).await;
    bed.delete("a").await.unwrap();
    let present = bed.create("a", &[]).await;
    let (registry, name, old) = (bed.registry(), name("a"), uid(&before));
    let mut value = json_of(&present);
    value["metadata"]["uid"] = old.as_str().into();
    value["spec"] = json!({});
    assert_eq!(code(bed.update(&value, None).await), "conflict");
    for dry_run in [true, false] {
        let deleted = registry
            .delete(Call::client(), &name, Some(&old), None, dry_run)
            .await;
        assert_eq!(code(deleted), "conflict");
    }
    if bed.supported().await.status {
        let written = registry.set_status(Call::client(), &name, &old, "[]").await;
        assert_eq!(code(written), "conflict");
    }
    assert_eq!(bed.get("a").await.unwrap(), present);
    registry
        .delete(Call::client(), &name, Some(&uid(&present)), None, false)
        .await
        .unwrap();
}

pub(crate) async fn an_old_revision_is_a_conflict_that_names_the_present_one(bed: Bed) {
    let first = bed.create("a", &[]).await;
    let second = bed.change("a", |v| v["spec"]["x"] = 1.into()).await;
    assert_ne!(first.revision, second.revision);
    let old = Some(first.revision.clone());
    let (registry, name) = (bed.registry(), name("a"));
    let mut value = json_of(&second);
    value["spec"]["x"] = 2.into();
    for dry_run in [true, false] {
        let updated = registry
            .update(Call::client(), &cluster(&value), old.clone(), dry_run)
            .await;
        assert_eq!(present(updated), second.revision);
        let deleted = registry
            .delete(Call::client(), &name, None, old.clone(), dry_run)
            .await;
        assert_eq!(present(deleted), second.revision);
    }
    assert_eq!(bed.get("a").await.unwrap(), second);
    let third = bed.update(&value, Some(&second.revision)).await.unwrap();
    let right = Some(third.revision);
    registry
        .delete(Call::client(), &name, None, right, false)
        .await
        .unwrap();
    assert_eq!(code(bed.get("a").await), "not-found");
}

pub(crate) async fn a_change_that_changes_nothing_keeps_the_revision(bed: Bed) {
    let made = bed.create("a", &[("x", "1")]).await;
    let same = bed.change("a", |_| {}).await;
    assert_eq!(same, made);
    assert_eq!(
        bed.update(&json_of(&made), Some(&made.revision))
            .await
            .unwrap(),
        made
    );
    assert_eq!(bed.get("a").await.unwrap(), made);
}

pub(crate) async fn dry_runs_check_and_write_nothing(bed: Bed) {
    let registry = bed.registry();
    let wanted = cluster(&draft("a", &[("x", "1")]));
    let tried = registry
        .create(Call::client(), &wanted, true)
        .await
        .unwrap();
    assert_eq!(json_of(&tried)["spec"], wanted.object()["spec"]);
    assert_eq!(code(bed.get("a").await), "not-found");
    let made = bed.create("a", &[]).await;
    assert_eq!(
        code(registry.create(Call::client(), &wanted, true).await),
        "already-exists"
    );
    let mut value = json_of(&made);
    value["spec"]["x"] = 1.into();
    let tried = registry
        .update(Call::client(), &cluster(&value), None, true)
        .await
        .unwrap();
    assert_eq!(json_of(&tried)["spec"]["x"], 1);
    registry
        .delete(Call::client(), &name("a"), None, None, true)
        .await
        .unwrap();
    assert_eq!(bed.get("a").await.unwrap(), made);
}

pub(crate) async fn fields_that_nobody_knows_survive(bed: Bed) {
    let mut wanted = draft("a", &[]);
    let odd = json!({"finalizers": ["example.com/hold"], "annotations": {"example.com/a": "b"},
        "ownerReferences": [{"apiVersion": "x/v1", "kind": "X", "name": "y", "uid": "z"}]});
    for (key, value) in odd.as_object().unwrap() {
        wanted["metadata"][key] = value.clone();
    }
    wanted["spec"]["ofTomorrow"] = json!({"deep": [1, {"er": null}]});
    wanted["topLevel"] = json!([true]);
    wanted["metadata"]["managedFields"] = json!([{"manager": "m"}]);
    let holds = |value: &Value| {
        for (key, odd) in odd.as_object().unwrap() {
            assert_eq!(&value["metadata"][key], odd, "{key}");
        }
        assert_eq!(value["spec"]["ofTomorrow"], wanted["spec"]["ofTomorrow"]);
        assert_eq!(value["topLevel"], wanted["topLevel"]);
    };
    let made = bed.try_create(&wanted).await.unwrap();
    holds(&json_of(&made));
    // Where an API server keeps the objects, they are its own; once there, they stay.
    let managers = |value: &Value| -> Vec<Value> {
        let fields = value["metadata"]["managedFields"].as_array();
        let fields = fields.into_iter().flatten();
        fields.map(|f| f["manager"].clone()).collect()
    };
    let before = managers(&json_of(&made));
    // The API server of the providers' days knew no managers.
    assert_eq!(before.is_empty(), bed.supported().await.label_names);
    holds(&json_of(
        &bed.change("a", |v| v["spec"]["x"] = 1.into()).await,
    ));
    let created = &json_of(&made)["metadata"]["creationTimestamp"];
    let forged = bed
        .change("a", |v| {
            v["metadata"]["creationTimestamp"] = "1999-01-01T00:00:00Z".into()
        })
        .await;
    assert_eq!(&json_of(&forged)["metadata"]["creationTimestamp"], created);
    if bed.supported().await.status {
        let written = bed
            .registry()
            .set_status(Call::client(), &name("a"), &uid(&made), "[]")
            .await;
        holds(&json_of(&written.unwrap()));
    }
    let last = json_of(&bed.get("a").await.unwrap());
    holds(&last);
    let after = managers(&last);
    assert!(before.iter().all(|manager| after.contains(manager)));
}

pub(crate) async fn conditions_are_written_and_nothing_else(bed: Bed) {
    let made = bed.create("a", &[]).await;
    let (registry, name, uid) = (bed.registry(), name("a"), uid(&made));
    let conditions = json!([{"type": "Ready", "status": "True", "reason": "Ready"}]);
    let write = || {
        registry.set_status(
            Call::client(),
            &name,
            &uid,
            r#"[{"type":"Ready","status":"True","reason":"Ready"}]"#,
        )
    };
    if !bed.supported().await.status {
        assert_eq!(code(write().await), "unsupported");
        assert_eq!(bed.get("a").await.unwrap(), made);
        return;
    }
    let written = write().await.unwrap();
    let strip = |value: Value| {
        let mut value = value;
        // An API server notes who wrote the conditions.
        for own in ["resourceVersion", "managedFields"] {
            value["metadata"][own] = Value::Null;
        }
        value.as_object_mut().unwrap().remove("status");
        value
    };
    assert_eq!(strip(json_of(&written)), strip(json_of(&made)));
    // Conditions of others, and those that a registry derives from ours, may stand beside them.
    let holds = |object: &Object| {
        let there = json_of(object)["status"]["conditions"].clone();
        let there = there.as_array().unwrap().clone();
        let wanted = conditions.as_array().unwrap();
        assert!(wanted.iter().all(|c| there.contains(c)), "{there:?}");
    };
    holds(&written);
    assert_eq!(
        write().await.unwrap(),
        written,
        "the same conditions change nothing"
    );
    let forged = bed
        .change("a", |v| v["status"] = json!({"conditions": []}))
        .await;
    holds(&forged);
    let ghost = self::name("ghost");
    assert_eq!(
        code(
            registry
                .set_status(Call::client(), &ghost, &uid, "[]")
                .await
        ),
        "not-found"
    );
}

pub(crate) async fn odd_texts_are_kept_and_large_ones_refused(bed: Bed) {
    let mut wanted = draft("a", &[]);
    wanted["metadata"]["annotations"] = json!({"x": "\u{0}\u{1b}[31m\"\\ \u{202e} é 🦀"});
    let made = bed.try_create(&wanted).await.unwrap();
    assert_eq!(
        json_of(&made)["metadata"]["annotations"],
        wanted["metadata"]["annotations"]
    );
    assert_eq!(bed.get("a").await.unwrap(), made);
    let mut large = draft("b", &[]);
    // In a field that every form knows.
    large["spec"]["kubernetesApiEndpoints"]["caBundle"] = "x".repeat(900 << 10).into();
    bed.try_create(&large).await.unwrap();
    let mut huge = draft("c", &[]);
    huge["spec"]["blob"] = "x".repeat(2 << 20).into();
    assert_eq!(code(bed.try_create(&huge).await), "too-large");
    assert_eq!(code(bed.get("c").await), "not-found");
    assert_eq!(bed.all("").await.len(), 2);
}
