//! The least that could answer `GET /cluster/{name}`: an axum handler that serialises one object.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::{Path as Segment, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;

/// Serves the object of a file; prints where, as the gateway does.
pub(crate) async fn serve(object: &Path) -> Result<()> {
    let text = tokio::fs::read(object)
        .await
        .with_context(|| format!("read {}", object.display()))?;
    let object: Arc<Value> = Arc::new(serde_json::from_slice(&text)?);
    let router = Router::new()
        .route("/cluster/{name}", get(read))
        .with_state(object);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // As the gateway does: small answers go out at once.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

async fn read(State(object): State<Arc<Value>>, Segment(_): Segment<String>) -> Json<Value> {
    Json(Value::clone(&object))
}
