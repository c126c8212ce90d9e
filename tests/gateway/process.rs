//! The process: what it refuses to start with, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use optikon_tests::{Gateway, wait_for};
use rustix::process::Signal;
use serde_json::json;

use crate::bed::{PATIENCE, data_folder, gateway, own};
use crate::watching::Watch;

/// Runs `serve` with these arguments; it must end by itself.
async fn serve(arguments: &[&str]) -> Output {
    let mut all = vec!["serve"];
    if !arguments.contains(&"--listen") {
        all.extend(["--listen", "127.0.0.1:0"]);
    }
    all.extend(arguments);
    let mut command = gateway().await.command(&all).unwrap();
    command.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_of_the_configuration_is_listed_before_anything_starts() {
    let (folder, _) = data_folder().await;
    let config = folder.path().join("wrong.toml");
    let text = "log_format = \"xml\"\n[server]\nlisten = \"nowhere\"\ntypo = 1\n[probing]\nreach_seconds = \"ten\"\n";
    fs::write(&config, text).unwrap();
    let data = folder.path().join("untouched");
    let output = serve(&[
        "--config",
        config.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ])
    .await;
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for wanted in [
        "line 1: log_format",
        "line 3: server.listen",
        "line 4: server.typo",
        "line 6: probing.reach_seconds",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    assert!(output.stdout.is_empty() && !data.exists());
    let checked = gateway()
        .await
        .run(&["config", "check", "--config", config.to_str().unwrap()])
        .await
        .unwrap();
    assert_eq!(checked.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_the_configuration_looks_at_the_plugins_as_well() {
    let (folder, _) = data_folder().await;
    let config = folder.path().join("plugins.toml");
    let check = async |text: &str| {
        fs::write(&config, text).unwrap();
        let plugins = gateway().await.plugins_folder().to_str().unwrap();
        let file = config.to_str().unwrap();
        let arguments = [
            "config",
            "check",
            "--config",
            file,
            "--plugins-dir",
            plugins,
        ];
        let output = gateway().await.run(&arguments).await.unwrap();
        (output.status.code(), errors(&output))
    };
    let (code, said) = check("").await;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let (code, said) = check(
        "[plugins.slots.prober]\ngrants = [\"kube\"]\nconfig = { colour = 1 }\nlimits = { colour = 1 }\n\
         [plugins.slots.registry]\ngrants = [\"kv\"]\nconfig = { colour = 1 }\ndigest = \"sha256:0\"\n\
         [plugins.slots.charts-other]\nplugin = \"not-there\"\n",
    )
    .await;
    assert_eq!(code, Some(1), "{said}");
    for wanted in [
        "plugins.slots.prober.limits",
        "plugins.slots.registry: digest",
        "plugins.slots.registry: grant",
        "plugins.slots.registry: config",
        "plugins.slots.charts-other: file",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_loopback_it_listens_with_tls_or_not_at_all() {
    let (_folder, data) = data_folder().await;
    let output = serve(&[
        "--listen",
        "0.0.0.0:0",
        "--data-dir",
        data.to_str().unwrap(),
    ])
    .await;
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TLS"), "{said}");

    let own = own(Gateway::builder().argument("--tls")).await;
    let client = own.gateway.client().unwrap();
    assert!(client.base().starts_with("https://"), "{}", client.base());
    // It listens before it has read its registry.
    wait_for("a gateway that is ready", PATIENCE, async || {
        let reply = client.get("/readyz").await?;
        Ok((reply.status == 200).then_some(()))
    })
    .await
    .unwrap();
    let stranger = optikon_tests::Client::new(client.base(), None, None).unwrap();
    assert!(
        stranger.get("/readyz").await.is_err(),
        "any certificate will do"
    );
    for file in [
        own.gateway.token_file(),
        own.gateway.data_folder().join("tls/server.key"),
    ] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let token = fs::read_to_string(own.gateway.token_file()).unwrap();
    assert_eq!(token.trim(), token, "nothing but the token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_and_a_damaged_store_are_refused_and_left_as_they_are() {
    let mut own = own(Gateway::builder()).await;
    let body = json!({"name": "kept", "server": "https://10.0.0.1"});
    let client = own.gateway.client().unwrap();
    client.create("/cluster", &body).await.unwrap();
    let data = own.gateway.data_folder().to_path_buf();
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let output = serve(&arguments).await;
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    assert_eq!(
        client.get("/cluster/kept?probe=none").await.unwrap().status,
        200
    );

    assert!(own.gateway.stop().await.unwrap().success());
    let file = data.join("optikon.redb");
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    for byte in damaged.iter_mut().take(4096) {
        *byte ^= 0x5a;
    }
    for broken in [damaged, whole[..whole.len() / 2].to_vec(), vec![0; 100]] {
        fs::write(&file, &broken).unwrap();
        let output = serve(&arguments).await;
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("damaged"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(fs::read(&file).unwrap() == broken, "the file was touched");
    }
    fs::write(&file, &whole).unwrap();
    own.gateway.start_again().await.unwrap();
    let client = own.gateway.client().unwrap();
    assert_eq!(
        client.get("/cluster/kept?probe=none").await.unwrap().status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_folder_is_no_empty_store() {
    let (folder, _) = data_folder().await;
    let mistyped = folder.path().join("mistyped");
    let dir = mistyped.to_str().unwrap();
    let copy = folder.path().join("copy");
    for command in [
        &["store", "--data-dir", dir, "backup", copy.to_str().unwrap()][..],
        &["store", "--data-dir", dir, "check"],
        &["store", "--data-dir", dir, "rekey"],
        &["token", "reset-admin", "--data-dir", dir],
    ] {
        let output = gateway().await.run(command).await.unwrap();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{command:?}: {}",
            errors(&output)
        );
        assert!(errors(&output).contains("mistyped"), "{}", errors(&output));
        assert!(!mistyped.exists() && !copy.exists(), "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_watches_in_order_and_the_exit_is_clean() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut own = own(Gateway::builder()).await;
        let client = own.gateway.client().unwrap();
        let path = "/cluster?watch=true";
        let mut watch = Watch::start(client, path, "application/json", None).await;
        assert_eq!(watch.next().await.0, "BOOKMARK");
        own.gateway.signal(signal).unwrap();
        watch.ends().await.unwrap();
        let status = own.gateway.ended().await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", own.gateway.log());
    }
}
