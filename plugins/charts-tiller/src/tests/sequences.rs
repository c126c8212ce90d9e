//! What is asked of Tiller, in which order, and what is made of its answers.

use futures::executor::block_on;
use optikon_plugin_sdk::{Error, ErrorCode, charts::Outcome};

use super::tiller::{Fake, Trouble, made, with_code};
use crate::{
    flow::Flow,
    plan::Plan,
    session::Session,
    wire::{Chart, Code, Metadata},
};

fn plan(version: &str, values: &str) -> Plan {
    let metadata = Metadata {
        name: "web".into(),
        version: version.into(),
        ..Metadata::default()
    };
    Plan {
        chart: Some(Chart {
            metadata: Some(metadata),
            ..Chart::default()
        }),
        values: values.into(),
    }
}

fn flow<'a>(world: &'a Fake, options: &str) -> Flow<'a, Fake> {
    Flow::new(world, "web".into(), "shop".into(), options).unwrap()
}

fn install(world: &Fake, options: &str) -> Result<Outcome, Error> {
    block_on(flow(world, options).install(plan("1", "")))
}

#[test]
fn an_operation_installs_once_however_often_it_is_asked() {
    let world = Fake::new();
    let first = install(&world, "").unwrap();
    assert_eq!((first.release.revision, first.changed), (1, true));
    assert_eq!(first.release.operation.as_deref(), Some("op1"));
    let again = install(&world, "").unwrap();
    assert_eq!(again, first);
    assert_eq!(world.changes(), ["InstallRelease"]);
    *world.0.operation.borrow_mut() = Some("op2".into());
    let other = install(&world, "").unwrap_err();
    assert_eq!(other.code, ErrorCode::AlreadyExists);
}

#[test]
fn after_a_cut_tunnel_nothing_is_sent_twice() {
    let world = Fake::new();
    world.0.trouble.set(Trouble::CutAndDone);
    let done = install(&world, "").unwrap();
    assert_eq!((done.release.revision, done.changed), (1, true));
    assert_eq!(world.changes(), ["InstallRelease"]);

    let world = Fake::new();
    world.0.trouble.set(Trouble::CutAndDead);
    let lost = install(&world, r#"{"timeoutMs": 2000}"#).unwrap_err();
    assert_eq!(
        lost.detail("reason"),
        Some("interrupted"),
        "{}",
        lost.message
    );
    assert!(lost.message.contains("pending-install"), "{}", lost.message);
    assert_eq!(world.changes(), ["InstallRelease"]);
}

#[test]
fn a_release_that_was_left_pending_is_locked_until_it_is_forced() {
    let world = Fake::new();
    install(&world, "").unwrap();
    let pending = made("web".into(), "shop".into(), 2, None, None, "");
    world.put(with_code(
        pending,
        Code::PendingUpgrade,
        "Preparing upgrade",
    ));
    *world.0.operation.borrow_mut() = Some("op2".into());
    let options = r#"{"timeoutMs": 2000}"#;
    let locked = block_on(flow(&world, options).upgrade(plan("2", ""))).unwrap_err();
    assert_eq!(locked.detail("reason"), Some("release-locked"));
    let forced = block_on(flow(&world, r#"{"force": true}"#).upgrade(plan("2", ""))).unwrap();
    assert_eq!(forced.release.revision, 4);
    assert_eq!(
        world.changes(),
        ["InstallRelease", "RollbackRelease", "UpdateRelease"]
    );
}

#[test]
fn the_same_again_is_unchanged_and_other_values_are_not() {
    let world = Fake::new();
    install(&world, "").unwrap();
    *world.0.operation.borrow_mut() = Some("op2".into());
    let same = block_on(flow(&world, "").upgrade(plan("1", ""))).unwrap();
    assert_eq!((same.release.revision, same.changed), (1, false));
    let other = block_on(flow(&world, "").upgrade(plan("1", r#"{"a":1}"#))).unwrap();
    assert_eq!((other.release.revision, other.changed), (2, true));
    // Nothing given: those of before.
    *world.0.operation.borrow_mut() = Some("op3".into());
    let kept = block_on(flow(&world, "").upgrade(plan("1", ""))).unwrap();
    assert!(!kept.changed);
    let more = r#"{"resetThenReuseValues": true}"#;
    let merged = block_on(flow(&world, more).upgrade(plan("1", r#"{"b":2}"#))).unwrap();
    assert_eq!(merged.release.revision, 3);
    assert_eq!(
        world.last("web").unwrap().config.unwrap().raw,
        r#"{"a":1,"b":2}"#
    );
}

#[test]
fn a_failed_atomic_install_is_removed() {
    let world = Fake::new();
    world.0.trouble.set(Trouble::Refused);
    let failed = install(&world, r#"{"atomic": true}"#).unwrap_err();
    assert_eq!(failed.detail("reason"), Some("tiller-refused"));
    assert!(
        failed.message.ends_with("; it was undone"),
        "{}",
        failed.message
    );
    assert_eq!(world.last("web"), None);
}

#[test]
fn an_uninstall_of_what_is_not_there_is_unchanged() {
    let world = Fake::new();
    let gone = block_on(flow(&world, "").uninstall()).unwrap();
    assert!(!gone.changed && world.changes().is_empty());
    install(&world, "").unwrap();
    let gone = block_on(flow(&world, "").uninstall()).unwrap();
    assert_eq!(
        (gone.changed, gone.release.status.as_str()),
        (true, "uninstalled")
    );
    let nothing = block_on(flow(&world, "").rollback(0)).unwrap_err();
    assert_eq!(nothing.code, ErrorCode::NotFound);
}

#[test]
fn a_list_is_whole_over_pages_and_has_the_newest_only() {
    let world = Fake::new();
    for i in 0..150 {
        let name = format!("r{i:03}");
        world.put(made(name.clone(), "shop".into(), 1, None, None, ""));
        world.put(made(name, "shop".into(), 2, None, None, ""));
    }
    let found = block_on(async {
        let session = Session::open(&world).await?;
        session.list(None, "").await
    });
    let found = found.unwrap();
    assert_eq!(found.len(), 150);
    assert!(found.iter().all(|r| r.version == 2));
}
