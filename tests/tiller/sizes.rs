//! Large charts, large lists, and what is larger than Tiller takes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{apply, archive, bed, chart, no_tunnel_is_open, target, uninstall, upload};
use crate::records;

const ONE: [&str; 1] = ["tiller-2"];

/// A chart with so many more files of about so many bytes: noise, which does not pack, or lines with a number each.
fn with_files(name: &str, count: usize, bytes: usize, is_noise: bool) -> Vec<u8> {
    let metadata = format!("apiVersion: v1\nname: {name}\nversion: 1.0.0\n");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\n";
    let mut seed = 1u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(33 + u8::try_from((seed >> 33) % 90).unwrap())
    };
    let file: String = if is_noise {
        (0..bytes).map(|_| noise()).collect()
    } else {
        let line = "x".repeat(120);
        (0..bytes / 128)
            .map(|i| format!("{i:07}{line}\n"))
            .collect()
    };
    let paths: Vec<String> = (0..count).map(|i| format!("big-{i}.txt")).collect();
    let mut files = vec![
        ("Chart.yaml", metadata.as_str()),
        ("templates/map.yaml", map),
    ];
    files.extend(paths.iter().map(|path| (path.as_str(), file.as_str())));
    archive(name, &files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_5_mb_is_installed_and_what_tiller_cannot_keep_is_said() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let digest = upload(gateway, with_files("large", 1, 5_000_000, false))
        .await
        .unwrap();
    let done = apply(gateway, Method::POST, "large", &digest, &ONE, json!({}))
        .await
        .unwrap();
    assert_eq!(target(&done, "tiller-2")["state"], "succeeded", "{done}");
    let seen = bed.tillers[1]
        .helm2(&["list", "--short", "^large$"])
        .await
        .unwrap();
    assert_eq!(seen.trim(), "large");
    uninstall(gateway, "large", &ONE).await.unwrap();

    // Tiller installs it, cannot write it down, and says nothing.
    let digest = upload(gateway, with_files("heavy", 1, 3_000_000, true))
        .await
        .unwrap();
    let done = apply(gateway, Method::POST, "heavy", &digest, &ONE, json!({}))
        .await
        .unwrap();
    let row = target(&done, "tiller-2");
    assert_eq!(
        (&row["state"], &row["reason"]),
        (&json!("failed"), &json!("TooLarge")),
        "{done}"
    );
    assert!(row["message"].as_str().unwrap().contains("1 MiB"), "{done}");

    // More than one message may have: nothing is sent.
    let digest = upload(gateway, with_files("huge", 5, 4_600_000, false))
        .await
        .unwrap();
    let clusters = ["tiller-1", "tiller-2"];
    let done = apply(gateway, Method::POST, "huge", &digest, &clusters, json!({}))
        .await
        .unwrap();
    for cluster in clusters {
        assert_eq!(target(&done, cluster)["reason"], "TooLarge", "{done}");
    }
    no_tunnel_is_open(gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_600_is_whole_over_many_pages_and_no_tunnel_stays_open() {
    const COUNT: usize = 600;
    let bed = bed().await;
    let (gateway, cluster) = (&bed.gateway, &bed.tillers[1]);
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    apply(gateway, Method::POST, "many-000", &digest, &ONE, json!({}))
        .await
        .unwrap();
    records::copies(cluster, COUNT).await;
    let seen = cluster
        .helm2(&["list", "--short", "--max", "1000", "^many-"])
        .await
        .unwrap();
    assert_eq!(seen.lines().count(), COUNT, "Tiller takes them for its own");

    let wanted: Vec<_> = (0..COUNT).map(|i| format!("many-{i:03}")).collect();
    let path = "/charts?clusters=tiller-2&filter=many-";
    let list = gateway.client().unwrap().read(path).await.unwrap();
    let names: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, wanted);
    // Whole, as the original shows them.
    let list = crate::bed::original(Method::GET, "/v0/releases?labels=kind=tiller", None)
        .await
        .unwrap()
        .success()
        .unwrap();
    let whole = |row: &&Value| {
        row["Name"].as_str().unwrap().starts_with("many-")
            && row["Chart"]["Template"]
                .as_array()
                .is_some_and(|t| t.len() == 3)
    };
    assert_eq!(list.as_array().unwrap().iter().filter(whole).count(), COUNT);
    no_tunnel_is_open(gateway).await;

    let path = format!("{}?labelSelector={}", records::PATH, records::COPIED);
    cluster.admin().delete(&path).await.unwrap();
    uninstall(gateway, "many-000", &ONE).await.unwrap();
}
