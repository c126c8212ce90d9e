//! Commands that change releases: each begins an operation and follows it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    read,
    select::{Chosen, OrderFlags, overrides, seconds},
    source,
    values::ValueFlags,
};
use crate::cli::{
    client::{Client, segment},
    follow::{self, FollowFlags},
    output::{Format, confirm, say},
};

/// Flags of every change.
#[derive(Debug, Clone, Args)]
pub(super) struct CommonFlags {
    /// The release's name.
    #[arg(value_name = "RELEASE")]
    release: String,
    #[command(flatten)]
    chosen: Chosen,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
    /// Waits until everything is ready.
    #[arg(long)]
    wait: bool,
    /// How long one cluster may take, as in 90s or 5m. Default: 5m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Runs no hooks.
    #[arg(long)]
    no_hooks: bool,
}

impl CommonFlags {
    fn options(&self) -> Result<Map<String, Value>> {
        let mut options = Map::new();
        set(&mut options, "wait", self.wait);
        set(&mut options, "noHooks", self.no_hooks);
        if let Some(timeout) = &self.timeout {
            options.insert("timeoutSeconds".into(), seconds(timeout)?.into());
        }
        Ok(options)
    }
}

fn set(options: &mut Map<String, Value>, name: &str, is_set: bool) {
    if is_set {
        options.insert(name.into(), true.into());
    }
}

/// What a dry run shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// The rendered manifests.
    Render,
    /// Per cluster, what would be created, changed and deleted, by its API server.
    #[default]
    Server,
}

impl DryRun {
    fn word(self) -> &'static str {
        match self {
            Self::Render => "render",
            Self::Server => "server",
        }
    }
}

/// Which chart with which values, and how it is applied.
#[derive(Debug, Clone, Args)]
pub(super) struct ApplyFlags {
    /// A folder, a .tgz, REPOSITORY/NAME, an https:// or oci:// address, or an archive's digest.
    #[arg(value_name = "CHART")]
    chart: String,
    #[command(flatten)]
    values: ValueFlags,
    /// Values for some clusters only: SELECTOR:FILE or NAME,NAME:FILE; may be given again, the last wins.
    #[arg(long = "override", value_name = "WHICH:FILE", help_heading = "Values")]
    overrides: Vec<String>,
    /// The chart's version, in a repository or registry. Default: the newest.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Sends the signature beside the archive (CHART.prov) along, for the gateway to verify.
    #[arg(long)]
    verify: bool,
    /// Creates the release's namespace.
    #[arg(long)]
    create_namespace: bool,
    /// Undoes what a failure left behind.
    #[arg(long)]
    atomic: bool,
    /// With --wait or --atomic: waits until Jobs are complete, not only started.
    #[arg(long)]
    wait_for_jobs: bool,
    /// Takes fields that other managers own; also makes a new revision of what is unchanged.
    #[arg(long)]
    force: bool,
    /// Adopts objects that are there already.
    #[arg(long)]
    take_ownership: bool,
    /// Revisions kept. Default: 10.
    #[arg(long, value_name = "N")]
    history_max: Option<u32>,
    /// Who applies it, as in `helm` or `tiller`. Default: auto.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    #[command(flatten)]
    order: OrderFlags,
}

/// `optikon chart install`.
#[derive(Debug, Args)]
pub(super) struct InstallFlags {
    #[command(flatten)]
    common: CommonFlags,
    #[command(flatten)]
    apply: ApplyFlags,
    /// Changes nothing and shows what would be.
    #[arg(long, value_enum, value_name = "WHAT")]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    follow: FollowFlags,
}

/// `optikon chart upgrade`.
#[derive(Debug, Args)]
pub(super) struct UpgradeFlags {
    #[command(flatten)]
    common: CommonFlags,
    #[command(flatten)]
    apply: ApplyFlags,
    #[command(flatten)]
    upgrade: UpgradeOptions,
    /// Changes nothing and shows what would be.
    #[arg(long, value_enum, value_name = "WHAT")]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    follow: FollowFlags,
}

#[derive(Debug, Clone, Args)]
struct UpgradeOptions {
    /// Installs the release where it is not there yet.
    #[arg(long, short = 'i')]
    install: bool,
    /// Forgets the values of the revision before.
    #[arg(long, conflicts_with = "reuse_values", help_heading = "Values")]
    reset_values: bool,
    /// Merges the given values over those of the revision before.
    #[arg(long, help_heading = "Values")]
    reuse_values: bool,
}

