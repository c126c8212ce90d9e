//! Fake members by the hundred, and a gateway that knows them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::stream::{self, TryStreamExt};
use optikon_tests::gateway::{Gateway, guest};
use optikon_tests::{FakeMember, wait_for};
use serde_json::{Value, json};

use crate::load::Target;

/// Registrations under way at once.
const AT_ONCE: usize = 16;
/// The slowest of all waits: thousands of first looks.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// So many members that take `latency` for each answer.
pub(crate) async fn members(count: usize, latency: Duration) -> Result<Vec<FakeMember>> {
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        let member = FakeMember::start().await?;
        member.latency(latency);
        members.push(member);
    }
    Ok(members)
}

/// The name of the member with this number.
pub(crate) fn name(number: usize) -> String {
    format!("member-{number:05}")
}

/// A member in the short form; every tenth is in `env=prod`.
pub(crate) fn registration(name: &str, number: usize, url: &str, ca: &str) -> Value {
    let env = if number.is_multiple_of(10) {
        "prod"
    } else {
        "test"
    };
    json!({
        "name": name, "server": url, "ca": ca, "token": format!("token-of-{name}"),
        "labels": {"env": env, "region": format!("r{}", number % 7)},
    })
}

/// Registers members under their numbers.
pub(crate) async fn register(gateway: &Gateway, members: &[FakeMember]) -> Result<()> {
    let bodies = members.iter().enumerate().map(|(number, member)| {
        let ca = member.ca()?;
        Ok(registration(&name(number), number, &member.url(), &ca))
    });
    register_all(gateway, &bodies.collect::<Result<Vec<_>>>()?).await
}

/// Registers clusters, several at once.
pub(crate) async fn register_all(gateway: &Gateway, bodies: &[Value]) -> Result<()> {
    let client = gateway.client()?;
    stream::iter(bodies.iter().map(anyhow::Ok))
        .try_for_each_concurrent(AT_ONCE, |body| async move {
            client.create("/cluster", body).await?;
            Ok(())
        })
        .await
}

/// Waits until so many clusters have this state of `Ready`.
pub(crate) async fn wait_for_ready(gateway: &Gateway, count: usize, status: &str) -> Result<()> {
    let what = format!("{count} clusters with Ready={status}");
    wait_for(&what, PATIENCE, || async {
        let list = gateway.client()?.read("/cluster").await?;
        let is_there = |item: &&Value| {
            let conditions = item["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Ready" && c["status"] == status)
        };
        let items = list["items"].as_array().context("a list has items")?;
        Ok((items.iter().filter(is_there).count() >= count).then_some(()))
    })
    .await
}

/// Where load goes.
pub(crate) fn target(gateway: &Gateway) -> Result<Target> {
    Target::new(gateway.url()?, gateway.token()?)
}

/// The shipped plugins with a guest beside them, in a folder of their own.
pub(crate) fn plugins_with(name: &str, folder: &Path) -> Result<()> {
    let shipped = std::env::var_os("OPTIKON_PLUGINS").context("OPTIKON_PLUGINS is not set")?;
    for file in fs::read_dir(&shipped)? {
        let file = file?;
        if file.path().extension().is_some_and(|e| e == "wasm") {
            fs::copy(file.path(), folder.join(file.file_name()))?;
        }
    }
    fs::copy(guest(name)?, folder.join(format!("{name}.wasm")))?;
    Ok(())
}

/// In order, and on the same data.
pub(crate) async fn restart(gateway: &mut Gateway) -> Result<()> {
    if !gateway.stop().await?.success() {
        bail!("the gateway did not end in order");
    }
    gateway.start_again().await?;
    Ok(())
}

/// Resident memory, of `/proc`.
pub(crate) fn resident_kib(gateway: &Gateway) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.process()?))
        .context("resident memory is read from /proc, so only on Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse()?)
}
