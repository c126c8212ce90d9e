use serde_json::json;

use super::*;
use crate::words::{Condition, Selector};

fn object(name: &str, uid: &str, revision: &str, label: &str) -> Object {
    let json = json!({"metadata": {"name": name, "uid": uid, "labels": {"l": label}}});
    Object {
        cluster: Cluster::from_json(&json.to_string()).unwrap(),
        revision: revision.into(),
    }
}

fn mirror() -> Arc<Mirror> {
    Arc::new(Mirror::new(100, 1_000))
}

fn label(mirror: &Mirror, name: &str) -> Option<String> {
    mirror
        .get(&name.parse().unwrap())?
        .cluster
        .labels()
        .get("l")
        .map(str::to_owned)
}

fn look(mirror: &Mirror, name: &ClusterName, uid: &Uid, seen: &Health) {
    mirror.observed(name, uid, |_, health| {
        *health = seen.clone();
        true
    });
}

#[tokio::test]
async fn a_watch_delivers_every_change_once_and_in_order() {
    let mirror = mirror();
    let mut cursor = mirror.watch(None).unwrap();
    mirror.replace(
        vec![object("a", "u1", "1", "x"), object("b", "u2", "1", "x")],
        1,
    );
    mirror.stored(object("a", "u1", "2", "y"), 2);
    mirror.deleted(object("b", "u2", "3", "x"), 3);
    let events = cursor.next().await.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|e| through(e, |_| true).unwrap().0)
        .collect();
    assert_eq!(kinds, ["ADDED", "ADDED", "MODIFIED", "DELETED"]);
    let versions: Vec<_> = events.iter().map(|e| e.version).collect();
    assert_eq!(versions, [101, 102, 103, 104]);
    assert_eq!(events.last().unwrap().shown.version, 104);
}

#[test]
fn a_write_is_read_at_once_and_not_undone_by_an_older_event() {
    let mirror = mirror();
    mirror.replace(vec![object("a", "u1", "1", "one")], 1);
    mirror.wrote(object("a", "u1", "3", "three"));
    mirror.stored(object("a", "u1", "2", "two"), 2);
    assert_eq!(label(&mirror, "a").unwrap(), "three");
    mirror.stored(object("a", "u1", "3", "three"), 3);
    mirror.stored(object("a", "u1", "4", "four"), 4);
    assert_eq!(label(&mirror, "a").unwrap(), "four");
    // The answer to a write that comes after later events changes nothing.
    mirror.wrote(object("a", "u1", "3", "three"));
    assert_eq!(label(&mirror, "a").unwrap(), "four");
}

#[test]
fn an_erased_cluster_does_not_come_back_by_an_older_event() {
    let mirror = mirror();
    mirror.replace(vec![object("a", "u1", "1", "one")], 1);
    mirror.erased(&object("a", "u1", "3", "one"));
    mirror.stored(object("a", "u1", "2", "two"), 2);
    assert_eq!(label(&mirror, "a"), None);
    mirror.deleted(object("a", "u1", "3", "one"), 3);
    mirror.stored(object("a", "u9", "4", "again"), 4);
    assert_eq!(label(&mirror, "a").unwrap(), "again");
}

#[test]
fn a_namesake_inherits_no_health() {
    let mirror = mirror();
    mirror.replace(vec![object("a", "u1", "1", "x")], 1);
    let name = "a".parse().unwrap();
    let condition = Condition {
        kind: "Ready".into(),
        status: "True".into(),
        reason: "".into(),
        message: "".into(),
        last_heartbeat_time: None,
        last_transition_time: None,
    };
    let health = Health {
        conditions: vec![condition],
        ..Health::default()
    };
    look(&mirror, &name, &"u1".parse().unwrap(), &health);
    assert_eq!(mirror.get(&name).unwrap().health.conditions.len(), 1);
    mirror.stored(object("a", "u2", "2", "x"), 2);
    assert!(mirror.get(&name).unwrap().health.conditions.is_empty());
    look(&mirror, &name, &"u1".parse().unwrap(), &health);
    assert!(mirror.get(&name).unwrap().health.conditions.is_empty());
}

#[test]
fn a_status_changes_the_version_but_not_the_objects() {
    let mirror = mirror();
    mirror.replace(vec![object("a", "u1", "1", "x")], 1);
    let name = "a".parse().unwrap();
    let before = mirror.get(&name).unwrap();
    let health = Health {
        last_error: Some(("Connect".into(), String::new())),
        ..Health::default()
    };
    look(&mirror, &name, &before.uid, &health);
    let after = mirror.get(&name).unwrap();
    assert!(after.version > before.version);
    assert_eq!(after.object_version, before.object_version);
    look(&mirror, &name, &before.uid, &health);
    assert_eq!(mirror.get(&name).unwrap().version, after.version);
}

