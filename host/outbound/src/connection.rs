//! The port `Connection`: one member's client in the hands of somebody with rules.

use std::sync::Arc;

use async_trait::async_trait;
use http::response::Parts;
use hyper::body::Incoming;
use optikon_core::{
    ports::{Channel, Connection},
    words::{
        Fault, FaultReason, LineStream, Mapping, Member, PodTarget, Refusal, Request, Response,
        Rules,
    },
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant, timeout_at},
};

use crate::{
    Shared,
    body::{Encoding, Held, Reader, lines},
    breaker::Pass,
    client::{Client, Sent, Turn},
    clock::{Clock, Phase},
    fault::fault,
    message::{Prepared, check_head, passed_on},
    pods,
    pool::{Lease, Marks},
};

/// A timeout below this says more about the caller than about the member.
const TELLING_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to one member.
#[derive(Debug)]
pub(crate) struct MemberConnection {
    client: Arc<Client>,
    member: Member,
    rules: Rules,
    is_live: bool,
}

impl MemberConnection {
    pub(crate) fn new(client: Arc<Client>, member: Member, rules: Rules, is_live: bool) -> Self {
        Self {
            client,
            member,
            rules,
            is_live,
        }
    }

    fn shared(&self) -> &Shared {
        &self.client.shared
    }

    /// One exchange under the deadline, the breaker and the clock. `finish` takes the head.
    async fn exchange<T, F>(
        &self,
        request: &Request,
        is_stream: bool,
        finish: impl FnOnce(Sent, Arc<Clock>) -> F + Send,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let prepared = Prepared::new(request, &self.rules, is_stream)?;
        let limit = self.limit(request);
        let deadline = Instant::now() + limit;
        let pass = self.client.breaker.admit(self.is_live)?;
        let clock = Arc::new(Clock::start());
        let work = async {
            let turn = match &self.rules {
                Rules::Prober if !self.is_live => Turn::Background,
                Rules::Central { .. } => Turn::Central,
                _ => Turn::Member,
            };
            let send = self.client.send(&prepared, turn, &clock, deadline);
            let sent = send.await?;
            clock.enter(Phase::Body);
            self.check(&sent)?;
            finish(sent, clock.clone()).await
        };
        let outcome = match timeout_at(deadline, Box::pin(work)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(clock.timeout(limit, self.member.name.as_str())),
        };
        self.settle(pass, outcome.as_ref().err(), &clock, limit);
        outcome.map_err(|mut failure| {
            failure.phases = clock.phases();
            failure
        })
    }

    fn limit(&self, request: &Request) -> Duration {
        let limit = self.shared().config.request_timeout();
        request.timeout.map_or(limit, |asked| asked.min(limit))
    }

    fn check(&self, sent: &Sent) -> Result<(), Fault> {
        check_head(
            sent.response.status(),
            sent.response.headers(),
            self.shared().config.header_bytes,
            self.member.credential.is_some(),
        )
    }

    /// Tells the breaker how it went. A head, whatever it says, is a sign of life.
    fn settle(&self, pass: Pass<'_>, failure: Option<&Fault>, clock: &Clock, limit: Duration) {
        let Some(failure) = failure else {
            return pass.succeed();
        };
        if clock.phase() == Phase::Body {
            return pass.succeed();
        }
        let counts = match failure.reason {
            FaultReason::Dns
            | FaultReason::Connect
            | FaultReason::Proxy
            | FaultReason::TlsUntrusted
            | FaultReason::TlsExpired
            | FaultReason::TlsName
            | FaultReason::TlsOther
            | FaultReason::TooLarge
            | FaultReason::Protocol => true,
            FaultReason::Unauthorized => return pass.succeed(),
            FaultReason::Timeout => clock.phase() != Phase::Queue && limit >= TELLING_TIMEOUT,
            FaultReason::BreakerOpen
            | FaultReason::Denied
            | FaultReason::CredentialUnbound
            | FaultReason::CredentialUnreadable
            | FaultReason::BadConfig
            | FaultReason::NoPod
            | FaultReason::PodNotReady
            | FaultReason::SeveralPods
            | FaultReason::Forbidden
            | FaultReason::Tunnel
            | FaultReason::NotGrpc => false,
        };
        let is_silent = failure.reason == FaultReason::Timeout && clock.phase() == Phase::FirstByte;
        if is_silent && clock.in_phase() >= self.shared().config.connect_timeout().min(limit / 2) {
            // The pooled connection may lead nowhere by now; a new one will tell.
            self.client.pool.distrust();
        }
        if counts {
            pass.fail(failure, self.dice());
        }
    }

