//! What the tests of this suite share.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use optikon_tests::gateway::Builder;
use optikon_tests::{FakeMember, Gateway, scratch, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Nothing that a test waits for takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The gateway that most tests share. It looks at members more often than usual.
pub(crate) async fn gateway() -> &'static Gateway {
    static SHARED: OnceCell<Gateway> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            Gateway::builder()
                .config("[probing]\nreach_seconds = 1\n")
                .start()
                .await
                .unwrap()
        })
        .await
}

/// A gateway of one test.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) gateway: Gateway,
    _folder: TempDir,
}

/// Starts a gateway of its own, with the plugins that the shared one has compiled already.
pub(crate) async fn own(builder: Builder) -> Own {
    let (folder, data) = data_folder().await;
    let gateway = builder.data_folder(&data).start().await.unwrap();
    Own {
        gateway,
        _folder: folder,
    }
}

/// A data folder with nothing but compiled plugins in it.
pub(crate) async fn data_folder() -> (TempDir, std::path::PathBuf) {
    let compiled = gateway().await.data_folder().join("compiled");
    let folder = scratch::folder().unwrap();
    let data = folder.path().join("data");
    let target = data.join("compiled");
    private(&data).unwrap();
    private(&target).unwrap();
    for file in fs::read_dir(compiled).into_iter().flatten() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }
    (folder, data)
}

fn private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("make {}", folder.display()))
}

/// A fake as the short form registers it.
pub(crate) fn registration(name: &str, member: &FakeMember, token: &str) -> Value {
    json!({"name": name, "server": member.url(), "ca": member.ca().unwrap(), "token": token})
}

/// `status.conditions[type=…]`.
pub(crate) fn condition<'a>(cluster: &'a Value, kind: &str) -> &'a Value {
    cluster["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["type"] == kind)
        .unwrap_or(&Value::Null)
}

/// Waits until the background has come to this verdict about a cluster.
pub(crate) async fn wait_for_ready(gateway: &Gateway, name: &str, status: &str) -> Value {
    let path = format!("/cluster/{name}?probe=cached");
    wait_for(
        &format!("{name} to be Ready={status}"),
        PATIENCE,
        || async {
            let cluster = gateway.client()?.read(&path).await?;
            Ok((condition(&cluster, "Ready")["status"] == status).then_some(cluster))
        },
    )
    .await
    .unwrap()
}

/// The names of rows, in order.
pub(crate) fn names(items: &Value) -> Vec<&str> {
    items
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["name"].as_str().or(item["metadata"]["name"].as_str()))
        .collect()
}

/// A secret in every form in which it might be found.
pub(crate) fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let hex = |upper: bool| -> String {
        let each = |b: &u8| {
            if upper {
                format!("{b:02X}")
            } else {
                format!("{b:02x}")
            }
        };
        bytes.iter().map(each).collect()
    };
    let percent: String = bytes.iter().map(|b| format!("%{b:02X}")).collect();
    let mut forms = vec![secret.to_owned(), hex(false), hex(true), percent];
    // Inside a longer text, base64 begins at one of three places.
    for skip in 0..3 {
        let rest = &bytes[skip..];
        let whole = &rest[..rest.len() / 3 * 3];
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            forms.push(engine.encode(whole));
        }
    }
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// Fails when one of the forms is in these bytes.
pub(crate) fn assert_absent(forms: &[Vec<u8>], place: &str, bytes: &[u8]) {
    for form in forms {
        let found = bytes.windows(form.len()).any(|window| window == form);
        let shown = String::from_utf8_lossy(form);
        assert!(!found, "the secret stands in {place} as {shown}");
    }
}

/// Fails when one of the forms is in a file below this folder; how many files there are.
pub(crate) fn assert_absent_in_files(forms: &[Vec<u8>], folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_absent_in_files(forms, &path);
        } else if path.is_file() && path.extension().is_none_or(|e| e != "cwasm") {
            assert_absent(
                forms,
                &path.display().to_string(),
                &fs::read(&path).unwrap(),
            );
            files += 1;
        }
    }
    files
}
