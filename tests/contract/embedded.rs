//! What registry-embedded does beyond the contract.

use optikon_core::ports::Call;
use optikon_store::Limits;
use serde_json::{Value, json};

use crate::bed::{Bed, cluster, code, draft, json_of};

pub(crate) async fn finalizers_hold_a_cluster(bed: Bed) {
    let mut wanted = draft("a", &[]);
    wanted["metadata"]["finalizers"] = json!(["example.com/hold"]);
    bed.try_create(&wanted).await.unwrap();
    let going = bed.delete("a").await.unwrap();
    assert!(json_of(&going)["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(bed.get("a").await.unwrap(), going);
    let mut watch = bed.watch("", Some(&going.revision)).await.unwrap();
    bed.change("a", |v| v["metadata"]["finalizers"] = json!([]))
        .await;
    assert_eq!(code(bed.get("a").await), "not-found");
    let (kind, last) = watch.change().await;
    assert_eq!((kind, last.cluster.name().as_str()), ("deleted", "a"));
}

pub(crate) async fn names_of_new_clusters_are_labels(bed: Bed) {
    for name in ["1.edge", "a.b"] {
        for dry_run in [true, false] {
            let wanted = cluster(&draft(name, &[]));
            let made = bed
                .registry()
                .create(Call::client(), &wanted, dry_run)
                .await;
            assert_eq!(code(made), "invalid", "{name}");
        }
    }
    bed.create("1edge-a", &[]).await;
}

/// With a store that keeps ten changes.
pub(crate) async fn what_is_too_old_is_expired(bed: Bed) {
    let bed = bed
        .with_limits(Limits {
            log_changes: 10,
            ..Limits::default()
        })
        .await;
    let first = bed.create("a", &[]).await;
    for n in 0..60 {
        bed.change("a", |v: &mut Value| v["spec"]["n"] = n.into())
            .await;
    }
    let code = match bed.watch("", Some(&first.revision)).await {
        Err(error) => error.code(),
        Ok(mut watch) => code(
            watch
                .next()
                .await
                .expect("an error is the last item")
                .map(drop),
        ),
    };
    assert_eq!(code, "expired");
    let now = bed.list("", 10, None).await.unwrap().revision;
    let mut watch = bed.watch("", Some(&now)).await.unwrap();
    let new = bed.create("b", &[]).await;
    assert_eq!(watch.change().await, ("stored", new));
}
