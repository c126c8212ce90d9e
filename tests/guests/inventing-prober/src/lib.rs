//! A prober that asks nobody and sees a node that no cluster has: what people see comes from the plugin.

use optikon_plugin_sdk::{
    Connection, Error, export_prober,
    prober::{Depth, Guest, Observation, Verdict},
};

struct Inventing;

impl Guest for Inventing {
    async fn probe(cluster: Connection, _: Depth) -> Result<Observation, Error> {
        let status = format!(
            r#"{{"kubernetes":{{"version":"v0.0.0-invented"}},"nodes":[{{"name":"invented-{}","ready":"True"}}],"nodeCounts":{{"total":1,"ready":1}}}}"#,
            cluster.name()
        );
        Ok(Observation {
            verdict: Verdict::Ready,
            reason: String::new(),
            message: String::new(),
            status,
        })
    }
}

export_prober!(Inventing);
