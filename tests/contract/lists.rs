//! Lists: snapshots, pages, selectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bed::{Bed, code, json_of};

/// While a list is read page by page, others create, change and delete; the list must not notice, and a watch from its
/// revision must bring exactly what they did.
pub(crate) async fn pages_are_one_snapshot_in_order_while_others_write(bed: Bed) {
    let bed = Arc::new(bed);
    let mut before = BTreeMap::new();
    for n in 0..60 {
        let object = bed.create(&format!("c{n:02}"), &[]).await;
        before.insert(format!("c{n:02}"), object);
    }
    let first = bed.list("", 7, None).await.unwrap();
    let writer = tokio::spawn({
        let bed = Arc::clone(&bed);
        async move {
            for n in 0..60 {
                let name = format!("c{n:02}");
                match n % 3 {
                    0 => drop(bed.delete(&name).await.unwrap()),
                    1 => drop(bed.change(&name, |v| v["spec"]["new"] = true.into()).await),
                    _ => drop(bed.create(&format!("d{n:02}"), &[]).await),
                }
            }
        }
    });
    let (revision, mut seen, mut next) = (first.revision.clone(), first.items, first.next);
    assert!(seen.len() <= 7);
    while let Some(token) = next {
        let page = bed.list("", 7, Some(token)).await.unwrap();
        assert!(page.items.len() <= 7);
        assert_eq!(page.revision, revision, "all pages are of one snapshot");
        seen.extend(page.items);
        next = page.next;
    }
    writer.await.unwrap();
    let expected: Vec<_> = before.into_values().collect();
    assert_eq!(seen, expected);

    if bed.supported().await.watch {
        let mut watch = bed.watch("", Some(&revision)).await.unwrap();
        bed.create("zz-last", &[]).await;
        let kinds = watch.until("zz-last").await;
        let count = |kind: &str, prefix: &str| {
            let is_it = |(k, object): &&(&str, _)| {
                let object: &optikon_core::ports::Object = object;
                *k == kind && object.cluster.name().as_str().starts_with(prefix)
            };
            kinds.iter().filter(is_it).count()
        };
        let counts = (
            count("deleted", "c"),
            count("stored", "c"),
            count("stored", "d"),
        );
        assert_eq!((counts, kinds.len()), ((20, 20, 20), 60));
    }
}

pub(crate) async fn selectors_select_as_kubernetes_does(bed: Bed) {
    bed.create("a", &[("env", "prod"), ("zone", "x")]).await;
    bed.create("b", &[("env", "dev")]).await;
    bed.create("c", &[("env", "prod"), ("example.com/tier", "")])
        .await;
    bed.create("d", &[]).await;
    for (selector, expected) in [
        ("", "a b c d"),
        ("env=prod", "a c"),
        ("env==prod,zone=x", "a"),
        ("env!=prod", "b d"),
        ("env in (dev, test)", "b"),
        ("env notin (dev)", "a c d"),
        ("env", "a b c"),
        ("!env", "d"),
        ("example.com/tier=", "c"),
        ("env,!zone", "b c"),
        ("env=nothing", ""),
    ] {
        let found = bed.all(selector).await;
        let names: Vec<&str> = found
            .iter()
            .map(|object| object.cluster.name().as_str())
            .collect();
        assert_eq!(names.join(" "), expected, "{selector}");
    }
    for bad in ["=", "a=b=c", "a in b", "a,,b", "a like (b)", "a in (b"] {
        assert_eq!(code(bed.list(bad, 10, None).await), "invalid", "{bad}");
    }
    // A page of a selection goes on where it ended.
    let (mut names, mut next) = (Vec::new(), None);
    loop {
        let page = bed.list("env", 1, next).await.unwrap();
        assert!(page.items.len() <= 1);
        names.extend(
            page.items
                .iter()
                .map(|item| json_of(item)["metadata"]["name"].clone()),
        );
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
}

pub(crate) async fn a_token_of_elsewhere_is_refused(bed: Bed) {
    bed.create("a", &[]).await;
    for token in ["", "elsewhere", "1 a", "999999999999", "\u{0}"] {
        let code = code(bed.list("", 10, Some(token.to_owned())).await);
        assert!(matches!(code, "expired" | "invalid"), "{token}: {code}");
    }
}
