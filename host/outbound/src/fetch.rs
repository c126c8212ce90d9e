//! Plain reads for charts: an address of a request, a repository or an index, its redirects included.
//!
//! Each hop is a connection of its own under the same policy as a member's: resolved once, every
//! address checked, https only. The credential goes to the hosts that it is for; once a redirect has
//! left them it is not sent again, not even to the first host.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use optikon_core::{
    ports::{Fetch, Fetched, Fetcher},
    words::{Credential, Endpoint, Fault, FaultReason, Link, Member},
};
use tokio::time::timeout;

use crate::{
    Outbound,
    body::{Encoding, Reader},
    clock::{Clock, Phase},
    fault::fault,
    message::{USER_AGENT, check_head_size, header_value},
    pool::Pool,
    setup::Setup,
};

/// As browsers and `helm` take it, less would break registries in front of object stores.
const MAX_REDIRECTS: usize = 5;
const MAX_ACCEPT_BYTES: usize = 1024;
/// Challenges of one answer.
const MAX_CHALLENGES: usize = 8;

enum Hop {
    Answer(Fetched),
    Redirect(Link),
}

#[async_trait]
impl Fetcher for Outbound {
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, Fault> {
        let clock = Clock::start();
        match timeout(fetch.timeout, self.hops(&fetch, &clock)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(clock.timeout(fetch.timeout, &fetch.link.authority())),
        }
    }
}

impl Outbound {
    async fn hops(&self, fetch: &Fetch, clock: &Clock) -> Result<Fetched, Fault> {
        let mut link = fetch.link.clone();
        let mut credential = fetch.credential.as_ref();
        for _ in 0..=MAX_REDIRECTS {
            if !fetch.trusted.contains(&link.authority()) {
                credential = None;
            }
            match Box::pin(self.hop(fetch, &link, credential, clock)).await? {
                Hop::Answer(answer) => return Ok(answer),
                Hop::Redirect(next) => link = next,
            }
        }
        Err(fault(
            FaultReason::Protocol,
            format!("{} redirects more than {MAX_REDIRECTS} times", fetch.link),
        ))
    }

    async fn hop(
        &self,
        fetch: &Fetch,
        link: &Link,
        credential: Option<&Credential>,
        clock: &Clock,
    ) -> Result<Hop, Fault> {
        let shared = &self.shared;
        let setup = Setup::new(&destination(fetch, link, credential)?, shared).await?;
        let way = setup
            .ways
            .first()
            .ok_or_else(|| fault(FaultReason::BadConfig, "the address names no host"))?;
        let dialled = shared.dialer.dial(
            &way.base,
            &way.route,
            setup.tls.clone(),
            way.name.clone(),
            clock,
        );
        let stream = dialled.await?;
        let config = &shared.config;
        let pool = Pool::new(config.header_bytes, config.keep_alive(), Arc::new(|| {}));
        let mut lease = pool.adopt(stream, 0).await?;
        let accept = match &fetch.accept {
            None => Some(HeaderValue::from_static("*/*")),
            Some(accept) => header_value(accept, MAX_ACCEPT_BYTES),
        };
        let accept = accept.ok_or_else(|| {
            fault(
                FaultReason::Denied,
                "the Accept header is not one line of ASCII",
            )
        })?;
        let offered = if fetch.is_packed { "identity" } else { "gzip" };
        let mut builder = http::Request::builder()
            .method("GET")
            .header(header::ACCEPT, accept)
            .header(header::ACCEPT_ENCODING, offered)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(authorization) = &setup.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        let is_plain = |error: http::Error| {
            fault(
                FaultReason::BadConfig,
                format!("no request can be made: {error}"),
            )
        };
        let uri = way.base.uri(link.path(), link.query()).map_err(is_plain)?;
        builder = if lease.is_h2() {
            builder.uri(uri)
        } else {
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            builder
                .header(header::HOST, way.base.authority.as_str())
                .uri(target)
        };
        let request = builder.body(Full::default()).map_err(is_plain)?;
        clock.enter(Phase::FirstByte);
        let answer = lease.send(request).await.map_err(|failed| failed.fault)?;
        let (head, body) = answer.into_parts();
        check_head_size(&head.headers, config.header_bytes)?;
        if let Some(next) = redirect(link, head.status, &head.headers)? {
            return Ok(Hop::Redirect(next));
        }
        clock.enter(Phase::Body);
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let media_type = head.headers.get(header::CONTENT_TYPE).and_then(text);
        let media_type = media_type.unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let encoding = if fetch.is_packed {
            Encoding::Identity
        } else {
            Encoding::of(&head.headers)?
        };
        let challenges = head.headers.get_all(header::WWW_AUTHENTICATE).iter();
        let reader = Reader::new(body, config.body_idle(), None);
        let body = reader
            .whole(encoding, fetch.limit_bytes, &lease.marks)
            .await?;
        if setup.echo.is_in(&body) {
            return Err(fault(
                FaultReason::Protocol,
                format!("{link} repeats the credential that it was asked with"),
            ));
        }
        Ok(Hop::Answer(Fetched {
            status: head.status.as_u16(),
            link: link.clone(),
            media_type: media_type.trim().to_ascii_lowercase(),
            challenges: challenges.filter_map(text).take(MAX_CHALLENGES).collect(),
            body,
        }))
    }
}

/// Whoever is connected to is set up as a member is: policy, proxy, TLS and credential in one place.
fn destination(
    fetch: &Fetch,
    link: &Link,
    credential: Option<&Credential>,
) -> Result<Member, Fault> {
    let never = |error: String| fault(FaultReason::BadConfig, error);
    Ok(Member {
        name: "source".parse().map_err(|e| never(format!("{e}")))?,
        uid: "source".parse().map_err(|e| never(format!("{e}")))?,
        endpoints: vec![Endpoint {
            client_cidr: None,
            url: format!("https://{}", link.authority()),
        }],
        ca: fetch.ca.clone(),
        tls_server_name: None,
        proxy_url: None,
        direct: None,
        credential: credential.cloned(),
    })
}

fn redirect(
    link: &Link,
    status: StatusCode,
    headers: &http::HeaderMap,
) -> Result<Option<Link>, Fault> {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if !is_redirect {
        return Ok(None);
    }
    let location = headers.get(header::LOCATION).and_then(|l| l.to_str().ok());
    let location = location.ok_or_else(|| {
        fault(
            FaultReason::Protocol,
            format!("{link} redirects to nowhere (status {})", status.as_u16()),
        )
    })?;
    link.join(location).map(Some).map_err(|why| {
        fault(
            FaultReason::Denied,
            format!("{link} redirects to an address that {why}"),
        )
    })
}
