//! Where plugins' `central` and `upstream` connections lead to: what the operator configured.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use optikon_core::{
    flows::{address, found::Found},
    ports::{Connection, Outbound, Vault},
    words::{
        Credential, Endpoint, Fault, FaultReason, Member, ResourceGrant, Rules, Secret, SlotName,
    },
};
use optikon_engine::Peers;

use super::{central::Reached, compatible::Compatible, inline::Inline};
use crate::{cli::client::read_token, config::Config};

/// Opens them; a credential is added by outbound and never seen by a plugin.
#[derive(Debug)]
pub(crate) struct Configured {
    outbound: Arc<dyn Outbound>,
    upstreams: BTreeMap<String, (Member, String)>,
    /// `[central]`.
    central: Option<Reached>,
    /// Those that came with what fills a slot, by name.
    given: RwLock<BTreeMap<String, Member>>,
    /// Opened for tools of 2018, where the configuration says so.
    compatible: OnceLock<Arc<dyn Vault>>,
    /// What other tools wrote into objects there.
    found: Arc<Found>,
}

impl Configured {
    /// Reads the files that the configuration names, once.
    pub(crate) fn new(config: &Config, outbound: Arc<dyn Outbound>) -> Result<Self> {
        let central = config.central.as_ref().map(Reached::read);
        let made = config.upstreams.iter().map(|(name, upstream)| {
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
                direct: None,
                credential: token.map(|t| Credential::Token(Secret::new(t))),
            };
            Ok((name.clone(), (member, upstream.path_prefix.clone())))
        });
        Ok(Self {
            outbound,
            upstreams: made.collect::<Result<_>>()?,
            central: central.transpose().context("[central]")?,
            given: RwLock::default(),
            compatible: OnceLock::new(),
            found: Arc::default(),
        })
    }

    /// Credentials that were in objects on the way to a plugin, which saw none.
    pub(crate) fn found(&self) -> Arc<Found> {
        self.found.clone()
    }

    /// Puts tokens of clusters into their objects from now on, and takes them out again for plugins.
    pub(crate) fn be_compatible(&self, vault: Arc<dyn Vault>) {
        if self.compatible.set(vault).is_err() {
            tracing::debug!("the compatible mode was on already");
        }
    }

    /// Lets a slot's `central` lead to this cluster, under that name.
    pub(crate) fn give(&self, name: &str, member: Member) {
        self.given
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), member);
    }

    /// The central cluster of that name, or the configured one.
    fn central_member(&self, slot: &str, name: Option<&str>) -> Result<Member, Fault> {
        let bad = |message: String| Fault::new(FaultReason::BadConfig, message);
        match name {
            Some(name) => self
                .given
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(name)
                .cloned()
                .ok_or_else(|| bad(format!("the central cluster of slot \"{slot}\" is gone"))),
            None => {
                let central = self.central.as_ref().ok_or_else(|| {
                    bad("no central cluster is configured: set [central] kubeconfig, or give one with the swap".into())
                })?;
                let member = central.member();
                member.map_err(|error| bad(format!("[central]: {error:#}")))
            }
        }
    }

    /// The way to it for the host itself.
    pub(crate) fn central_for_host(
        &self,
        name: Option<&str>,
    ) -> Result<Arc<dyn Connection>, Fault> {
        let member = self.central_member("registry", name)?;
        Ok(self.outbound.connect(&member, Rules::Host, true))
    }

    /// Forgets every cluster that nothing leads to any more.
    pub(crate) fn keep_only(&self, names: &BTreeSet<&str>) {
        let mut given = self.given.write().unwrap_or_else(PoisonError::into_inner);
        given.retain(|name, member| {
            let is_kept = names.contains(name.as_str());
            if !is_kept {
                self.outbound.forget(&member.uid);
            }
            is_kept
        });
    }
}

#[async_trait]
impl Peers for Configured {
    async fn central(
        &self,
        slot: &SlotName,
        name: Option<&str>,
        grants: &[ResourceGrant],
    ) -> Result<Arc<dyn Connection>, Fault> {
        let member = self.central_member(slot.as_str(), name)?;
        let rules = Rules::Central {
            grants: grants.to_vec(),
        };
        // A registry is asked for somebody who waits; an open breaker would answer for it.
        let inner = self.outbound.connect(&member, rules, true);
        let inner: Arc<dyn Connection> = match self.compatible.get() {
            Some(vault) => Arc::new(Compatible {
                inner,
                vault: vault.clone(),
            }),
            None => inner,
        };
        Ok(Arc::new(Inline {
            inner,
            found: self.found.clone(),
        }))
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
