//! The command line of releases, as people and scripts use it: two real clusters and one that is dead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use optikon_tests::{Cluster, Gateway, Testbed, scratch};
use serde_json::{Value, json};

use crate::bed::own;
use crate::following::Following;

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command and checks its exit code.
pub(crate) async fn run(gateway: &Gateway, code: i32, arguments: &[&str]) -> Output {
    let output = gateway.run(arguments).await.unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "optikon {}: {}{}",
        arguments.join(" "),
        said(&output),
        told(&output)
    );
    output
}

/// Rows of a table by their words.
pub(crate) fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect()
}

async fn greeting(cluster: &Cluster) -> Value {
    let map = cluster
        .admin()
        .read("/api/v1/namespaces/default/configmaps/web")
        .await;
    map.unwrap()["data"]["greeting"].clone()
}

/// A chart as its author has it on disk.
pub(crate) fn chart_folder(root: &Path) -> PathBuf {
    let folder = root.join("web");
    for (name, text) in [
        (
            "Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\nappVersion: \"7\"\n",
        ),
        ("values.yaml", "greeting: hello\n"),
        (".helmignore", "*.secret\n"),
        ("notes.secret", "not for others\n"),
        ("templates/NOTES.txt", "Say {{ .Values.greeting }}.\n"),
        (
            "templates/map.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting | quote }}\n  secrets: {{ len (.Files.Glob \"*.secret\") | quote }}\n",
        ),
    ] {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder
}

async fn register(gateway: &Gateway, name: &str, cluster: &Cluster) {
    let kubeconfig = cluster.kubeconfig_file();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let label = format!("place={name}");
    run(
        gateway,
        0,
        &[
            "cluster",
            "add",
            name,
            "--kubeconfig",
            kubeconfig,
            "--label",
            "env=live",
            "--label",
            &label,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_of_many_clusters_by_the_command_line() {
    let testbed = Testbed::start().await.unwrap();
    let (one, two, own) = tokio::join!(
        testbed.cluster("rel-1").start(),
        testbed.cluster("rel-2").start(),
        own(Gateway::builder()),
    );
    let (one, two, gateway) = (one.unwrap(), two.unwrap(), &own.gateway);
    register(gateway, "rel-1", &one).await;
    register(gateway, "rel-2", &two).await;
    let scratch = scratch::folder().unwrap();
    let chart = chart_folder(scratch.path());
    let chart = chart.to_str().unwrap();

    let none = run(gateway, 2, &["chart", "install", "web", chart]).await;
    assert!(told(&none).contains("--selector"), "{}", told(&none));
    let unknown = run(
        gateway,
        1,
        &["chart", "install", "web", chart, "--clusters", "nowhere"],
    )
    .await;
    assert!(
        told(&unknown).contains("\"nowhere\" is not registered"),
        "{}",
        told(&unknown)
    );
    let missing = run(
        gateway,
        1,
        &["chart", "install", "web", "./nothing", "--all"],
    )
    .await;
    assert!(
        told(&missing).contains("no file or folder"),
        "{}",
        told(&missing)
    );

    let made = run(
        gateway,
        0,
        &[
            "chart",
            "install",
            "web",
            chart,
            "--all",
            "--set",
            "greeting=hi",
            "--wait",
        ],
    )
    .await;
    let table = said(&made);
    let made_rows: Vec<Vec<&str>> = rows(&table).into_iter().map(|r| r[..3].to_vec()).collect();
    assert_eq!(
        made_rows,
        [["rel-1", "succeeded", "1"], ["rel-2", "succeeded", "1"]],
        "{table}"
    );
    assert!(
        table.contains("install of web: succeeded (operation "),
        "{table}"
    );
    // No terminal, so lines and no bars.
    assert!(
        told(&made).contains("rel-1: succeeded, revision 1"),
        "{}",
        told(&made)
    );
    assert!(!told(&made).contains('\u{1b}'), "{}", told(&made));
    assert_eq!(
        (greeting(&one).await, greeting(&two).await),
        (json!("hi"), json!("hi"))
    );
    let map = one
        .admin()
        .read("/api/v1/namespaces/default/configmaps/web")
        .await
        .unwrap();
    assert_eq!(map["data"]["secrets"], "0", ".helmignore was not heeded");
    let again = run(
        gateway,
        1,
        &["chart", "install", "web", chart, "--clusters", "rel-1"],
    )
    .await;
    assert!(said(&again).contains("failed"), "{}", said(&again));

    let list = run(gateway, 0, &["chart", "list"]).await;
    let table = said(&list);
    let listed: Vec<Vec<&str>> = rows(&table).into_iter().map(|r| r[..7].to_vec()).collect();
    assert_eq!(
        listed,
        [
            ["web", "default", "rel-1", "1", "deployed", "web-1.0.0", "7"],
            ["web", "default", "rel-2", "1", "deployed", "web-1.0.0", "7"],
        ],
        "{table}"
    );

    changes_with_a_dead_cluster(gateway, chart, &one).await;
    reads(gateway).await;
    waves(gateway, chart, &one, &two).await;

    let asked = run(
        gateway,
        1,
        &["chart", "delete", "web", "--selector", "env=live"],
    )
    .await;
    assert!(
        told(&asked).contains("from 2 clusters? Give --yes"),
        "{}",
        told(&asked)
    );
    let gone = run(
        gateway,
        0,
        &["chart", "delete", "web", "--selector", "env=live", "--yes"],
    )
    .await;
    assert!(
        said(&gone).contains("uninstall of web: succeeded"),
        "{}",
        said(&gone)
    );
    let left = run(gateway, 0, &["chart", "list", "--selector", "env=live"]).await;
    assert_eq!(said(&left), "no releases\n");
}

async fn changes_with_a_dead_cluster(gateway: &Gateway, chart: &str, one: &Cluster) {
    run(
        gateway,
        0,
        &[
            "cluster",
            "add",
            "rel-dead",
            "--server",
            "https://127.0.0.1:1",
        ],
    )
    .await;
    let list = run(gateway, 3, &["chart", "list"]).await;
    assert_eq!(rows(&said(&list)).len(), 2);
    assert!(
        told(&list).contains("rel-dead did not answer: Connect: "),
        "{}",
        told(&list)
    );
    let only = run(gateway, 1, &["chart", "list", "--clusters", "rel-dead"]).await;
    assert!(said(&only).contains("no releases"), "{}", said(&only));

    let some = run(
        gateway,
        3,
        &[
            "chart",
            "upgrade",
            "web",
            chart,
            "--all",
            "--on-failure",
            "continue",
            "--set",
            "greeting=again",
            "-o",
            "json",
        ],
    )
    .await;
    let operation: Value = serde_json::from_str(&said(&some)).unwrap();
    assert_eq!(operation["state"], "partial");
    assert_eq!(operation["plans"], 1);
    let states: Vec<(&str, &str)> = operation["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["cluster"].as_str().unwrap(), t["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("rel-1", "succeeded"),
            ("rel-2", "succeeded"),
            ("rel-dead", "failed")
        ]
    );
    assert!(
        told(&some).contains("rel-dead: failed: Connect: "),
        "{}",
        told(&some)
    );
    assert_eq!(greeting(one).await, "again");

    let id = operation["id"].as_str().unwrap();
    let followed = run(gateway, 3, &["operation", "follow", id]).await;
    assert!(said(&followed).contains("partial"), "{}", said(&followed));
    let got = run(gateway, 0, &["operation", "get", id]).await;
    let table = said(&got);
    assert!(
        table.starts_with("CLUSTER") && table.contains("rel-dead"),
        "{table}"
    );
    let operations = run(gateway, 0, &["operation", "list", "--state", "partial"]).await;
    assert_eq!(rows(&said(&operations))[0][..3], [id, "upgrade", "web"]);
    let over = run(gateway, 1, &["operation", "cancel", id]).await;
    assert!(told(&over).contains("is over"), "{}", told(&over));
}

async fn reads(gateway: &Gateway) {
    let live = ["--selector", "env=live"];
    let history = run(gateway, 0, &["chart", "history", "web", live[0], live[1]]).await;
    let table = said(&history);
    let revisions: Vec<(&str, &str, &str)> =
        rows(&table).iter().map(|r| (r[0], r[1], r[2])).collect();
    assert_eq!(
        revisions,
        [
            ("rel-1", "2", "deployed"),
            ("rel-1", "1", "superseded"),
            ("rel-2", "2", "deployed"),
            ("rel-2", "1", "superseded"),
        ],
        "{table}"
    );
    let values = run(
        gateway,
        0,
        &["chart", "get", "web", "values", "--clusters", "rel-1"],
    )
    .await;
    assert_eq!(said(&values), "greeting: again\n");
    let notes = run(
        gateway,
        0,
        &["chart", "get", "web", "notes", live[0], live[1]],
    )
    .await;
    assert_eq!(
        said(&notes),
        "# cluster: rel-1\nSay again.\n# cluster: rel-2\nSay again.\n"
    );
    let older = run(
        gateway,
        0,
        &[
            "chart",
            "get",
            "web",
            "values",
            "--revision",
            "1",
            "--clusters",
            "rel-1",
        ],
    )
    .await;
    assert_eq!(said(&older), "greeting: hi\n");
    let manifest = run(
        gateway,
        0,
        &["chart", "get", "web", "manifest", "--clusters", "rel-2"],
    )
    .await;
    assert!(
        said(&manifest).contains("kind: ConfigMap"),
        "{}",
        said(&manifest)
    );
    let none = run(gateway, 1, &["chart", "get", "nothing", live[0], live[1]]).await;
    assert!(
        told(&none).contains("\"nothing\" is not on rel-1, rel-2"),
        "{}",
        told(&none)
    );
    let some = run(gateway, 3, &["chart", "get", "web"]).await;
    assert_eq!(rows(&said(&some)).len(), 2);
    let back = run(gateway, 0, &["chart", "rollback", "web", live[0], live[1]]).await;
    assert!(
        said(&back).contains("rollback of web: succeeded"),
        "{}",
        said(&back)
    );
}

/// A pause between waves is said; an interrupted follower leaves the operation alone, or cancels it where it was told to.
async fn waves(gateway: &Gateway, chart: &str, one: &Cluster, two: &Cluster) {
    let begun = run(
        gateway,
        0,
        &[
            "chart",
            "upgrade",
            "web",
            chart,
            "--selector",
            "env=live",
            "--set",
            "greeting=wave",
            "--wave",
            "place=rel-2:manual",
            "--detach",
            "-o",
            "name",
        ],
    )
    .await;
    let id = said(&begun).trim().to_owned();
    let first = Following::start(gateway, &["operation", "follow", &id]);
    first.wait_for("rel-2: succeeded").await;
    first
        .wait_for(&format!("optikon operation resume {id}"))
        .await;
    assert_eq!(
        (greeting(one).await, greeting(two).await),
        (json!("hi"), json!("wave"))
    );
    first.interrupt();
    let (code, lines) = first.code().await;
    assert_eq!(code, 130, "{lines}");
    assert!(
        lines.contains(&format!("optikon operation follow {id}")),
        "{lines}"
    );
    let held = run(
        gateway,
        1,
        &["chart", "rollback", "web", "--clusters", "rel-2"],
    )
    .await;
    assert!(
        told(&held).contains(&format!("held by operation {id}")),
        "{}",
        told(&held)
    );

    let second = Following::start(gateway, &["operation", "watch", &id]);
    second.wait_for("paused").await;
    run(gateway, 0, &["operation", "resume", &id]).await;
    let (code, lines) = second.code().await;
    assert_eq!(code, 0, "{lines}");
    assert_eq!(greeting(one).await, "wave");

    let mut cancels = vec!["chart", "upgrade", "web", chart, "--selector", "env=live"];
    cancels.extend(["--set", "greeting=never", "--wave", "place=rel-2:manual"]);
    cancels.push("--cancel-on-interrupt");
    let third = Following::start(gateway, &cancels);
    third.wait_for("paused").await;
    third.interrupt();
    let (code, lines) = third.code().await;
    assert_eq!(code, 3, "one of two was changed: {lines}");
    assert!(lines.contains("cancelling"), "{lines}");
    assert_eq!(
        (greeting(one).await, greeting(two).await),
        (json!("wave"), json!("never"))
    );
}
