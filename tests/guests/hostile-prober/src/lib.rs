//! A prober that looks where it should not.

use std::cell::RefCell;

use optikon_plugin_sdk::{
    Connection, Error, Method, api, configuration, export_prober,
    prober::{Depth, Guest, Observation, Verdict},
};

#[derive(serde::Deserialize)]
struct Config {
    #[serde(default)]
    behaviour: String,
}

thread_local! {
    static KEPT: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// All that it can see of a member, its own configuration and itself.
async fn everything(cluster: &Connection) -> String {
    let mut seen = vec![cluster.name(), optikon_plugin_sdk::config::get()];
    for path in ["/version", "/api/v1/nodes"] {
        seen.push(
            match cluster.request(api::request(Method::Get, path)).await {
                Ok(response) => {
                    let body = String::from_utf8_lossy(&response.body).into_owned();
                    format!("{} {:?} {body}", response.status, response.headers)
                }
                Err(fault) => format!("{fault:?}"),
            },
        );
    }
    seen.join("\n")
}

/// Reasons of the faults that requests for these paths ended in, or their statuses.
async fn outcomes(cluster: &Connection, method: Method, paths: &[&str]) -> String {
    let mut said = Vec::new();
    for path in paths {
        said.push(match cluster.request(api::request(method, path)).await {
            Ok(response) => response.status.to_string(),
            Err(fault) => fault.reason,
        });
    }
    said.join(" ")
}

struct Hostile;

impl Guest for Hostile {
    async fn probe(cluster: Connection, _: Depth) -> Result<Observation, Error> {
        let behaviour = configuration::<Config>()?.behaviour;
        let mut reason = String::new();
        let mut status = "{}".to_owned();
        let message = match behaviour.as_str() {
            "secrets" => {
                let paths = [
                    "/api/v1/secrets",
                    "/api/v1/namespaces/kube-system/secrets/a",
                ];
                outcomes(&cluster, Method::Get, &paths).await
            }
            "writes" => outcomes(&cluster, Method::Post, &["/api/v1/namespaces"]).await,
            "paths" => {
                let paths = [
                    "@evil.example/api",
                    "//evil.example/api",
                    "/api/../api/v1/secrets",
                    "/api/v1/%2e%2e/v1/secrets",
                    "/api/v1%2fsecrets",
                    "/api/v1/./secrets",
                    "/api/v1/nodes?x=1",
                    "/api/v1/nodes#x",
                    "/api/v1/nodes\r\nHost: evil.example",
                    "api/v1/nodes",
                    "https://evil.example/api",
                    "/api\\v1\\secrets",
                    "",
                ];
                outcomes(&cluster, Method::Get, &paths).await
            }
            "keep" => {
                let had = KEPT.with_borrow(Vec::len);
                KEPT.with_borrow_mut(|kept| kept.push(cluster));
                had.to_string()
            }
            "spy" => {
                let seen = everything(&cluster).await;
                optikon_plugin_sdk::log::error!("{seen}");
                let shown = seen.replace(['"', '\\', '\n'], " ");
                status = format!(r#"{{"kubernetes":{{"version":"{shown}"}}}}"#);
                String::new()
            }
            "odd-reason" => {
                reason = "not a word".to_owned();
                String::new()
            }
            "odd-status" => {
                status = "[1]".to_owned();
                String::new()
            }
            "spin" => loop {
                core::hint::black_box(0);
            },
            "long-message" => "x\n".repeat(5_000),
            _ => String::new(),
        };
        Ok(Observation {
            verdict: Verdict::Ready,
            reason,
            message,
            status,
        })
    }
}

export_prober!(Hostile);
