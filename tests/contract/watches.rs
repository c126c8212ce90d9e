//! Watches: exactly once, in order, with the selection's own deletions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use optikon_core::ports::Event;
use serde_json::Value;

use crate::bed::{Bed, code, json_of};

/// Whether it watches; one that does not say so must refuse.
async fn watches(bed: &Bed) -> bool {
    let has = bed.supported().await.watch;
    if !has {
        let refused = bed.watch("", None).await;
        assert_eq!(code(refused.map(|_| ())), "unsupported");
    }
    has
}

pub(crate) async fn every_change_comes_once_and_in_order_while_others_write(bed: Bed) {
    const WRITERS: u64 = 6;
    const WRITES: u64 = 20;
    if !watches(&bed).await {
        return;
    }
    let bed = Arc::new(bed);
    bed.create("before", &[]).await;
    let from = bed.list("", 10, None).await.unwrap().revision;
    let mut watch = bed.watch("", Some(&from)).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move {
                let name = format!("w{writer}");
                let mut written = vec![bed.create(&name, &[]).await.revision];
                for step in 1..=WRITES {
                    let change = |v: &mut Value| v["spec"]["step"] = step.into();
                    written.push(bed.change(&name, change).await.revision);
                }
                if writer % 2 == 0 {
                    written.push(bed.delete(&name).await.unwrap().revision);
                }
                (name, written)
            })
        })
        .collect();
    let mut expected = BTreeMap::new();
    for writer in writers {
        let (name, written) = writer.await.unwrap();
        expected.insert(name, written);
    }
    bed.create("zz-last", &[]).await;
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for (_, object) in watch.until("zz-last").await {
        order.push(object.revision.clone());
        seen.entry(object.cluster.name().to_string())
            .or_default()
            .push(object.revision);
    }
    assert_eq!(seen, expected);
    // A second watch of the same changes tells them in the same order.
    let mut again = bed.watch("", Some(&from)).await.unwrap();
    let same: Vec<String> = again
        .until("zz-last")
        .await
        .into_iter()
        .map(|(_, o)| o.revision)
        .collect();
    assert_eq!(same, order);
    // And one from the middle goes on exactly there.
    let middle = order.len() / 2;
    let mut rest = bed.watch("", Some(&order[middle])).await.unwrap();
    let tail: Vec<String> = rest
        .until("zz-last")
        .await
        .into_iter()
        .map(|(_, o)| o.revision)
        .collect();
    assert_eq!(tail, order[middle + 1..]);
}

pub(crate) async fn a_watch_from_nothing_begins_with_everything(bed: Bed) {
    if !watches(&bed).await {
        return;
    }
    let mut present = BTreeSet::new();
    for name in ["a", "b", "c"] {
        present.insert(bed.create(name, &[("x", name)]).await.revision);
    }
    present.remove(&bed.get("b").await.unwrap().revision);
    let mut watch = bed.watch("x!=b", None).await.unwrap();
    let mut seen = BTreeSet::new();
    let bookmark = loop {
        match watch.next().await.expect("goes on").unwrap() {
            Event::Stored(object) => assert!(seen.insert(object.revision)),
            Event::Bookmark(revision) => break revision,
            Event::Deleted(object) => panic!("{} was never selected", object.cluster.name()),
        }
    };
    assert_eq!(seen, present);
    let new = bed.create("d", &[]).await;
    assert_eq!(watch.change().await, ("stored", new.clone()));
    let mut after = bed.watch("x!=b", Some(&bookmark)).await.unwrap();
    assert_eq!(after.change().await, ("stored", new));
}

pub(crate) async fn leaving_the_selection_is_a_deletion(bed: Bed) {
    if !watches(&bed).await {
        return;
    }
    bed.create("a", &[("x", "1")]).await;
    bed.create("other", &[("x", "2")]).await;
    let from = bed.list("", 10, None).await.unwrap().revision;
    let label =
        |value: &'static str| move |v: &mut Value| v["metadata"]["labels"]["x"] = value.into();
    // Both watches begin after "a" was selected; the second one also after it left.
    let mut live = bed.watch("x=1", Some(&from)).await.unwrap();
    let left = bed.change("a", label("2")).await;
    let hidden = bed.change("a", |v| v["spec"]["hidden"] = true.into()).await;
    let back = bed.change("a", label("1")).await;
    bed.change("other", |v| v["spec"]["y"] = 1.into()).await;
    let gone = bed.delete("a").await.unwrap();
    bed.delete("other").await.unwrap();
    bed.create("zz-last", &[("x", "1")]).await;
    let mut late = bed.watch("x=1", Some(&from)).await.unwrap();
    for watch in [&mut live, &mut late] {
        let seen: Vec<_> = watch
            .until("zz-last")
            .await
            .into_iter()
            .map(|(k, o)| (k, o.revision))
            .collect();
        let expected = [("deleted", &left), ("stored", &back), ("deleted", &gone)];
        assert_eq!(seen, expected.map(|(k, o)| (k, o.revision.clone())));
    }
    let mut middle = bed.watch("x=1", Some(&hidden.revision)).await.unwrap();
    assert_eq!(middle.change().await.0, "stored");
}

pub(crate) async fn a_deletion_shows_the_last_state(bed: Bed) {
    if !watches(&bed).await {
        return;
    }
    bed.create("a", &[]).await;
    let last = bed.change("a", |v| v["spec"]["last"] = true.into()).await;
    let deleted = bed.delete("a").await.unwrap();
    assert_ne!(deleted.revision, last.revision);
    let mut watch = bed.watch("", Some(&last.revision)).await.unwrap();
    let (kind, object) = watch.change().await;
    assert_eq!((kind, &object.revision), ("deleted", &deleted.revision));
    assert_eq!(json_of(&object)["spec"], json_of(&last)["spec"]);
    assert_eq!(json_of(&deleted)["spec"], json_of(&last)["spec"]);
}

pub(crate) async fn a_revision_of_elsewhere_is_expired(bed: Bed) {
    if !watches(&bed).await {
        return;
    }
    bed.create("a", &[]).await;
    for revision in ["elsewhere", "-1", "18446744073709551616"] {
        let code = match bed.watch("", Some(revision)).await {
            Err(error) => error.code(),
            Ok(mut watch) => code(
                watch
                    .next()
                    .await
                    .expect("an error is the last item")
                    .map(drop),
            ),
        };
        assert_eq!(code, "expired", "{revision}");
    }
}
