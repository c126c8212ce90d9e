//! A Kubernetes API server that the user reaches with a kubeconfig of their own, on their own machine. The gateway has no
//! part in it.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use optikon_core::{
    ports::{Connection, Outbound as _},
    words::{Method, Request, Rules},
};
use optikon_outbound::{Outbound, OutboundConfig};
use serde_json::{Value, json};

use super::exec;
use crate::{
    serve::{member_of, read_own_kubeconfig},
    world::World,
};

/// Who applies, in `managedFields`.
const MANAGER: &str = "optikon-setup";

/// One API server.
#[derive(Debug)]
pub(crate) struct Peer {
    connection: Arc<dyn Connection>,
    server: String,
    ca: Option<String>,
    // Its pool ends with it.
    _outbound: Outbound,
}

/// What became of an applied object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Changed,
    Unchanged,
}

impl Applied {
    /// For people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// An object's kind and name, for people.
pub(crate) fn title(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or_default();
    let kind = text("/kind").unwrap_or_default();
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The path of an object of a kind that is set up here.
///
/// # Errors
/// When the kind is none of them.
pub(crate) fn path(object: &Value) -> Result<String> {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or_default();
    let plural = match kind {
        "Namespace" => "namespaces",
        "ServiceAccount" => "serviceaccounts",
        "Secret" => "secrets",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "CustomResourceDefinition" => "customresourcedefinitions",
        "APIService" => "apiservices",
        "Cluster" => "clusters",
        _ => bail!("no path is known for kind {kind}"),
    };
    let version = text("/apiVersion").unwrap_or_default();
    let prefix = if version.contains('/') { "apis" } else { "api" };
    let namespace = text("/metadata/namespace").map(|n| format!("/namespaces/{n}"));
    let name = text("/metadata/name").unwrap_or_default();
    Ok(format!(
        "/{prefix}/{version}{}/{plural}/{name}",
        namespace.unwrap_or_default()
    ))
}

impl Peer {
    /// Opens nothing yet; runs the kubeconfig's `exec` where that is allowed.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read or holds what is refused.
    pub(crate) async fn open(
        kubeconfig: &Path,
        context: Option<&str>,
        allow_exec: bool,
    ) -> Result<Self> {
        let (mut context, exec) = read_own_kubeconfig(kubeconfig, context)?;
        if let Some(exec) = exec {
            if !allow_exec {
                bail!(
                    "context \"{}\" runs a program for its credential; --allow-exec runs it here, as you",
                    context.name.escape_debug()
                );
            }
            let folder = kubeconfig.parent().unwrap_or(Path::new(""));
            let given = exec::credential(exec, &context.server, context.ca.as_deref(), folder);
            context.credential = Some(given.await?);
        }
        let (server, ca) = (context.server.clone(), context.ca.clone());
        let config = OutboundConfig {
            allow_loopback: true,
            proxy_from_environment: true,
            ..OutboundConfig::default()
        };
        let outbound = Outbound::new(config, Arc::new(World))?;
        let member = member_of("own", context)?;
        Ok(Self {
            connection: outbound.connect(&member, Rules::Host, true),
            server,
            ca,
            _outbound: outbound,
        })
    }

    /// As the kubeconfig has it.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The CA of its certificate, PEM.
    pub(crate) fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// One request; none for a 404.
    ///
    /// # Errors
    /// When there is no answer, or one that is neither 2xx nor 404.
    pub(crate) async fn send(&self, request: Request) -> Result<Option<Value>> {
        let what = format!("{} {}", request.method, request.path);
        let response = self
            .connection
            .request(request)
            .await
            .with_context(|| what.clone())?;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match response.status {
            200..=299 => Ok(Some(body)),
            404 => Ok(None),
            status => {
                let message = body.get("message").and_then(Value::as_str);
                let message = message.unwrap_or("no message");
                bail!("{what}: the API server answered {status}: {message}")
            }
        }
    }

    /// One object or list; none when it is not there.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>> {
        self.send(Request::get(path)).await
    }

    /// Creates in a collection.
    ///
    /// # Errors
    /// As [`Peer::send`], and when the collection is not served.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let request = Request {
            method: Method::Post,
            body: object.to_string().into(),
            ..Request::get(path)
        };
        let made = self.send(request).await?;
        made.with_context(|| format!("POST {path}: the API server does not serve this"))
    }

    /// Server-side apply, forced: what is set up here belongs to the setup.
    ///
    /// # Errors
    /// As [`Peer::create`].
    pub(crate) async fn apply(&self, object: &Value) -> Result<Applied> {
        let path = path(object)?;
        let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
        let before = self.get(&path).await?;
        let request = Request {
            method: Method::Patch,
            content_type: Some("application/apply-patch+yaml".into()),
            query: vec![
                ("fieldManager".into(), MANAGER.into()),
                ("force".into(), "true".into()),
            ],
            body: object.to_string().into(),
            ..Request::get(path.as_str())
        };
        let after = self
            .send(request)
            .await
            .with_context(|| format!("apply {}", title(object)))?
            .with_context(|| {
                format!("apply {}: the API server does not serve it", title(object))
            })?;
        Ok(match before {
            None => Applied::Created,
            Some(before) if version(&before) == version(&after) => Applied::Unchanged,
            Some(_) => Applied::Changed,
        })
    }

    /// Removes an object; whether it was there.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub(crate) async fn delete(&self, object: &Value) -> Result<bool> {
        let request = Request {
            method: Method::Delete,
            body: json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})
                .to_string()
                .into(),
            ..Request::get(path(object)?)
        };
        let gone = self.send(request).await;
        Ok(gone
            .with_context(|| format!("remove {}", title(object)))?
            .is_some())
    }
}
