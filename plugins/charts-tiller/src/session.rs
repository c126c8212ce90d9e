//! Tiller as functions: every call with the version that it wants to hear, and its texts as typed errors.

use std::collections::BTreeMap;

use optikon_plugin_sdk::{Error, ErrorCode};
use prost::Message;

use crate::{
    calls::{
        GetHistoryRequest, GetHistoryResponse, GetReleaseContentRequest, GetVersionRequest,
        GetVersionResponse, ListRecordsResponse, ListReleasesRequest, ListReleasesResponse, Part,
        ReleaseResponse,
    },
    wire::{Code, Release, ReleaseHead, Revision, decode},
    world::{Ask, Channel, Failure, World},
};

/// Looks take Tiller as long as the API server takes to answer it.
const LOOK_MS: u64 = 30_000;
/// Whether it is Tiller at all.
const VERSION_MS: u64 = 10_000;
/// What is added to Tiller's own timeout, so that its words come before ours.
const SLACK_MS: u64 = 10_000;
/// Releases asked for at once. Each comes with its whole chart, of which a record can hold 1 MiB.
const PAGE: i64 = 64;
/// Pages of one list, above which Tiller turns in circles.
const MAX_PAGES: usize = 1_000;
/// What Helm asks for.
const MAX_HISTORY: u32 = 256;
/// gRPC's own codes that somebody can act on.
const DEADLINE_EXCEEDED: u32 = 4;
const PERMISSION_DENIED: u32 = 7;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNIMPLEMENTED: u32 = 12;
const UNAVAILABLE: u32 = 14;

/// A conversation with one Tiller.
#[derive(Debug)]
pub struct Session<C> {
    channel: C,
    /// Its own version: what it hears from us, as an older one refuses younger clients.
    pub version: String,
}

impl<C: Channel> Session<C> {
    /// Opens a tunnel and asks for the version.
    ///
    /// # Errors
    /// Why Tiller cannot be reached, each with its own reason.
    pub async fn open<W: World<Channel = C>>(world: &W) -> Result<Self, Error> {
        let channel = world.dial().await.map_err(|f| of(Failure::Fault(f)))?;
        let ask = Ask {
            method: "GetVersion",
            version: None,
            message: GetVersionRequest {}.encode_to_vec(),
            timeout_ms: VERSION_MS,
        };
        let answer = channel.unary(ask).await.map_err(of)?;
        let answer: GetVersionResponse = decode(&answer)?;
        let version = answer.version.unwrap_or_default().sem_ver;
        if version.is_empty() {
            return Err(not_tiller("it has no version"));
        }
        Ok(Self { channel, version })
    }

    fn ask(&self, method: &'static str, message: &impl Message, timeout_ms: u64) -> Ask {
        Ask {
            method,
            version: Some(self.version.clone()),
            message: message.encode_to_vec(),
            timeout_ms,
        }
    }

    /// A change, or a dry run of one: the revision that came of it.
    ///
    /// # Errors
    /// Tiller's refusal; [`is_lost`] tells whether it may have gone on nevertheless.
    pub async fn change(
        &self,
        method: &'static str,
        request: &impl Message,
        timeout_seconds: i64,
    ) -> Result<Release, Error> {
        let seconds = u64::try_from(timeout_seconds).unwrap_or_default();
        let timeout_ms = seconds.saturating_mul(1_000).saturating_add(SLACK_MS);
        let ask = self.ask(method, request, timeout_ms);
        let answer = self.channel.unary(ask).await.map_err(of)?;
        let answer: ReleaseResponse = decode(&answer)?;
        answer
            .release
            .ok_or_else(|| not_tiller("its answer has no release"))
    }

