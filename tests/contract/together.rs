//! Many writers at once, and a restart in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::bed::{Bed, code, draft, json_of};

/// Each of 50 reads, adds 1 and writes with the revision that it read, until it wins.
pub(crate) async fn fifty_writers_lose_no_update(bed: Bed) {
    let bed = Arc::new(bed);
    bed.create("a", &[]).await;
    bed.change("a", |v| v["spec"]["count"] = 0.into()).await;
    let writers: Vec<_> = (0..50)
        .map(|_| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move {
                loop {
                    let present = bed.get("a").await.unwrap();
                    let mut value = json_of(&present);
                    let count = value["spec"]["count"].as_u64().unwrap();
                    value["spec"]["count"] = (count + 1).into();
                    match bed.update(&value, Some(&present.revision)).await {
                        Ok(object) => return object.revision,
                        Err(error) => assert_eq!(error.code(), "conflict", "{error}"),
                    }
                }
            })
        })
        .collect();
    let mut revisions = BTreeSet::new();
    for writer in writers {
        revisions.insert(writer.await.unwrap());
    }
    assert_eq!(revisions.len(), 50, "every write has a revision of its own");
    assert_eq!(json_of(&bed.get("a").await.unwrap())["spec"]["count"], 50);
    // Without an expectation the last one wins, and nobody is told of a conflict.
    let value = json_of(&bed.get("a").await.unwrap());
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let (bed, mut value) = (Arc::clone(&bed), value.clone());
            value["spec"]["count"] = (1_000 + n).into();
            tokio::spawn(async move { bed.update(&value, None).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert!(json_of(&bed.get("a").await.unwrap())["spec"]["count"].as_u64() >= Some(1_000));
}

pub(crate) async fn of_fifty_creators_one_wins(bed: Bed) {
    let bed = Arc::new(bed);
    let creators: Vec<_> = (0..50)
        .map(|n: u64| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move {
                let mut value = draft("a", &[]);
                value["spec"]["creator"] = n.into();
                bed.try_create(&value).await
            })
        })
        .collect();
    let mut won = Vec::new();
    for creator in creators {
        match creator.await.unwrap() {
            Ok(object) => won.push(object),
            refused => assert_eq!(code(refused), "already-exists"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(bed.get("a").await.unwrap(), won[0]);
}

pub(crate) async fn a_restart_keeps_everything(mut bed: Bed) {
    for n in 0..20 {
        bed.create(&format!("c{n:02}"), &[("n", "1")]).await;
    }
    bed.delete("c00").await.unwrap();
    let before = bed.all("").await;
    let page = bed.list("", 5, None).await.unwrap();
    let missed = bed
        .change("c01", |v: &mut Value| v["spec"]["x"] = 1.into())
        .await;
    bed.restart().await;

    let mut expected = before.clone();
    expected[0] = missed.clone();
    assert_eq!(bed.all("").await, expected);
    match bed.list("", 5, page.next).await {
        Ok(rest) => assert_eq!(rest.revision, page.revision, "the same snapshot or none"),
        expired => assert_eq!(code(expired), "expired"),
    }
    assert_eq!(
        code(
            bed.update(&json_of(&missed), Some(&before[0].revision))
                .await
        ),
        "conflict"
    );
    let after = bed.create("new", &[]).await;
    let known: BTreeSet<&String> = before.iter().map(|object| &object.revision).collect();
    assert!(!known.contains(&after.revision), "no revision comes twice");
    if bed.supported().await.watch {
        let mut watch = bed.watch("", Some(&page.revision)).await.unwrap();
        assert_eq!(watch.change().await, ("stored", missed));
        assert_eq!(watch.change().await, ("stored", after));
    }
}