/// `optikon chart preview`.
#[derive(Debug, Args)]
pub(super) struct PreviewFlags {
    #[command(flatten)]
    common: CommonFlags,
    #[command(flatten)]
    apply: ApplyFlags,
    #[command(flatten)]
    upgrade: UpgradeOptions,
    /// What is shown.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    dry_run: DryRun,
}

/// `optikon chart rollback`.
#[derive(Debug, Args)]
pub(super) struct RollbackFlags {
    #[command(flatten)]
    common: CommonFlags,
    /// The revision to go back to. Default: the one before.
    #[arg(
        value_name = "REVISION",
        default_value_t = 0,
        hide_default_value = true
    )]
    revision: u32,
    /// Takes fields that other managers own.
    #[arg(long)]
    force: bool,
    /// With --wait: waits until Jobs are complete, not only started.
    #[arg(long)]
    wait_for_jobs: bool,
    /// Changes nothing and shows, per cluster, what would be.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    order: OrderFlags,
    #[command(flatten)]
    follow: FollowFlags,
}

/// `optikon chart delete`.
#[derive(Debug, Args)]
pub(super) struct DeleteFlags {
    #[command(flatten)]
    common: CommonFlags,
    /// Keeps the history, so that a rollback brings the release back.
    #[arg(long)]
    keep_history: bool,
    /// Does not ask.
    #[arg(long, short)]
    yes: bool,
    /// Removes nothing and shows, per cluster, what would be.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    follow: FollowFlags,
}

/// `optikon chart test`.
#[derive(Debug, Args)]
pub(super) struct TestFlags {
    #[command(flatten)]
    common: CommonFlags,
    #[command(flatten)]
    order: OrderFlags,
    #[command(flatten)]
    follow: FollowFlags,
}

/// `optikon chart install`.
pub(super) async fn install(
    client: &Client,
    flags: &InstallFlags,
    format: Format,
) -> Result<ExitCode> {
    let body = body(client, &flags.common, &flags.apply, None, flags.dry_run).await?;
    let answer = client
        .send(Method::POST, "/charts", &[], Some(&body), None)
        .await?;
    match flags.dry_run {
        Some(_) => read::changes(&answer, format),
        None => follow::begun(client, &answer, &flags.follow, format).await,
    }
}

/// `optikon chart upgrade`.
pub(super) async fn upgrade(
    client: &Client,
    flags: &UpgradeFlags,
    format: Format,
) -> Result<ExitCode> {
    let upgrade = Some(&flags.upgrade);
    let body = body(client, &flags.common, &flags.apply, upgrade, flags.dry_run).await?;
    let path = format!("/charts/{}", segment(&flags.common.release));
    let answer = client
        .send(Method::PUT, &path, &[], Some(&body), None)
        .await?;
    match flags.dry_run {
        Some(_) => read::changes(&answer, format),
        None => follow::begun(client, &answer, &flags.follow, format).await,
    }
}

/// `optikon chart preview`: of an upgrade, which is an install where the release is not there.
pub(super) async fn preview(
    client: &Client,
    flags: &PreviewFlags,
    format: Format,
) -> Result<ExitCode> {
    let upgrade = UpgradeOptions {
        install: true,
        ..flags.upgrade.clone()
    };
    let dry_run = Some(flags.dry_run);
    let body = body(client, &flags.common, &flags.apply, Some(&upgrade), dry_run).await?;
    let path = format!("/charts/{}", segment(&flags.common.release));
    let answer = client
        .send(Method::PUT, &path, &[], Some(&body), None)
        .await?;
    read::changes(&answer, format)
}