    fn dice(&self) -> u64 {
        let mut bytes = [0; 8];
        self.shared().world.random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Reads an answer to its end.
    async fn read(&self, sent: Sent, clock: &Clock) -> Result<Response, Fault> {
        let Sent {
            response,
            lease,
            permit,
        } = sent;
        let (parts, body) = response.into_parts();
        let reader = Reader::new(body, self.shared().config.body_idle(), None);
        let cap = self.shared().config.body_cap(&self.rules);
        let encoding = Encoding::of(&parts.headers)?;
        let body = reader.whole(encoding, cap, &lease.marks).await?;
        let echo = self.echo_check().await?;
        let headers = checked_headers(&parts, &echo)?;
        echo.check(&body)?;
        self.client.pool.give_back(lease);
        drop(permit);
        Ok(Response {
            status: parts.status.as_u16(),
            headers,
            body,
            phases: clock.phases(),
        })
    }

    async fn echo_check(&self) -> Result<EchoCheck, Fault> {
        self.client.setup().await?;
        Ok(EchoCheck {
            client: self.client.clone(),
            // The host holds the credential anyway, and reads Secrets in which one may stand.
            is_on: self.rules != Rules::Host,
        })
    }

    async fn open_lines(
        &self,
        sent: Sent,
        clock: &Clock,
        deadline: Option<Instant>,
        place: OwnedSemaphorePermit,
    ) -> Result<Result<LineStream, Response>, Fault> {
        if !sent.response.status().is_success() {
            return Ok(Err(self.read(sent, clock).await?));
        }
        let Sent {
            response,
            lease,
            permit,
        } = sent;
        let (parts, body): (Parts, Incoming) = response.into_parts();
        if Encoding::of(&parts.headers)? != Encoding::Identity {
            return Err(fault(
                FaultReason::Protocol,
                "the stream has an encoding that was not asked for",
            ));
        }
        let echo = self.echo_check().await?;
        let config = &self.shared().config;
        let reader = Reader::new(body, config.lines_idle(), deadline);
        let held = Holding {
            lease,
            echo,
            _permit: permit,
            _place: place,
        };
        Ok(Ok(lines(reader, config.line_bytes, held)))
    }
}

fn checked_headers(parts: &Parts, echo: &EchoCheck) -> Result<Vec<(String, String)>, Fault> {
    let headers = passed_on(&parts.headers);
    for (_, value) in &headers {
        echo.check(value.as_bytes())?;
    }
    Ok(headers)
}

/// Looks for the connection's credential in what comes back.
struct EchoCheck {
    client: Arc<Client>,
    is_on: bool,
}

impl EchoCheck {
    fn check(&self, bytes: &[u8]) -> Result<(), Fault> {
        if self.is_on && self.client.repeats_credential(bytes) {
            return Err(fault(
                FaultReason::Protocol,
                "the reply repeats the credential it was asked with, so it was dropped",
            ));
        }
        Ok(())
    }
}

/// What lives as long as a stream of lines.
struct Holding {
    lease: Lease,
    echo: EchoCheck,
    _permit: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Held for Holding {
    fn marks(&self) -> &Marks {
        &self.lease.marks
    }

    fn check(&self, line: &[u8]) -> Result<(), Fault> {
        self.echo.check(line)
    }

    fn finish(self) {
        self.echo.client.pool.give_back(self.lease);
    }
}

#[async_trait]
impl Connection for MemberConnection {
    fn name(&self) -> &str {
        self.member.name.as_str()
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let finish = |sent, clock: Arc<Clock>| async move { self.read(sent, &clock).await };
        self.exchange(&request, false, finish).await
    }

    async fn lines(&self, request: Request) -> Result<LineStream, Refusal> {
        let deadline = request.timeout.map(|timeout| Instant::now() + timeout);
        let place = self.client.stream_place().map_err(Refusal::Fault)?;
        let finish = |sent, clock: Arc<Clock>| async move {
            self.open_lines(sent, &clock, deadline, place).await
        };
        match self.exchange(&request, true, finish).await {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(response)) => Err(Refusal::Refused(response)),
            Err(failure) => Err(Refusal::Fault(failure)),
        }
    }

    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        let limit = self.shared().config.request_timeout();
        let lookup = self.client.discovery.find(self, group, version, kind);
        match timeout_at(Instant::now() + limit, lookup).await {
            Ok(found) => found,
            Err(_) => Err(fault(
                FaultReason::Timeout,
                format!("timeout in discovery after {} ms", limit.as_millis()),
            )),
        }
    }

    async fn dial(&self, target: PodTarget) -> Result<Arc<dyn Channel>, Fault> {
        match self.rules {
            Rules::Charts { .. } | Rules::Host => {}
            Rules::Prober | Rules::Central { .. } | Rules::Upstream { .. } => {
                let message = "tunnels to pods are for charts backends only";
                return Err(fault(FaultReason::Denied, message));
            }
        }
        let limit = self.shared().config.request_timeout();
        let opening = Box::pin(pods::open(self, &self.client, &target));
        match timeout_at(Instant::now() + limit, opening).await {
            Ok(opened) => Ok(Arc::new(opened?)),
            Err(_) => Err(fault(
                FaultReason::Timeout,
                format!("timeout in opening a tunnel after {} ms", limit.as_millis()),
            )),
        }
    }
}
