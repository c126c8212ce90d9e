//! `/archives`: what is kept, and every kind of archive that is not.

use optikon_tests::tar;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::sources::{client, code, detail, upload};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_is_kept_once_however_it_is_sent() {
    let client = client().await;
    let bytes = tar::chart("kept", "1.0.0");
    let raw = upload(bytes.clone()).await;
    assert_eq!(raw.status, 201, "{}", raw.text);
    let kept = raw.json().unwrap();
    assert_eq!(
        (&kept["chart"]["name"], &kept["chart"]["version"]),
        (&json!("kept"), &json!("1.0.0"))
    );
    let form = Form::new().part(
        "chart",
        Part::bytes(bytes.clone()).file_name("kept-1.0.0.tgz"),
    );
    let request = client.request(Method::POST, "/archives").multipart(form);
    let again = client.send(request).await.unwrap();
    assert_eq!(
        (again.status.as_u16(), again.json().unwrap()),
        (201, kept.clone())
    );
    let signed = Form::new()
        .part("chart", Part::bytes(bytes.clone()))
        .text("prov", "-----BEGIN PGP SIGNED MESSAGE-----");
    let request = client.request(Method::POST, "/archives").multipart(signed);
    let refused = client.send(request).await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(detail(&refused).contains("keyring"), "{}", refused.text);
    let other = Form::new().part("file", Part::bytes(bytes));
    let request = client.request(Method::POST, "/archives").multipart(other);
    let refused = client.send(request).await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(detail(&refused).contains("file"), "{}", refused.text);
    let path = format!("/archives/{}", kept["digest"].as_str().unwrap());
    client.delete(&path).await.unwrap();
    assert_eq!(client.get(&path).await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_may_come_with_its_chart() {
    let client = client().await;
    let request = |chart: Option<Value>| {
        let mut body = json!({"release": {"name": "beside"}, "targets": {"names": ["nowhere"]}});
        if let Some(chart) = chart {
            body["chart"] = chart;
        }
        Form::new()
            .text("request", body.to_string())
            .part("chart", Part::bytes(tar::chart("beside", "1.0.0")))
    };
    let send = |form| client.send(client.request(Method::POST, "/charts").multipart(form));
    let taken = send(request(None)).await.unwrap();
    assert!(
        detail(&taken).contains("targets.names[0]"),
        "{}",
        taken.text
    );
    let alone = Form::new()
        .text("request", "{}")
        .text("prov", "-----BEGIN PGP SIGNED MESSAGE-----");
    let alone = send(alone).await.unwrap();
    assert_eq!(alone.status, 422, "{}", alone.text);
    assert!(detail(&alone).contains("prov: "), "{}", alone.text);
    let twice = send(request(Some(json!({"url": "https://a/b.tgz"}))))
        .await
        .unwrap();
    assert_eq!(twice.status, 422);
    assert!(detail(&twice).contains("chart: "), "{}", twice.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_bad_archive_is_refused_by_name() {
    const CHART: tar::Entry<'_> = (
        "c/Chart.yaml",
        b'0',
        b"apiVersion: v2\nname: c\nversion: 1.0.0\n",
    );
    let zeroes = vec![0_u8; 20 << 20];
    let deep = format!("a: {}", "[".repeat(100_000));
    let path = "c/".to_owned() + &"d/".repeat(45) + "x";
    let many: Vec<String> = (0..20_001).map(|n| format!("c/f{n}")).collect();
    let mut entries = vec![CHART];
    entries.extend(many.iter().map(|name| (name.as_str(), b'0', &b""[..])));
    let inner = tar::archive(&[CHART, ("c/zeroes", b'0', &zeroes)]);
    for (name, bytes, word) in [
        ("nothing", Vec::new(), "gzip"),
        (
            "no gzip",
            b"no gzip at all, but long enough to be looked at".to_vec(),
            "gzip",
        ),
        ("no tar", tar::gzip(b"no tar at all"), ""),
        ("empty", tar::gzip(b""), ""),
        (
            "no chart",
            tar::archive(&[("c/x", b'0', b"x")]),
            "Chart.yaml",
        ),
        (
            "symbolic link",
            tar::archive(&[CHART, ("c/l", b'2', b"")]),
            "symbolic link",
        ),
        (
            "hard link",
            tar::archive(&[CHART, ("c/l", b'1', b"")]),
            "hard link",
        ),
        (
            "device",
            tar::archive(&[CHART, ("c/d", b'3', b"")]),
            "device",
        ),
        (
            "parent",
            tar::archive(&[CHART, ("c/../../x", b'0', b"")]),
            "parent directory",
        ),
        (
            "absolute",
            tar::archive(&[CHART, ("/etc/x", b'0', b"")]),
            "absolute path",
        ),
        (
            "drive",
            tar::archive(&[CHART, ("c/c:/x", b'0', b"")]),
            "illegally named",
        ),
        ("twice", tar::archive(&[CHART, CHART]), "twice"),
        (
            "case",
            tar::archive(&[CHART, ("c/chart.YAML", b'0', b"")]),
            "case",
        ),
        (
            "two sizes",
            tar::archive(&[
                CHART,
                ("pax", b'x', b"12 size=999\n"),
                ("c/x", b'0', b"abc"),
            ]),
            "two sizes",
        ),
        (
            "bomb",
            tar::archive(&[CHART, ("c/zeroes", b'0', &zeroes)]),
            "too many for its size",
        ),
        (
            "bomb in a bomb",
            tar::archive(&[CHART, ("c/charts/c.tgz", b'0', &inner)]),
            "subchart",
        ),
        ("entries", tar::archive(&entries), "entries"),
        ("deep path", tar::archive(&[CHART, (&path, b'0', b"")]), ""),
        (
            "deep values",
            tar::archive(&[CHART, ("c/values.yaml", b'0', deep.as_bytes())]),
            "",
        ),
        (
            "no version",
            tar::archive(&[("c/Chart.yaml", b'0', b"apiVersion: v2\nname: c\n")]),
            "version",
        ),
        (
            "odd name",
            tar::archive(&[(
                "c/Chart.yaml",
                b'0',
                b"apiVersion: v2\nname: ../c\nversion: 1.0.0\n",
            )]),
            "name",
        ),
        ("cut", tar::chart("cut", "1.0.0")[..200].to_vec(), ""),
    ] {
        let refused = upload(bytes).await;
        if name == "deep path" {
            // Legal, as long as it is within its bounds.
            continue;
        }
        assert_eq!(refused.status, 422, "{name}: {}", refused.text);
        assert!(detail(&refused).contains(word), "{name}: {}", refused.text);
    }
    let large = upload(vec![0; (32 << 20) + 1]).await;
    assert_eq!(
        (large.status.as_u16(), code(&large)),
        (413, "too-large".into())
    );
    // All of that was one call's matter each.
    assert_eq!(upload(tar::chart("after", "1.0.0")).await.status, 201);
}