    /// One revision, 0 for the last; none when there is none.
    ///
    /// # Errors
    /// Tiller's.
    pub async fn content(&self, name: &str, version: u32) -> Result<Option<Release>, Error> {
        let request = GetReleaseContentRequest {
            name: name.to_owned(),
            version: i32::try_from(version).unwrap_or(i32::MAX),
        };
        let ask = self.ask("GetReleaseContent", &request, LOOK_MS);
        match self.channel.unary(ask).await.map_err(of) {
            Ok(answer) => Ok(decode::<ReleaseResponse>(&answer)?.release),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest revisions, newest first; 0 for as many as Helm asks for. Empty when there is none.
    ///
    /// # Errors
    /// Tiller's.
    pub async fn history(&self, name: &str, limit: u32) -> Result<Vec<ReleaseHead>, Error> {
        let mut max = if limit == 0 {
            MAX_HISTORY
        } else {
            limit.min(MAX_HISTORY)
        };
        loop {
            let request = GetHistoryRequest {
                name: name.to_owned(),
                max: i32::try_from(max).unwrap_or(i32::MAX),
            };
            let ask = self.ask("GetHistory", &request, LOOK_MS);
            match self.channel.unary(ask).await.map_err(of) {
                Ok(answer) => return Ok(decode::<GetHistoryResponse>(&answer)?.releases),
                Err(error) if error.code == ErrorCode::NotFound => return Ok(Vec::new()),
                // Each comes with its whole chart: fewer may fit.
                Err(error) if error.code == ErrorCode::TooLarge && max > 1 => max /= 4,
                Err(error) => return Err(error),
            }
            max = max.max(1);
        }
    }

    /// The newest revision of every release whose name contains `filter`, of a namespace or of all.
    ///
    /// # Errors
    /// Tiller's.
    pub async fn list(
        &self,
        namespace: Option<&str>,
        filter: &str,
    ) -> Result<Vec<ReleaseHead>, Error> {
        let mut found = self
            .pages::<ListReleasesResponse>(namespace, quoted(filter))
            .await?;
        found.retain(|release| release.name.contains(filter));
        Ok(found)
    }

    /// The newest revision of every release whole, or of the one of that name.
    ///
    /// # Errors
    /// Tiller's.
    pub async fn records(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Vec<Release>, Error> {
        let filter = if name.is_empty() {
            String::new()
        } else {
            format!("^{}$", quoted(name))
        };
        let mut found = self.pages::<ListRecordsResponse>(namespace, filter).await?;
        found.retain(|release| name.is_empty() || release.name == name);
        Ok(found)
    }

    async fn pages<P: Part>(
        &self,
        namespace: Option<&str>,
        filter: String,
    ) -> Result<Vec<P::Release>, Error> {
        let mut newest: BTreeMap<String, P::Release> = BTreeMap::new();
        let mut offset = String::new();
        for _ in 0..MAX_PAGES {
            let next = self
                .page::<P>(namespace, &filter, &offset, &mut newest)
                .await?;
            // The name to start at; the same one twice would never end.
            if next.is_empty() || next == offset {
                return Ok(newest.into_values().collect());
            }
            offset = next;
        }
        Err(not_tiller("its list has no end"))
    }

    async fn page<P: Part>(
        &self,
        namespace: Option<&str>,
        filter: &str,
        offset: &str,
        newest: &mut BTreeMap<String, P::Release>,
    ) -> Result<String, Error> {
        let request = ListReleasesRequest {
            limit: PAGE,
            offset: offset.to_owned(),
            sort_by: 1,
            filter: filter.to_owned(),
            sort_order: 0,
            // A superseded revision is never the newest.
            status_codes: [
                Code::Unknown,
                Code::Deployed,
                Code::Deleted,
                Code::Failed,
                Code::Deleting,
                Code::PendingInstall,
                Code::PendingUpgrade,
                Code::PendingRollback,
            ]
            .map(|code| code as i32)
            .to_vec(),
            namespace: namespace.unwrap_or_default().to_owned(),
        };
        let ask = self.ask("ListReleases", &request, LOOK_MS);
        let mut next = String::new();
        let mut each = |message: Vec<u8>| {
            let (after, releases) = decode::<P>(&message)?.split();
            if !after.is_empty() {
                next = after;
            }
            for release in releases {
                let known = newest.get(release.name()).map_or(-1, P::Release::version);
                if release.version() > known {
                    newest.insert(release.name().to_owned(), release);
                }
            }
            Ok(())
        };
        // No release at all is a stream without any message.
        self.channel.stream(ask, &mut each).await?.map_err(of)?;
        Ok(next)
    }

    /// A stream of answers, each handed over as it comes.
    ///
    /// # Errors
    /// Tiller's, and those of `each`.
    pub async fn stream(
        &self,
        method: &'static str,
        request: &impl Message,
        timeout_seconds: i64,
        each: &mut dyn FnMut(Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let seconds = u64::try_from(timeout_seconds).unwrap_or_default();
        let timeout_ms = seconds.saturating_mul(1_000).saturating_add(SLACK_MS);
        let ask = self.ask(method, request, timeout_ms);
        self.channel.stream(ask, each).await?.map_err(of)
    }
}

/// The filter is a regular expression of Go.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Something else answers.
pub(crate) fn not_tiller(why: &str) -> Error {
    Error::unavailable(format!("what answers is not Tiller: {why}")).with("reason", "not-tiller")
}

/// Whether Tiller may have gone on with what it was asked: the tunnel was cut, or time was over.
#[must_use]
pub fn is_lost(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Timeout)
        || matches!(
            error.detail("reason"),
            Some("tunnel" | "connect" | "not-grpc")
        )
}

/// Whether no Tiller can be reached, whatever it was asked.
#[must_use]
pub fn is_away(error: &Error) -> bool {
    let reasons = [
        "no-pod",
        "pod-not-ready",
        "tunnel",
        "not-grpc",
        "not-tiller",
    ];
    error
        .detail("reason")
        .is_some_and(|reason| reasons.contains(&reason))
}

/// A failure as the gateway wants it. Tiller's code is nearly always the same, so its words decide.
pub(crate) fn of(failure: Failure) -> Error {
    let (code, text) = match failure {
        Failure::Fault(fault) if fault.reason == "not-grpc" => {
            return not_tiller(&fault.message);
        }
        Failure::Fault(fault) => return fault.into(),
        Failure::Status(code, text) => (code, text),
    };
    let has = |part: &str| text.contains(part);
    match code {
        UNIMPLEMENTED => not_tiller("it does not know the call"),
        DEADLINE_EXCEEDED => Error::timeout(format!("Tiller ran out of time: {text}")),
        RESOURCE_EXHAUSTED => Error::too_large(format!("Tiller's message is too large: {text}")),
        PERMISSION_DENIED => Error::denied(format!("Tiller refused: {text}")),
        UNAVAILABLE => {
            Error::unavailable(format!("Tiller is away: {text}")).with("reason", "tunnel")
        }
        _ if has("incompatible versions") => {
            Error::unavailable(format!("Tiller refused the version: {text}"))
                .with("reason", "version-mismatch")
        }
        _ if has("not found") && (has("release: ") || has("no revision for release")) => {
            Error::not_found(text)
        }
        _ if has("has no deployed releases") => Error::not_found(text),
        _ if has("already exists") && has("release named") || has("cannot re-use a name") => {
            Error::already_exists(text)
        }
        _ if has("is in progress") => locked(&text),
        _ if has("timed out waiting for the condition") => {
            Error::timeout(format!("not ready in time: {text}"))
        }
        _ => Error::unavailable(format!("Tiller refused: {text}")).with("reason", "tiller-refused"),
    }
}

/// Somebody else is at work on the release, or died at it.
pub(crate) fn locked(text: &str) -> Error {
    Error::conflict(
        format!(
            "the release is locked: {text}; if nobody works on it, force the upgrade, roll back, or uninstall"
        ),
        None,
    )
    .with("reason", "release-locked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tillers_words_have_their_codes() {
        for (text, code, reason) in [
            ("release: \"web\" not found", ErrorCode::NotFound, None),
            (
                "\"web\" has no deployed releases",
                ErrorCode::NotFound,
                None,
            ),
            (
                "a release named web already exists.\nRun: helm ls",
                ErrorCode::AlreadyExists,
                None,
            ),
            (
                "cannot re-use a name that is still in use",
                ErrorCode::AlreadyExists,
                None,
            ),
            (
                "another operation (install/upgrade/rollback) is in progress",
                ErrorCode::Conflict,
                Some("release-locked"),
            ),
            (
                "incompatible versions client[v2.18] server[v2.17.0]",
                ErrorCode::Unavailable,
                Some("version-mismatch"),
            ),
            (
                "release web failed: services \"web\" already exists",
                ErrorCode::Unavailable,
                Some("tiller-refused"),
            ),
        ] {
            let error = of(Failure::Status(2, text.to_owned()));
            assert_eq!(
                (error.code, error.detail("reason")),
                (code, reason),
                "{text}"
            );
        }
        assert_eq!(
            of(Failure::Status(12, "x".into())).detail("reason"),
            Some("not-tiller")
        );
    }

    #[test]
    fn a_filter_is_no_expression() {
        assert_eq!(quoted("a.b*"), r"a\.b\*");
    }
}
