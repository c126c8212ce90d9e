//! A plan of a chart, in the plugin: rendered, sorted, encoded.

use std::time::Duration;

use anyhow::Result;
use optikon_tests::Gateway;
use optikon_xtask::bench::{Aim, Row};
use reqwest::Method;
use serde_json::json;

use crate::bed::{QUIET, chart, counted, median, members, register, upload};

const ROUNDS: usize = 21;
const TEMPLATES: usize = 50;

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let members = members(1, Duration::ZERO).await?;
    let gateway = Gateway::builder().config(QUIET).start().await?;
    register(&gateway, &members).await?;
    let digest = upload(&gateway, chart(TEMPLATES)?).await?;
    let client = gateway.client()?;
    let series = "optikon_plugin_call_seconds_sum{slot=\"charts-helm\",function=\"prepare\"";
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let before = counted(&gateway, series).await?;
        let body = json!({
            "chart": {"digest": digest}, "release": {"name": "planned"}, "targets": {"all": true},
            "values": {"message": format!("round {round}")}, "dryRun": "render",
        });
        let rendered = client.json(Method::POST, "/charts", &body).await?;
        rendered.success()?;
        took.push(counted(&gateway, series).await? - before);
    }
    Ok(vec![Row::new(
        "a plan of 50 templates, in the plugin",
        median(took) * 1000.0,
        "ms",
        Aim::AtMost(20.0),
    )])
}
