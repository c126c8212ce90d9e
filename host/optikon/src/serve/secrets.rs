//! Secrets of the cluster that holds the registry: read by the host, one at a time, by name.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_core::{
    ports::{CentralSecret, CentralSecrets},
    words::{Fault, FaultReason, Request, Secret},
};
use serde::Deserialize;

use super::slots::Filler;

/// On the central cluster of whatever fills the registry's slot.
#[derive(Debug)]
pub(crate) struct BesideTheRegistry {
    slots: Arc<Filler>,
    allowed: Vec<String>,
}

impl BesideTheRegistry {
    /// `allowed` are namespaces whose Secrets clusters of others may name.
    pub(crate) fn new(slots: Arc<Filler>, allowed: Vec<String>) -> Self {
        Self { slots, allowed }
    }
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    !text.is_empty() && text.len() <= 253 && !text.starts_with('.') && text.chars().all(is_part)
}

#[async_trait]
impl CentralSecrets for BesideTheRegistry {
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<CentralSecret>, Fault> {
        if !is_name(namespace) || !is_name(name) {
            return Ok(None);
        }
        let connection = self.slots.central()?;
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let response = connection.request(Request::get(path)).await?;
        let refused = |message: String| Fault::new(FaultReason::Denied, message);
        match response.status {
            200 => {}
            404 => return Ok(None),
            403 => {
                return Err(refused(
                    "the gateway's account may not read it; `optikon registry setup --secrets` grants that".into(),
                ));
            }
            status => return Err(refused(format!("the central cluster answered {status}"))),
        }
        // An error of the parser could quote the Secret.
        let object: Object = serde_json::from_slice(&response.body).map_err(|_| {
            Fault::new(
                FaultReason::Protocol,
                "the central cluster answered with no Secret",
            )
        })?;
        let data = object.data.into_iter().filter_map(|(key, text)| {
            let bytes = STANDARD.decode(text.trim()).ok()?;
            Some((key, Secret::new(bytes)))
        });
        Ok(Some(CentralSecret {
            version: object.metadata.resource_version,
            labels: object.metadata.labels,
            data: data.collect(),
        }))
    }

    fn is_allowed(&self, namespace: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == namespace)
    }
}