#[test]
fn pages_are_of_one_snapshot_while_writes_go_on() {
    let mirror = mirror();
    mirror.replace(
        (0..5)
            .map(|i| object(&format!("c{i}"), "u", "1", "x"))
            .collect(),
        1,
    );
    let first = mirror.list(Some(2), None, |_| true).unwrap();
    assert_eq!((first.items.len(), first.remaining), (2, 3));
    mirror.deleted(object("c3", "u", "2", "x"), 2);
    mirror.stored(object("c2b", "u", "3", "x"), 3);
    let second = mirror
        .list(Some(9), first.next.as_deref(), |_| true)
        .unwrap();
    let names: Vec<_> = second
        .items
        .iter()
        .map(|e| e.cluster.name().to_string())
        .collect();
    assert_eq!(names, ["c2", "c3", "c4"]);
    assert_eq!((second.version, second.next), (first.version, None));
    assert!(matches!(
        mirror.list(Some(1), Some("7:c1"), |_| true),
        Err(Error::Expired(_))
    ));
    assert!(matches!(
        mirror.list(Some(1), Some("x"), |_| true),
        Err(Error::Malformed(_))
    ));
}

#[tokio::test]
async fn what_is_too_old_is_said_so() {
    let mirror = mirror();
    assert!(matches!(mirror.watch(Some(99)), Err(Error::Expired(_))));
    assert!(matches!(
        mirror.watch(Some(1_000_000)),
        Err(Error::Expired(_))
    ));
    let mut slow = mirror.watch(None).unwrap();
    for i in 0..=MAX_EVENTS {
        mirror.stored(object("a", "u", &format!("r{i}"), &format!("l{i}")), 1);
    }
    assert!(matches!(slow.next().await, Err(Error::Expired(_))));
    let mut cursor = mirror.watch(None).unwrap();
    mirror.cut();
    assert!(matches!(cursor.next().await, Err(Error::Expired(_))));
}

#[test]
fn leaving_a_selection_looks_like_a_deletion() {
    let entry = |l: &str| {
        let mirror = mirror();
        mirror.replace(vec![object("a", "u", "1", l)], 1);
        mirror.get(&"a".parse().unwrap()).unwrap()
    };
    let event = |before: Option<&str>, after: Option<&str>| {
        let (before, after) = (before.map(entry), after.map(entry));
        let shown = after.clone().or_else(|| before.clone()).unwrap();
        MirrorEvent {
            version: 1,
            before,
            after,
            shown,
        }
    };
    let selector = Selector::parse("l=x").unwrap();
    let kind =
        |e: &MirrorEvent| through(e, |entry| entry.is_selected_by(&selector)).map(|(k, _)| k);
    assert_eq!(kind(&event(Some("x"), Some("y"))), Some("DELETED"));
    assert_eq!(kind(&event(Some("y"), Some("x"))), Some("ADDED"));
    assert_eq!(kind(&event(Some("y"), None)), None);
    assert_eq!(kind(&event(Some("x"), None)), Some("DELETED"));
}

#[test]
fn a_list_beside_the_watch_does_not_make_it_wait_for_what_was_seen() {
    let mirror = mirror();
    mirror.replace(vec![object("a", "u1", "1", "one")], 1);
    mirror.stored(object("a", "u1", "2", "two"), 2);
    mirror.refresh(vec![object("a", "u1", "3", "three")], 3);
    // Whoever asked before that list gets an older answer.
    mirror.wrote(object("a", "u1", "2", "two"));
    assert_eq!(label(&mirror, "a").unwrap(), "three");
    mirror.stored(object("a", "u1", "4", "four"), 4);
    assert_eq!(label(&mirror, "a").unwrap(), "four");
}

#[test]
fn a_cluster_that_moved_stays_the_same_for_who_knows_it() {
    let mirror = mirror();
    mirror.replace(
        vec![object("a", "u1", "1", "one"), object("b", "u2", "1", "x")],
        1,
    );
    let before = mirror.get(&"a".parse().unwrap()).unwrap();
    let watch = mirror.watch(None).unwrap();
    let aliases = [("n1", "u1"), ("n2", "u2")];
    let aliases = aliases.map(|(there, here)| (there.parse().unwrap(), here.parse().unwrap()));
    let moved = vec![
        object("a", "n1", "70", "one"),
        object("b", "n2", "71", "changed"),
    ];
    mirror.moved(moved, aliases.into(), 2);
    let after = mirror.get(&"a".parse().unwrap()).unwrap();
    assert_eq!(
        (&after.uid, after.object_version),
        (&before.uid, before.object_version)
    );
    assert_eq!(after.revision, "70");
    assert_eq!(label(&mirror, "b").unwrap(), "changed");
    assert_eq!(mirror.uid_of(&after.cluster).unwrap().as_str(), "u1");
    // A namesake with another uid there is another one here, too.
    mirror.stored(object("a", "n9", "80", "one"), 3);
    assert_eq!(
        mirror.get(&"a".parse().unwrap()).unwrap().uid.as_str(),
        "n9"
    );
    drop(watch);
}
