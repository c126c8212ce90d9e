//! The command line of archives and repositories.

use std::fs;

use optikon_tests::{Gateway, scratch};

use crate::bed::own;
use crate::releases::{chart_folder, rows, run, said, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_and_repositories_by_the_command_line() {
    let own = own(Gateway::builder()).await;
    let gateway = &own.gateway;
    let scratch = scratch::folder().unwrap();
    let chart = chart_folder(scratch.path());
    let chart = chart.to_str().unwrap();
    let added = run(gateway, 0, &["archive", "add", chart]).await;
    let digest = said(&added).trim().to_owned();
    assert!(digest.starts_with("sha256:"), "{digest}");
    let again = run(gateway, 0, &["archive", "add", chart]).await;
    assert_eq!(
        said(&again).trim(),
        digest,
        "the same folder is the same archive"
    );
    let list = run(gateway, 0, &["archive", "list"]).await;
    assert_eq!(rows(&said(&list))[0][1..4], ["web", "1.0.0", "7"]);
    run(gateway, 0, &["archive", "delete", &digest]).await;
    run(gateway, 1, &["archive", "get", &digest]).await;

    let secret = scratch.path().join("password");
    fs::write(&secret, "hunter2-of-the-command-line\n").unwrap();
    let secret = secret.to_str().unwrap();
    run(
        gateway,
        0,
        &[
            "repo",
            "add",
            "stable",
            "https://charts.example/stable/",
            "--username",
            "reader",
            "--password-file",
            secret,
        ],
    )
    .await;
    let list = run(gateway, 0, &["repo", "list"]).await;
    assert_eq!(
        rows(&said(&list)),
        [["stable", "https://charts.example/stable", "basic", "reader"]]
    );
    let json = run(gateway, 0, &["repo", "get", "stable", "-o", "json"]).await;
    assert!(!said(&json).contains("hunter2"), "{}", said(&json));
    let wrong = run(
        gateway,
        1,
        &["repo", "add", "plain", "http://charts.example"],
    )
    .await;
    assert!(told(&wrong).contains("only https"), "{}", told(&wrong));
    run(gateway, 0, &["repo", "remove", "stable"]).await;
    run(gateway, 1, &["repo", "remove", "stable"]).await;
}
