//! Where plugins' `upstream` connections lead to: HTTPS bases that the operator configured.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use async_trait::async_trait;
use optikon_core::{
    flows::address,
    ports::{Connection, Outbound},
    words::{
        Credential, Endpoint, Fault, FaultReason, Member, ResourceGrant, Rules, Secret, SlotName,
    },
};
use optikon_engine::Peers;

use crate::{cli::client::read_token, config::Upstream};

/// Opens them; a credential is added by outbound and never seen by a plugin.
#[derive(Debug)]
pub(crate) struct Configured {
    outbound: Arc<dyn Outbound>,
    upstreams: BTreeMap<String, (Member, String)>,
}

impl Configured {
    /// Reads the files that the configuration names, once.
    pub(crate) fn new(
        upstreams: &BTreeMap<String, Upstream>,
        outbound: Arc<dyn Outbound>,
    ) -> Result<Self> {
        let made = upstreams.iter().map(|(name, upstream)| {
            let what = || format!("upstream \"{name}\"");
            let url = address::normalise(&upstream.url)
                .map_err(anyhow::Error::msg)
                .with_context(what)?;
            let ca = upstream
                .ca
                .as_ref()
                .map(std::fs::read_to_string)
                .transpose();
            let token = upstream
                .token_file
                .as_deref()
                .map(read_token)
                .transpose()
                .with_context(what)?;
            let member = Member {
                name: name.parse().with_context(what)?,
                uid: format!("upstream:{name}").parse().with_context(what)?,
                endpoints: vec![Endpoint {
                    client_cidr: None,
                    url,
                }],
                ca: ca.with_context(what)?,
                tls_server_name: None,
                proxy_url: None,
                credential: token.map(|t| Credential::Token(Secret::new(t))),
            };
            Ok((name.clone(), (member, upstream.path_prefix.clone())))
        });
        Ok(Self {
            outbound,
            upstreams: made.collect::<Result<_>>()?,
        })
    }
}

#[async_trait]
impl Peers for Configured {
    async fn central(
        &self,
        _slot: &SlotName,
        _grants: &[ResourceGrant],
    ) -> Result<Arc<dyn Connection>, Fault> {
        let message = "no central cluster is configured";
        Err(Fault::new(FaultReason::BadConfig, message))
    }

    async fn upstream(&self, slot: &SlotName, name: &str) -> Result<Arc<dyn Connection>, Fault> {
        let Some((member, path_prefix)) = self.upstreams.get(name) else {
            let message = format!(
                "slot \"{slot}\" asked for upstream \"{}\", which is not in [upstreams]",
                name.escape_debug()
            );
            return Err(Fault::new(FaultReason::BadConfig, message));
        };
        let rules = Rules::Upstream {
            path_prefix: path_prefix.clone(),
        };
        Ok(self.outbound.connect(member, rules, false))
    }
}
