//! Releases on the demo's clusters: the example's rollout, and both command lines beside each other.

use anyhow::{Context, Result};
use optikon_xtask::folders::Folders;

use crate::{Demo, answer, column, rows};

/// The steps with a release say what the first page shows of them.
pub(crate) fn assert_first_steps(said: &str) {
    let made = answer(said, "optikon chart install hello");
    assert!(made.contains("install of hello: succeeded"), "{made}");
    let listed = rows(said, "optikon chart list");
    assert_eq!(column(&listed, 2), ["edge-1", "edge-2"], "{said}");
    assert!(listed.iter().all(|row| row[4] == "deployed"), "{said}");
    let changed = answer(said, "optikon chart upgrade hello");
    assert!(changed.contains("upgrade of hello: succeeded"), "{changed}");
    let history = rows(said, "optikon chart history hello");
    assert_eq!(column(&history, 1), ["2", "1"], "{said}");
    let notes = answer(said, "optikon chart get hello notes");
    assert_eq!(notes.trim(), "3 pods say hello.");
    let gone = answer(said, "optikon chart delete hello");
    assert!(gone.contains("uninstall of hello: succeeded"), "{gone}");
}

/// `examples/fleet-rollout`: a cluster of the second wave fails, and each answer to that does what it says.
pub(crate) async fn roll_out(demo: &Demo) -> Result<()> {
    let script = "examples/fleet-rollout/fleet-rollout.sh";
    let said = demo.run(script, &[&demo.kubeconfigs[1]]).await?;
    let upgrade = |more: &str| {
        format!(
            "optikon chart upgrade shop {CHART} --selector env=demo -n fleet --set replicas=3 --wave region=a{more}"
        )
    };
    let list = "optikon chart list -n fleet";
    let states = |command: &str| {
        let found = rows(&said, command);
        assert_eq!(column(&found, 0), ["edge-1", "edge-2"], "{command}: {said}");
        [found[0][1].clone(), found[1][1].clone()]
    };
    assert_eq!(
        states("optikon chart install shop"),
        ["succeeded", "succeeded"]
    );
    let preview = rows(&said, "optikon chart preview shop");
    assert_eq!(column(&preview, 5), ["/spec/replicas"; 2], "{said}");

    let stopped = upgrade(" --wait --timeout 10s\n");
    assert_eq!(states(&stopped), ["succeeded", "failed"]);
    let stopped = answer(&said, &stopped);
    assert!(
        stopped.contains("2 of 3 replicas made") && stopped.contains("(exit code 3)"),
        "{stopped}"
    );
    let after = rows(&said, list);
    assert_eq!(column(&after, 4), ["deployed", "failed"], "{said}");

    let undone = upgrade(" --wait --timeout 10s --on-failure rollback-all");
    assert_eq!(states(&undone), ["rolled-back", "rolled-back"]);
    let undone = answer(&said, &undone);
    assert!(
        undone.contains("upgrade of shop: rolled-back") && undone.contains("(exit code 1)"),
        "{undone}"
    );

    let begun = answer(&said, &upgrade(":manual --wait --detach"));
    let id = begun.split_whitespace().nth(1).context("an id")?;
    assert_eq!(
        states(&format!("optikon operation get {id}")),
        ["succeeded", "pending"],
        "the second wave waits"
    );
    assert_eq!(
        states(&format!("optikon operation follow {id}")),
        ["succeeded", "succeeded"]
    );
    assert_eq!(
        states("optikon chart delete shop"),
        ["succeeded", "succeeded"]
    );
    Ok(())
}

const CHART: &str = "examples/fleet-rollout/shop";

/// One release, changed by this command line and by the real Helm in turns, and a fleet of which a cluster is dead.
pub(crate) async fn live_beside_helm(demo: &Demo) -> Result<()> {
    let sample = Folders::here()
        .root
        .join("../shared/charts/podinfo/podinfo.tgz");
    let chart = if sample.is_file() {
        sample.display().to_string()
    } else {
        CHART.to_owned()
    };
    let install = format!("optikon chart install web {chart} --selector env=demo --wait");
    // On a terminal: `script` gives it one.
    let seen = demo.run("script", &["-qec", &install, "/dev/null"]).await?;
    for bar in ["] 0/2", "] 2/2"] {
        assert!(seen.contains(bar), "{seen}");
    }
    let told = seen.replace('\r', "\n");
    let ended: Vec<&str> = told.lines().filter(|l| l.starts_with("edge-")).collect();
    assert_eq!(ended.len(), 2, "{told}");
    assert!(ended.iter().all(|l| l.contains("succeeded")), "{told}");

    let helm = |arguments: &[&str], cluster: usize| {
        let given = ["--kubeconfig", &demo.kubeconfigs[cluster]];
        let arguments: Vec<String> = [arguments, &given]
            .concat()
            .iter()
            .map(|a| (*a).to_owned())
            .collect();
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            demo.run("helm", &arguments).await
        }
    };
    for cluster in [0, 1] {
        let listed = helm(&["list", "-A"], cluster).await?;
        let is_there = listed
            .lines()
            .any(|l| l.starts_with("web") && l.contains("deployed"));
        assert!(is_there, "{listed}");
    }
    helm(
        &[
            "upgrade",
            "web",
            &chart,
            "--set",
            "replicaCount=2,replicas=3",
        ],
        0,
    )
    .await?;
    let back = ["chart", "rollback", "web", "--clusters", "edge-1", "--wait"];
    let back = demo.run("optikon", &back).await?;
    assert!(back.contains("rollback of web: succeeded"), "{back}");
    let history = helm(&["history", "web"], 0).await?;
    assert!(history.contains("Rollback to 1"), "{history}");

    // Nobody listens on port 1.
    let token = demo.exports["OPTIKON_TOKEN_FILE"].as_str();
    let dead = [
        "cluster",
        "add",
        "edge-3",
        "--server",
        "https://127.0.0.1:1",
        "--token-file",
        token,
        "--label",
        "env=demo",
    ];
    demo.run("optikon", &dead).await?;
    let upgrade = [
        "chart",
        "upgrade",
        "web",
        &chart,
        "--selector",
        "env=demo",
        "--set",
        "replicaCount=2,replicas=3",
        "--wait",
    ];
    let (code, said) = demo.run_any("optikon", &upgrade).await?;
    assert_eq!(code, Some(3), "{said}");
    for (cluster, words) in [
        ("edge-1 ", "succeeded"),
        ("edge-2 ", "succeeded"),
        ("edge-3 ", "Connect"),
    ] {
        let row = said.lines().find(|l| l.starts_with(cluster));
        assert!(row.is_some_and(|l| l.contains(words)), "{cluster}: {said}");
    }
    let (code, listed) = demo.run_any("optikon", &["chart", "list"]).await?;
    assert_eq!(code, Some(3), "{listed}");
    assert!(
        listed.contains("edge-3 did not answer: Connect"),
        "{listed}"
    );
    demo.run("optikon", &["cluster", "delete", "edge-3"])
        .await?;
    demo.run("optikon", &["chart", "delete", "web", "--all", "--yes"])
        .await?;
    Ok(())
}
