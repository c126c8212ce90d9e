//! Who may pass: `Host` and `Origin` against DNS rebinding, then token or certificate, then role.

use std::net::IpAddr;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_core::{Error, words::Caller};

use super::PeerCertificate;
use crate::{
    problem::Problem,
    router::{Access, ENDPOINTS},
    state::Gateway,
};

/// Lets a request through to its handler, with its [`Caller`].
pub(crate) async fn admit(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = check_host(&gateway, &request) {
        return problem.into_response();
    }
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>();
    let needed = path.and_then(|path| needed(&method, path.as_str()));
    if needed == Some(Access::Public) {
        return next.run(request).await;
    }
    let caller = match authenticate(&gateway, &request) {
        Ok(caller) => caller,
        Err(error) => return Problem::from(error).into_response(),
    };
    // Unknown paths and methods are answered by the router itself, but only to callers we know.
    if let Some(Access::From(role)) = needed
        && caller.role < role
    {
        let error = Error::Denied(format!(
            "this needs the role {}, \"{}\" has the role {}",
            role.as_str(),
            caller.name.escape_debug(),
            caller.role.as_str()
        ));
        return Problem::from(error).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Who may call an endpoint; none for what is not in the table.
pub(super) fn needed(method: &Method, path: &str) -> Option<Access> {
    // HEAD is answered by GET's handler.
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let row = ENDPOINTS.iter().find(|(m, p, _)| *p == path && m == method);
    row.map(|(_, _, access)| *access)
}

fn authenticate(gateway: &Gateway, request: &Request) -> Result<Caller, Error> {
    if let Some(token) = token(request.headers())? {
        return gateway.tokens.authenticate(&token);
    }
    if let Some(PeerCertificate(name)) = request.extensions().get() {
        return gateway.certificates.get(name).cloned().ok_or_else(|| {
            Error::Unauthenticated(
                "the client certificate is valid, but its name has no role in [[server.certificates]]".into(),
            )
        });
    }
    Err(Error::Unauthenticated(
        "no token was sent; send it as Authorization: Bearer, or as the password of a browser's prompt".into(),
    ))
}

/// A bearer token, or the password of basic authentication, so that a browser can show `/docs`.
fn token(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let bad =
        || Error::Unauthenticated("the Authorization header is neither Bearer nor Basic".into());
    let (scheme, rest) = value
        .to_str()
        .ok()
        .and_then(|v| v.split_once(' '))
        .ok_or_else(bad)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(rest.trim().to_owned()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = STANDARD
            .decode(rest.trim())
            .ok()
            .and_then(|b| String::from_utf8(b).ok());
        let (_, password) = text
            .as_deref()
            .and_then(|t| t.split_once(':'))
            .ok_or_else(bad)?;
        return Ok(Some(password.to_owned()));
    }
    Err(bad())
}

/// A page of somebody else's that resolves its own name to our address is stopped here: a name in
/// `Host` must be configured; an IP address cannot be rebound.
fn check_host(gateway: &Gateway, request: &Request) -> Result<(), Problem> {
    let host = check_name(gateway, request)?;
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
        if !authority.eq_ignore_ascii_case(&host) {
            return Err(
                Error::Denied("requests from pages of other origins are refused".into()).into(),
            );
        }
    }
    Ok(())
}

/// The `Host`, if it is one of ours.
pub(super) fn check_name(gateway: &Gateway, request: &Request) -> Result<String, Problem> {
    let headers = request.headers();
    let from_uri = request.uri().authority().map(|a| a.as_str().to_owned());
    let from_header = headers
        .get(header::HOST)
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    let host = from_uri.or(from_header).unwrap_or_default();
    let name = without_port(&host).to_ascii_lowercase();
    let is_ip = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_known = is_ip
        || name == "localhost"
        || gateway
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&name));
    if !is_known {
        return Err(Error::Denied(format!(
            "host \"{}\" is not one of this gateway's names; add it to [server] hosts",
            name.escape_debug()
        ))
        .into());
    }
    Ok(host)
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host
            .find(']')
            .and_then(|end| host.get(..=end))
            .unwrap_or(host);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}
