//! A disk that is full: writes are refused and reads go on, until there is room again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use optikon_tests::gateway::{Gateway, program};
use optikon_tests::wait_for;
use reqwest::Method;
use serde_json::json;

use crate::bed::{PATIENCE, data_folder, gateway};

/// A file system of this size, in a mount name space of the gateway's own.
const DISK: &str = "96m";

/// Writes until nothing fits any more.
fn fill(file: &Path) {
    let mut filler = File::create(file).unwrap();
    let mut piece = vec![7; 1 << 20];
    loop {
        match filler.write_all(&piece) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                if piece.len() == 1 {
                    return;
                }
                piece.truncate(piece.len() / 2);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The shipped binary in a shell that mounts a small disk over the data folder first.
fn wrapper(folder: &Path, data: &Path) -> PathBuf {
    let program = program().unwrap();
    let script = folder.join("on-a-small-disk");
    let text = format!(
        "#!/bin/sh\nset -e\ncp -a '{data}' '{data}.kept'\nmount -t tmpfs -o size={DISK},mode=0700 tmpfs '{data}'\n\
         cp -a '{data}.kept/.' '{data}/'\nexec '{program}' \"$@\"\n",
        data = data.display(),
        program = program.display(),
    );
    fs::write(&script, text).unwrap();
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_serves_reads() {
    // The shared one has compiled the plugins by now.
    gateway().await;
    let (folder, data) = data_folder().await;
    let script = wrapper(folder.path(), &data);
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh"])
        .arg(script);
    let small = Gateway::builder()
        .data_folder(&data)
        .started_by(&command)
        .start()
        .await
        .unwrap();
    let client = small.client().unwrap();
    let cluster =
        |name: &str| json!({"name": name, "server": "https://10.0.0.1", "token": "t".repeat(2000)});
    client.create("/cluster", &cluster("before")).await.unwrap();

    let filler = small.data_seen_by_it().unwrap().join("filler");
    fill(&filler);
    // A page that is free already still takes a write or two.
    let mut refused = None;
    for number in 0..500 {
        let body = cluster(&format!("full-{number}"));
        let reply = client.json(Method::POST, "/cluster", &body).await.unwrap();
        if reply.status != 201 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("the disk is full and takes everything");
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("full"), "{}", refused.text);
    for path in [
        "/cluster",
        "/cluster/before?probe=cached",
        "/plugins",
        "/tokens",
        "/readyz",
    ] {
        let reply = client.get(path).await.unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
    let ready = client.get("/readyz").await.unwrap();
    assert!(ready.text.contains("[!]store warns"), "{}", ready.text);

    fs::remove_file(&filler).unwrap();
    wait_for("writes again", PATIENCE, || async {
        let reply = client
            .json(Method::POST, "/cluster", &cluster("after"))
            .await?;
        Ok((reply.status == 201).then_some(()))
    })
    .await
    .unwrap();
}
