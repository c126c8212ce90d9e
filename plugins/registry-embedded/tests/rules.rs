//! The rules of the contract, on keys in memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

use futures::executor::block_on;
use optikon_plugin_sdk::{
    Error, ErrorCode, Keys, Selector,
    kv::{Entry, Expectation, Page, Version},
    registry::{Event, Object},
    testing::MemoryKeys,
};
use registry_embedded::{
    changes::{deliver, start},
    clusters::{Clusters, Expect},
    record::{PREFIX, key},
};
use serde_json::{Value, json};

fn empty() -> Clusters<MemoryKeys> {
    Clusters(MemoryKeys::default())
}

fn cluster(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
        "metadata": {"name": name, "labels": labels}, "spec": {"odd": [1]},
    })
}

fn parse(object: &Object) -> Value {
    serde_json::from_str(&object.json).unwrap()
}

fn create<K: Keys>(clusters: &Clusters<K>, value: &Value) -> Object {
    let uid = format!("uid-{}", value["metadata"]["name"].as_str().unwrap());
    block_on(clusters.create(&value.to_string(), &uid, 1_000, false)).unwrap()
}

/// Writes what `change` makes of the present object.
fn update(
    clusters: &Clusters<MemoryKeys>,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Object, Error> {
    let mut value = parse(&block_on(clusters.get(name)).unwrap());
    change(&mut value);
    block_on(clusters.update(&value.to_string(), None, false))
}

fn events(clusters: &Clusters<MemoryKeys>, selector: &str, after: Option<&str>) -> Vec<String> {
    let mut out = Vec::new();
    let from = start(after).unwrap();
    let changes = block_on(clusters.0.watch(PREFIX, from)).unwrap();
    let selector = Selector::parse(selector).unwrap();
    block_on(deliver(changes, from.is_none(), &selector, &mut out));
    let word = |event: Event| match event {
        Event::Stored(object) => format!("stored {} {}", object.name, object.revision),
        Event::Deleted(object) => format!("deleted {} {}", object.name, object.revision),
        Event::Bookmark(revision) => format!("bookmark {revision}"),
    };
    out.into_iter().map(|event| word(event.unwrap())).collect()
}

#[test]
fn a_new_cluster_gets_what_is_not_the_clients_to_give() {
    let clusters = empty();
    let mut value = cluster("a", json!({"x": "1"}));
    value["metadata"]["uid"] = "mine".into();
    value["metadata"]["resourceVersion"] = "77".into();
    value["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z".into();
    value["metadata"]["finalizers"] = json!(["f"]);
    value["status"] = json!({"conditions": [{"type": "OK"}]});
    let object = create(&clusters, &value);
    assert_eq!(
        parse(&object),
        json!({
            "apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster", "spec": {"odd": [1]},
            "metadata": {
                "name": "a", "labels": {"x": "1"}, "uid": "uid-a", "finalizers": ["f"], "generation": 1,
                "creationTimestamp": "1970-01-01T00:00:01Z", "resourceVersion": object.revision,
            },
        })
    );
    assert_eq!(block_on(clusters.get("a")).unwrap(), object);
}

#[test]
fn names_that_are_no_label_are_refused() {
    for name in ["", "A", "a.b", "-a", "a-", "a/b", "é", &"a".repeat(64)] {
        let json = cluster(name, json!({})).to_string();
        let error = block_on(empty().create(&json, "u", 0, true)).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{name}");
        assert_eq!(error.detail("field"), Some("metadata.name"), "{name}");
    }
    let long = block_on(empty().get(&"a".repeat(5_000))).unwrap_err();
    assert_eq!(long.code, ErrorCode::NotFound);
}

#[test]
fn dry_runs_check_everything_and_write_nothing() {
    let clusters = empty();
    let value = cluster("a", json!({}));
    let tried = block_on(clusters.create(&value.to_string(), "u", 0, true)).unwrap();
    assert_eq!(parse(&tried)["metadata"]["resourceVersion"], Value::Null);
    assert_eq!(
        block_on(clusters.get("a")).unwrap_err().code,
        ErrorCode::NotFound
    );
    let made = create(&clusters, &value);
    let again = block_on(clusters.create(&value.to_string(), "u", 0, true)).unwrap_err();
    assert_eq!(again.code, ErrorCode::AlreadyExists);
    let mut changed = parse(&made);
    changed["spec"] = json!({"new": true});
    let tried = block_on(clusters.update(&changed.to_string(), None, true)).unwrap();
    assert_eq!(parse(&tried)["metadata"]["generation"], 2);
    block_on(clusters.delete("a", Expect::default(), 0, true)).unwrap();
    assert_eq!(block_on(clusters.get("a")).unwrap(), made);
}

#[test]
fn a_change_that_changes_nothing_keeps_the_revision() {
    let clusters = empty();
    let made = create(&clusters, &cluster("a", json!({})));
    assert_eq!(update(&clusters, "a", |_| {}).unwrap(), made);
    let conditions = r#"[{"type":"Ready","status":"True"}]"#;
    let expect = Expect::new(Some("uid-a"), None);
    let once = block_on(clusters.set_status("a", conditions, expect)).unwrap();
    assert_ne!(once.revision, made.revision);
    let twice = block_on(clusters.set_status("a", conditions, expect)).unwrap();
    assert_eq!(twice, once);
}

#[test]
fn expectations_on_uid_and_revision_are_conflicts() {
    let clusters = empty();
    let made = create(&clusters, &cluster("a", json!({})));
    let code = |result: Result<Object, Error>| result.unwrap_err();
    for expect in [
        Expect::new(Some("other"), None),
        Expect::new(Some("uid-a"), Some("0")),
    ] {
        for error in [
            code(block_on(clusters.delete("a", expect, 0, false))),
            code(block_on(clusters.delete("a", expect, 0, true))),
            code(block_on(clusters.set_status("a", "[]", expect))),
        ] {
            assert_eq!(error.code, ErrorCode::Conflict);
            let present = expect.revision.map(|_| made.revision.as_str());
            assert_eq!(error.detail("revision"), present);
        }
    }
    let stale = code(block_on(clusters.update(&made.json, Some("0"), false)));
    assert_eq!(stale.detail("revision"), Some(made.revision.as_str()));
    let namesake = code(update(&clusters, "a", |v| {
        v["metadata"]["uid"] = "x".into()
    }));
    assert_eq!(namesake.code, ErrorCode::Conflict);
    assert_eq!(block_on(clusters.get("a")).unwrap(), made);
}

#[test]
fn the_generation_rises_with_the_spec_and_with_nothing_else() {
    let clusters = empty();
    create(&clusters, &cluster("a", json!({})));
    let generation =
        |object: Result<Object, Error>| parse(&object.unwrap())["metadata"]["generation"].clone();
    let label = |v: &mut Value| v["metadata"]["labels"]["x"] = "2".into();
    assert_eq!(generation(update(&clusters, "a", label)), 1);
    let spec = |v: &mut Value| v["spec"]["x"] = 3.into();
    assert_eq!(generation(update(&clusters, "a", spec)), 2);
    let forged = |v: &mut Value| v["metadata"]["generation"] = 99.into();
    assert_eq!(generation(update(&clusters, "a", forged)), 2);
    let expect = Expect::new(Some("uid-a"), None);
    let status = block_on(clusters.set_status("a", r#"[{"type":"X"}]"#, expect));
    assert_eq!(generation(status), 2);
}

#[test]
fn finalizers_hold_a_cluster_until_the_last_one_is_gone() {
    let clusters = empty();
    let mut value = cluster("a", json!({}));
    value["metadata"]["finalizers"] = json!(["one", "two"]);
    create(&clusters, &value);
    let going = block_on(clusters.delete("a", Expect::default(), 5_000, false)).unwrap();
    let time = &parse(&going)["metadata"]["deletionTimestamp"];
    assert_eq!(time, "1970-01-01T00:00:05Z");
    let again = block_on(clusters.delete("a", Expect::default(), 9_000, false)).unwrap();
    assert_eq!(again, going, "the first deletion counts");
    let undo = |v: &mut Value| v["metadata"]["deletionTimestamp"] = Value::Null;
    assert_eq!(update(&clusters, "a", undo).unwrap(), going);
    let add = |v: &mut Value| v["metadata"]["finalizers"] = json!(["one", "two", "three"]);
    let refused = update(&clusters, "a", add).unwrap_err();
    assert_eq!(refused.detail("field"), Some("metadata.finalizers"));
    let one = |v: &mut Value| v["metadata"]["finalizers"] = json!(["two"]);
    let left = update(&clusters, "a", one).unwrap();
    let none = |v: &mut Value| v["metadata"]["finalizers"] = json!([]);
    let last = update(&clusters, "a", none).unwrap();
    assert_eq!(last.revision, left.revision);
    assert_eq!(
        block_on(clusters.get("a")).unwrap_err().code,
        ErrorCode::NotFound
    );
    let seen = events(&clusters, "", Some(&left.revision));
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("deleted a "), "{seen:?}");
}

#[test]
fn a_watch_tells_who_enters_and_leaves_the_selection() {
    let clusters = empty();
    let label =
        |value: &'static str| move |v: &mut Value| v["metadata"]["labels"]["x"] = value.into();
    let first = create(&clusters, &cluster("a", json!({"x": "1"}))).revision;
    create(&clusters, &cluster("b", json!({"x": "2"})));
    update(&clusters, "a", label("2")).unwrap();
    update(&clusters, "a", |v| v["spec"] = json!({})).unwrap();
    update(&clusters, "a", label("1")).unwrap();
    update(&clusters, "b", label("3")).unwrap();
    block_on(clusters.delete("a", Expect::default(), 0, false)).unwrap();
    block_on(clusters.delete("b", Expect::default(), 0, false)).unwrap();
    assert_eq!(
        events(&clusters, "x=1", Some(&first)),
        ["deleted a 3", "stored a 5", "deleted a 7"]
    );
    assert_eq!(
        events(&clusters, "x!=1", Some(&first)),
        [
            "stored b 2",
            "stored a 3",
            "stored a 4",
            "deleted a 5",
            "stored b 6",
            "deleted b 8"
        ]
    );
}

#[test]
fn a_watch_from_nothing_begins_with_what_is_selected_now() {
    let clusters = empty();
    create(&clusters, &cluster("a", json!({"x": "1"})));
    create(&clusters, &cluster("b", json!({"x": "1"})));
    update(&clusters, "a", |v| v["metadata"]["labels"] = json!({})).unwrap();
    let seen = events(&clusters, "x", None);
    assert_eq!(seen, ["stored b 2", "bookmark 3"]);
}

#[test]
fn revisions_of_elsewhere_and_forgotten_ones_are_expired() {
    for foreign in ["", "abc", "-1", "18446744073709551616"] {
        assert_eq!(start(Some(foreign)).unwrap_err().code, ErrorCode::Expired);
    }
    let clusters = empty();
    create(&clusters, &cluster("a", json!({})));
    create(&clusters, &cluster("b", json!({})));
    let everything = Selector::default();
    let page = block_on(clusters.list(&everything, 1, None)).unwrap();
    clusters.0.forget();
    let old = block_on(clusters.list(&everything, 1, page.next)).unwrap_err();
    assert_eq!(old.code, ErrorCode::Expired);
}

#[test]
fn pages_are_of_one_snapshot_in_the_order_of_names() {
    let clusters = empty();
    for n in 0..25 {
        create(
            &clusters,
            &cluster(&format!("c{n:02}"), json!({"odd": (n % 2).to_string()})),
        );
    }
    let selector = Selector::parse("odd=1").unwrap();
    let (mut names, mut next, mut revisions) = (Vec::new(), None, Vec::new());
    loop {
        let page = block_on(clusters.list(&selector, 5, next)).unwrap();
        assert!(page.items.len() <= 5);
        names.extend(page.items.into_iter().map(|item| item.name));
        revisions.push(page.revision);
        create(
            &clusters,
            &cluster(&format!("new-{}", revisions.len()), json!({"odd": "1"})),
        );
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let odd: Vec<String> = (0..25)
        .filter(|n| n % 2 == 1)
        .map(|n| format!("c{n:02}"))
        .collect();
    assert_eq!(names, odd);
    revisions.dedup();
    assert_eq!(revisions.len(), 1);
}

/// Keys whose scans are too large for more than three entries, as with clusters of a megabyte.
#[derive(Debug, Default)]
struct HeavyKeys(MemoryKeys);

impl Keys for HeavyKeys {
    type Changes = <MemoryKeys as Keys>::Changes;
    async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.0.get(key).await
    }
    async fn scan(&self, prefix: &str, limit: u32, next: Option<String>) -> Result<Page, Error> {
        if limit > 3 {
            return Err(Error::too_large("the page is too large"));
        }
        self.0.scan(prefix, limit, next).await
    }
    async fn put(&self, key: &str, value: Vec<u8>, expect: Expectation) -> Result<Version, Error> {
        self.0.put(key, value, expect).await
    }
    async fn delete(&self, key: &str, expect: Expectation) -> Result<Version, Error> {
        self.0.delete(key, expect).await
    }
    async fn watch(&self, prefix: &str, after: Option<Version>) -> Result<Self::Changes, Error> {
        self.0.watch(prefix, after).await
    }
}

#[test]
fn large_clusters_are_listed_in_smaller_portions() {
    let clusters = Clusters(HeavyKeys::default());
    for n in 0..9 {
        create(&clusters, &cluster(&format!("c{n}"), json!({})));
    }
    let page = block_on(clusters.list(&Selector::default(), 1_000, None)).unwrap();
    assert_eq!((page.items.len(), page.next), (9, None));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_written() {
    let clusters = empty();
    let mut value = cluster("a", json!({}));
    value["spec"]["blob"] = "x".repeat(1 << 20).into();
    for dry_run in [true, false] {
        let error = block_on(clusters.create(&value.to_string(), "u", 0, dry_run)).unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge);
    }
    assert!(block_on(clusters.0.get(&key("a"))).unwrap().is_none());
}

#[test]
fn a_key_that_holds_something_else_is_an_error() {
    let keys = MemoryKeys::default();
    block_on(keys.put(&key("a"), b"junk".to_vec(), Expectation::Any)).unwrap();
    let error = block_on(Clusters(keys).get("a")).unwrap_err();
    assert_eq!(error.code, ErrorCode::Internal);
}
