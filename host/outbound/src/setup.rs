//! What a member's object and credential come to, parsed once.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use optikon_core::words::{Credential, Fault, FaultReason, Member};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::time::{Duration, Instant};

use crate::{
    Shared,
    address::{self, Base, Range},
    dial::Route,
    echo::EchoGuard,
    fault::fault,
    tls,
};

/// How long an endpoint that failed is tried after the others.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// More endpoints than any object has reason to list.
const MAX_ENDPOINTS: usize = 16;

/// One endpoint and the way there.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) base: Base,
    pub(crate) route: Route,
    pub(crate) name: ServerName<'static>,
}

/// Everything that is needed to send a request to a member.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) ways: Vec<Way>,
    pub(crate) tls: Arc<ClientConfig>,
    /// Marked as sensitive.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) echo: EchoGuard,
    failed_at: Mutex<Vec<Option<Instant>>>,
}

fn bad_config(message: impl AsRef<str>) -> Fault {
    fault(FaultReason::BadConfig, message)
}

impl Setup {
    /// Parses a member; every fault is `BadConfig` and names the field.
    pub(crate) async fn new(member: &Member, shared: &Shared) -> Result<Self, Fault> {
        let own_proxy = match &member.proxy_url {
            Some(url) => Some(
                address::parse_proxy(url).map_err(|why| bad_config(format!("proxyUrl {why}")))?,
            ),
            None => None,
        };
        let mut ways = Vec::with_capacity(member.endpoints.len().min(MAX_ENDPOINTS));
        for (i, endpoint) in member.endpoints.iter().take(MAX_ENDPOINTS).enumerate() {
            let base = Base::parse(endpoint).map_err(|why| {
                bad_config(format!(
                    "spec.kubernetesApiEndpoints.serverEndpoints[{i}]: {why}"
                ))
            })?;
            let name = tls::server_name(member, &base.host)?;
            let route = match (&own_proxy, &shared.proxy) {
                (Some(proxy), _) => Route::Via {
                    proxy: proxy.clone(),
                    is_operators: false,
                },
                (None, Some(proxy)) if !address::is_exempt(&shared.no_proxy, &base.host) => {
                    Route::Via {
                        proxy: proxy.clone(),
                        is_operators: true,
                    }
                }
                (None, Some(_) | None) => Route::Direct,
            };
            ways.push(Way { base, route, name });
        }
        if ways.is_empty() {
            return Err(bad_config(
                "spec.kubernetesApiEndpoints.serverEndpoints names no address",
            ));
        }
        let tls = tls::client_config(member, &shared.roots, shared.world.clone()).await?;
        Ok(Self {
            failed_at: Mutex::new(vec![None; ways.len()]),
            ways,
            tls,
            authorization: authorization(member.credential.as_ref())?,
            echo: EchoGuard::new(member.credential.as_ref()),
        })
    }

    /// The order in which to try the endpoints now.
    pub(crate) async fn order(&self, shared: &Shared) -> Vec<usize> {
        if self.ways.len() < 2 {
            return vec![0];
        }
        let mut fits = Vec::with_capacity(self.ways.len());
        for (i, way) in self.ways.iter().enumerate() {
            let client = match way.base.range {
                Range::Cidr(..) => shared.dialer.source(&way.base).await,
                Range::All | Range::Unknown => None,
            };
            fits.push((way.base.range.fits(client), self.has_failed(i)));
        }
        address::order(&fits)
    }

    fn has_failed(&self, endpoint: usize) -> bool {
        let failed_at = self.failed_at.lock();
        let failed_at = failed_at.unwrap_or_else(PoisonError::into_inner);
        let at = failed_at.get(endpoint).copied().flatten();
        at.is_some_and(|at| at.elapsed() < FAILED_FOR)
    }

    /// Notes how the last attempt at an endpoint went.
    pub(crate) fn note(&self, endpoint: usize, has_failed: bool) {
        let failed_at = self.failed_at.lock();
        let mut failed_at = failed_at.unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = failed_at.get_mut(endpoint) {
            *at = has_failed.then(Instant::now);
        }
    }
}

fn authorization(credential: Option<&Credential>) -> Result<Option<HeaderValue>, Fault> {
    let text = match credential {
        None | Some(Credential::ClientCertificate { .. }) => return Ok(None),
        Some(Credential::Token(token)) => format!("Bearer {}", token.expose()),
        Some(Credential::Basic { username, password }) => format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{}", password.expose()))
        ),
    };
    let is_one_word = text.split(' ').count() == 2 && text.bytes().all(|b| (32..127).contains(&b));
    let mut value = HeaderValue::from_str(&text)
        .ok()
        .filter(|_| is_one_word)
        .ok_or_else(|| bad_config("the token must be visible ASCII without spaces"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
