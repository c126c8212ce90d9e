//! The listener for the original API, where nobody needs a token.

use anyhow::{Context, Result, bail};
use optikon_api::{Gateway, Listener, Serving, TlsFiles, v0_router};
use optikon_core::words::{Caller, Selector};
use tokio::sync::watch;

use super::GRACE;
use crate::config::Config;

/// Binds it, where one is configured.
pub(super) async fn bind(config: &Config, tls: Option<TlsFiles>) -> Result<Option<Listener>> {
    let Some(address) = config.v0.listen else {
        return Ok(None);
    };
    let is_agreed = tls.is_some() && config.v0.allow_anonymous;
    if !address.ip().is_loopback() && !is_agreed {
        bail!(
            "refusing to serve /v0 on {address} without tokens: set [server.tls] and [v0] allow_anonymous = true, or listen on the loopback"
        );
    }
    let listener = Listener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for [v0]"))?;
    Ok(Some(match tls {
        Some(files) if !address.ip().is_loopback() => listener.with_tls(files)?,
        Some(_) | None => listener,
    }))
}

/// Serves it until told to end; without one, returns at once.
pub(super) async fn serve(
    listener: Option<Listener>,
    gateway: &Gateway,
    config: &Config,
    shutdown: watch::Receiver<bool>,
) {
    let Some(listener) = listener else { return };
    match listener.address() {
        Ok(address) => tracing::info!(
            "serving /v0 without tokens on {}://{address}, role {}",
            listener.scheme(),
            config.v0.role.as_str()
        ),
        Err(error) => tracing::warn!(%error, "the listener for /v0 has no address"),
    }
    let caller = Caller {
        name: "v0".into(),
        role: config.v0.role,
        selector: Selector::default(),
    };
    let router = v0_router(gateway.clone(), caller);
    let serving = Serving {
        shutdown,
        grace: GRACE,
    };
    listener.serve(router, serving).await;
}