async fn body(
    client: &Client,
    common: &CommonFlags,
    apply: &ApplyFlags,
    upgrade: Option<&UpgradeOptions>,
    dry_run: Option<DryRun>,
) -> Result<Value> {
    let mut options = common.options()?;
    set(&mut options, "atomic", apply.atomic);
    set(&mut options, "waitForJobs", apply.wait_for_jobs);
    set(&mut options, "force", apply.force);
    set(&mut options, "takeOwnership", apply.take_ownership);
    set(&mut options, "createNamespace", apply.create_namespace);
    if let Some(n) = apply.history_max {
        options.insert("historyMax".into(), n.into());
    }
    if let Some(upgrade) = upgrade {
        set(&mut options, "install", upgrade.install);
        set(&mut options, "resetValues", upgrade.reset_values);
        set(&mut options, "reuseValues", upgrade.reuse_values);
    }
    // What is wrong on this machine is said before anything is uploaded.
    let strategy = apply.order.strategy()?;
    let overrides = overrides(&apply.overrides)?;
    let values = apply.values.clone().merged()?;
    let version = apply.version.as_deref();
    let chart = source::resolve(client, &apply.chart, version, apply.verify).await?;
    let mut body = json!({
        "chart": chart,
        "release": { "name": common.release, "namespace": common.namespace },
        "targets": common.chosen.targets(),
        "values": values, "overrides": overrides, "options": options, "strategy": strategy,
        "dryRun": dry_run.map_or("none", DryRun::word),
    });
    if let (Some(backend), Some(map)) = (&apply.backend, body.as_object_mut()) {
        map.insert("backend".into(), backend.as_str().into());
    }
    Ok(body)
}

/// `optikon chart rollback`.
pub(super) async fn rollback(
    client: &Client,
    flags: &RollbackFlags,
    format: Format,
) -> Result<ExitCode> {
    let mut options = flags.common.options()?;
    set(&mut options, "force", flags.force);
    set(&mut options, "waitForJobs", flags.wait_for_jobs);
    let body = json!({
        "namespace": flags.common.namespace, "targets": flags.common.chosen.targets(),
        "toRevision": flags.revision, "options": options, "strategy": flags.order.strategy()?,
        "dryRun": if flags.dry_run { DryRun::Server.word() } else { "none" },
    });
    if flags.dry_run {
        let path = format!("/charts/{}/rollback", segment(&flags.common.release));
        let answer = client
            .send(Method::POST, &path, &[], Some(&body), None)
            .await?;
        return read::changes(&answer, format);
    }
    act(
        client,
        &flags.common.release,
        "rollback",
        &body,
        &flags.follow,
        format,
    )
    .await
}

/// `optikon chart test`.
pub(super) async fn test(client: &Client, flags: &TestFlags, format: Format) -> Result<ExitCode> {
    let body = json!({
        "namespace": flags.common.namespace, "targets": flags.common.chosen.targets(),
        "options": flags.common.options()?, "strategy": flags.order.strategy()?,
    });
    act(
        client,
        &flags.common.release,
        "test",
        &body,
        &flags.follow,
        format,
    )
    .await
}

async fn act(
    client: &Client,
    release: &str,
    verb: &str,
    body: &Value,
    flags: &FollowFlags,
    format: Format,
) -> Result<ExitCode> {
    let path = format!("/charts/{}/{verb}", segment(release));
    let operation = client
        .send(Method::POST, &path, &[], Some(body), None)
        .await?;
    follow::begun(client, &operation, flags, format).await
}

/// `optikon chart delete`.
pub(super) async fn delete(
    client: &Client,
    flags: &DeleteFlags,
    format: Format,
) -> Result<ExitCode> {
    let common = &flags.common;
    let count = common.chosen.count(client).await?;
    if count > 1 && !flags.dry_run {
        let question = format!("Uninstall {} from {count} clusters?", common.release);
        if !confirm(&question, flags.yes)? {
            say("nothing was changed");
            return Ok(ExitCode::from(1));
        }
    }
    let mut query = common.chosen.query();
    query.push(("namespace", common.namespace.clone()));
    let options = common.options()?;
    for (name, value) in [
        ("keepHistory", flags.keep_history.then(|| "true".to_owned())),
        ("noHooks", common.no_hooks.then(|| "true".to_owned())),
        (
            "timeoutSeconds",
            options.get("timeoutSeconds").map(Value::to_string),
        ),
        // `wait` of the query would only delay the answer; the operation is followed.
        ("untilGone", common.wait.then(|| "true".to_owned())),
        ("dryRun", flags.dry_run.then(|| "server".to_owned())),
    ] {
        query.extend(value.map(|v| (name, v)));
    }
    let path = format!("/charts/{}", segment(&common.release));
    let operation = client
        .send(Method::DELETE, &path, &query, None, None)
        .await?;
    if flags.dry_run {
        return read::changes(&operation, format);
    }
    follow::begun(client, &operation, &flags.follow, format).await
}
