//! Who gets in: tokens, the first admin token, client certificates.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, Result};
use optikon_core::{
    flows::access::Tokens,
    ports::{Documents, World},
    words::{Caller, Selector},
};

use super::tls::write;
use crate::config::Config;

/// The tokens; at the first start the admin token is made and written to `DIR/admin.token`.
pub(crate) async fn tokens(
    folder: &Path,
    documents: Arc<dyn Documents>,
    world: Arc<dyn World>,
) -> Result<Arc<Tokens>> {
    let tokens = Tokens::load(documents, world)
        .await
        .context("cannot read the access tokens")?;
    if tokens.is_empty() {
        let token = tokens
            .reset_admin()
            .await
            .context("cannot make the admin token")?;
        let file = folder.join("admin.token");
        write(&file, token.expose())?;
        tracing::info!(file = %file.display(), "wrote the admin token");
    }
    Ok(Arc::new(tokens))
}

/// Callers by the common name of their client certificate.
pub(crate) fn certificates(config: &Config) -> Result<BTreeMap<String, Caller>> {
    let listed = config.server.certificates.iter().map(|certificate| {
        let selector = Selector::parse(&certificate.selector)?;
        let name = format!("certificate:{}", certificate.name);
        Ok((
            certificate.name.clone(),
            Caller {
                name,
                role: certificate.role,
                selector,
            },
        ))
    });
    listed.collect()
}
