//! What keeps a plugin out of a slot, and what an empty slot says.

use std::fs;

use optikon_core::{
    Error,
    ports::{Plugins, SlotState},
};
use optikon_engine::{Filling, Grants, Limits};
use serde_json::json;

use crate::harness::{ALL, Bench, config, filling, guests, refusal, slot};

#[tokio::test]
async fn a_plugin_of_another_world_is_refused_by_name() {
    let bench = Bench::empty(config());
    let filling = Filling::new("hostile-prober.wasm", Grants::new(ALL.iter().copied()));
    let text = refusal(bench.engine.fill(&slot("registry"), filling).await);
    assert!(
        text.contains("takes a registry, the plugin is a prober"),
        "{text}"
    );
}

#[tokio::test]
async fn an_import_that_is_not_granted_is_refused_with_the_line_to_add() {
    let bench = Bench::empty(config());
    let mut filling = filling("", Limits::default());
    filling.grants.interfaces.remove("kv");
    let text = refusal(bench.engine.fill(&slot("registry"), filling).await);
    assert!(text.contains("optikon:host/kv@0.1.0"), "{text}");
    assert!(
        text.contains(r#"grants = ["call", "central", "clock", "config", "kube", "kv", "log""#),
        "{text}"
    );
    let info = bench
        .engine
        .slots()
        .into_iter()
        .find(|s| s.slot.as_str() == "registry")
        .unwrap();
    assert_eq!(info.state, SlotState::Empty);
    assert!(info.problem.unwrap().contains("optikon:host/kv"));
    assert!(matches!(bench.get().await, Err(Error::NoPlugin { .. })));
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (file, bytes, says) in [
        (
            "garbage.wasm",
            b"not wasm at all".to_vec(),
            "no WebAssembly",
        ),
        ("module.wasm", b"\0asm\x01\0\0\0".to_vec(), "a core module"),
        (
            "plain.wasm",
            b"\0asm\x0d\0\x01\0".to_vec(),
            "plugin.toml is missing",
        ),
    ] {
        fs::write(folder.path().join(file), bytes).unwrap();
        let bench = Bench::empty(optikon_engine::EngineConfig {
            plugins_folder: folder.path().to_path_buf(),
            ..config()
        });
        let text = refusal(
            bench
                .engine
                .fill(&slot("registry"), Filling::new(file, Grants::default()))
                .await,
        );
        assert!(text.contains(says), "{file}: {text}");
        let available = bench.engine.available().await.unwrap();
        assert!(available.iter().any(|found| !found.problems.is_empty()));
    }
}

#[tokio::test]
async fn a_pipe_in_the_plugins_folder_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe.wasm"))
        .status()
        .unwrap();
    assert!(made.success());
    let bench = Bench::empty(optikon_engine::EngineConfig {
        plugins_folder: folder.path().to_path_buf(),
        ..config()
    });
    let available = bench.engine.available().await.unwrap();
    assert!(available[0].problems[0].message.contains("is no file"));
    let filling = Filling::new("pipe.wasm", Grants::default());
    let text = refusal(bench.engine.fill(&slot("registry"), filling).await);
    assert!(text.contains("is no file"), "{text}");
}

#[tokio::test]
async fn size_digest_configuration_and_limits_are_checked() {
    let small = optikon_engine::EngineConfig {
        plugin_bytes: 1_000,
        ..config()
    };
    let bench = Bench::empty(small);
    let text = refusal(
        bench
            .engine
            .fill(&slot("registry"), filling("", Limits::default()))
            .await,
    );
    assert!(text.contains("plugin-bytes = 1000"), "{text}");

    let bench = Bench::empty(config());
    let mut wrong = filling("", Limits::default());
    wrong.digest = Some("sha256:00".to_owned());
    wrong.config = json!({"behaviour": 7, "odd": true});
    wrong.limits.memory_bytes = 1 << 40;
    let text = refusal(bench.engine.fill(&slot("registry"), wrong).await);
    for says in [
        "pinned is sha256:00",
        "config/behaviour",
        "odd",
        "memory-bytes may be at most",
    ] {
        assert!(text.contains(says), "{says} in {text}");
    }
}

#[tokio::test]
async fn a_candidate_that_fails_leaves_the_old_one_serving() {
    let bench = Bench::new("", Limits::default()).await;
    let mut unfit = filling("", Limits::default());
    unfit.grants = Grants::default();
    assert!(bench.engine.fill(&slot("registry"), unfit).await.is_err());
    bench.is_unharmed().await;
    let served = bench
        .engine
        .slots()
        .into_iter()
        .find(|s| s.slot.as_str() == "registry")
        .unwrap();
    assert_eq!(served.state, SlotState::Serving);
    assert!(served.calls["list-clusters"].ok >= 1);
}

#[tokio::test]
async fn a_file_describes_itself() {
    let bench = Bench::empty(config());
    let found = bench
        .engine
        .inspect(&guests().join("hostile-registry.wasm"))
        .await
        .unwrap();
    assert_eq!(found.plugin.name.as_str(), "hostile-registry");
    assert_eq!(found.plugin.world, "registry");
    assert!(found.plugin.imports.contains(&"kv".to_owned()));
    assert_eq!(found.problems, []);
    assert_eq!(
        found.config_schema["properties"]["password"]["x-secret"],
        true
    );
}
