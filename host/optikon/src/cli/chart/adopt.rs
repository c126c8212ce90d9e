//! `optikon chart adopt`: looks first, and hands a release over only where every cluster can.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    read,
    select::{Chosen, OrderFlags, seconds},
};
use crate::cli::{
    client::{Client, segment},
    follow::{self, FollowFlags},
    output::{Format, confirm, say},
};

/// `optikon chart adopt`.
#[derive(Debug, Args)]
pub(super) struct AdoptFlags {
    /// The release's name.
    #[arg(value_name = "RELEASE")]
    release: String,
    #[command(flatten)]
    chosen: Chosen,
    /// The release's namespace.
    #[arg(long, short = 'n', default_value = "default")]
    namespace: String,
    /// Changes nothing and shows what would be written and removed.
    #[arg(long)]
    dry_run: bool,
    /// Keeps Tiller's records, so that its clients see the release, too.
    #[arg(long)]
    keep_history: bool,
    /// Who has the release now. Default: tiller.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// How long one cluster may take, as in 90s or 5m. Default: 5m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Does not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    order: OrderFlags,
    #[command(flatten)]
    follow: FollowFlags,
}

impl AdoptFlags {
    fn body(&self) -> Result<Value> {
        let mut options = Map::new();
        if self.keep_history {
            options.insert("keepHistory".into(), true.into());
        }
        if let Some(timeout) = &self.timeout {
            options.insert("timeoutSeconds".into(), seconds(timeout)?.into());
        }
        let mut body = json!({
            "namespace": self.namespace, "targets": self.chosen.targets(),
            "options": options, "strategy": self.order.strategy()?,
        });
        if let (Some(backend), Some(map)) = (&self.backend, body.as_object_mut()) {
            map.insert("backend".into(), backend.as_str().into());
        }
        Ok(body)
    }
}

/// `optikon chart adopt`.
pub(super) async fn adopt(client: &Client, flags: &AdoptFlags, format: Format) -> Result<ExitCode> {
    let path = format!("/charts/{}/adopt", segment(&flags.release));
    let body = flags.body()?;
    let mut look = body.clone();
    if let Some(map) = look.as_object_mut() {
        map.insert("dryRun".into(), "server".into());
    }
    let preview = client
        .send(Method::POST, &path, &[], Some(&look), None)
        .await?;
    let errors = preview.get("errors").and_then(Value::as_array);
    if flags.dry_run || errors.is_some_and(|errors| !errors.is_empty()) {
        let code = read::changes(&preview, format)?;
        if !flags.dry_run && !matches!(format, Format::Json | Format::Yaml) {
            say("nothing was changed");
        }
        return Ok(code);
    }
    let count = flags.chosen.count(client).await?;
    if count > 1 {
        let question = format!("Hand {} over on {count} clusters?", flags.release);
        if !confirm(&question, flags.yes)? {
            say("nothing was changed");
            return Ok(ExitCode::from(1));
        }
    }
    let operation = client
        .send(Method::POST, &path, &[], Some(&body), None)
        .await?;
    follow::begun(client, &operation, &flags.follow, format).await
}
