//! The demo with a Tiller, and the two examples that are for it.

use anyhow::Result;

use crate::{DEMO, Demo, answer};

/// The words of the rows of a table, without its head.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text
        .lines()
        .skip(1)
        .take_while(|row| !row.trim().is_empty());
    rows.map(|row| row.split_whitespace().collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_with_tiller_and_its_examples_work_as_shown() -> Result<()> {
    let _alone = DEMO.lock().await;
    let original = format!("127.0.0.1:{}", optikon_tests::ports::probably_free()?);
    let mut demo = Demo::start(&["--tiller", "--v0", &original]).await?;
    let [first, second] = [&demo.kubeconfigs[0], &demo.kubeconfigs[1]];

    let said = demo
        .run("examples/tiller/tiller.sh", &[first, second])
        .await?;
    // The demo's own release is one that Helm 2 made.
    let before = rows(answer(&said, "optikon chart list"));
    assert_eq!(
        (before[0][0], before[0][2]),
        ("greeting", "edge-2"),
        "{said}"
    );
    let made = answer(&said, "optikon chart install hello");
    assert!(made.contains("install of hello: succeeded"), "{made}");
    let helm = answer(&said, "helm --kubeconfig KUBECONFIG-1 list --short");
    assert_eq!(helm.trim(), "hello");
    let helm2 = answer(&said, "helm2 --kubeconfig KUBECONFIG-2 list --short");
    let seen: Vec<_> = helm2.split_whitespace().collect();
    assert_eq!(seen, ["greeting", "hello"], "{said}");
    let looked = answer(
        &said,
        "optikon chart adopt hello --clusters edge-2 --dry-run",
    );
    assert!(looked.contains("sh.helm.release.v1.hello.v1"), "{looked}");
    let (_, after) = said
        .split_once("$ optikon chart adopt hello --clusters edge-2\n")
        .unwrap();
    assert!(after.contains("adopt of hello: succeeded"), "{after}");
    let left = answer(after, "helm2 --kubeconfig KUBECONFIG-2 list --short");
    assert_eq!(left.trim(), "greeting");
    let upgraded = answer(after, "helm --kubeconfig KUBECONFIG-2 upgrade hello");
    assert!(upgraded.contains("has been upgraded"), "{upgraded}");
    let gone = answer(after, "optikon chart delete hello");
    assert!(gone.contains("uninstall of hello: succeeded"), "{gone}");

    let said = demo.run("examples/v0-api/v0-api.sh", &[second]).await?;
    let codes: Vec<_> = said
        .lines()
        .filter_map(|line| line.get(line.len().checked_sub(3)?..))
        .filter(|code| ["200", "201"].contains(code))
        .collect();
    assert_eq!(
        codes,
        ["201", "200", "201", "200", "200", "200", "200"],
        "{said}"
    );
    let cluster = answer(&said, "curl $OPTIKON_V0/v0/clusters/copenhagen-2");
    assert!(cluster.contains("\"Conf\":\"\""), "{cluster}");
    let release = answer(
        &said,
        "curl $OPTIKON_V0/v0/releases/hello-v0?labels=Region=Europe",
    );
    for part in [
        "\"Name\":\"greeting\"",
        "\"OnCluster\":\"copenhagen-2\"",
        "\"Template\":[{",
    ] {
        assert!(release.contains(part), "{part} in {release}");
    }
    demo.end().await
}
