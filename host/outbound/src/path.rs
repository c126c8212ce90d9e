//! Paths and queries as plugins give them: checked, taken apart, put together again.

use optikon_core::words::Method;

const MAX_PATH_BYTES: usize = 4096;
const MAX_QUERY_BYTES: usize = 16 << 10;

/// A path that cannot mean anything else to a server than it means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedPath {
    /// As it is sent.
    pub(crate) text: String,
    /// Its parts, decoded.
    pub(crate) parts: Vec<String>,
}

/// What a path addresses on a Kubernetes API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Addressed {
    /// Discovery, health, version.
    NonResource,
    /// Objects.
    Resource(Resource),
}

/// Objects on a Kubernetes API server, as its own authorisation sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    /// The part after the name, and what follows it.
    pub(crate) subresource: Option<String>,
    /// By the old `/watch/` prefix.
    pub(crate) is_watch_path: bool,
    /// By the old `/proxy/` prefix.
    pub(crate) is_proxy_path: bool,
}

impl Resource {
    /// The verb that the server will check.
    pub(crate) fn verb(&self, method: Method, is_watch: bool) -> &'static str {
        match method {
            Method::Get if is_watch || self.is_watch_path => "watch",
            Method::Get if self.name.is_some() => "get",
            Method::Get => "list",
            Method::Post => "create",
            Method::Put => "update",
            Method::Patch => "patch",
            Method::Delete if self.name.is_some() => "delete",
            Method::Delete => "deletecollection",
        }
    }
}

/// Checks a path: absolute, no empty, `.` or `..` part in any spelling, nothing that ends a path
/// early, nothing that a second decoding would turn into something else.
pub(crate) fn check_path(path: &str) -> Result<CheckedPath, String> {
    if path.len() > MAX_PATH_BYTES {
        return Err(format!("the path is longer than {MAX_PATH_BYTES} bytes"));
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err("the path must start with '/'".into());
    };
    if let Some(bad) = path.chars().find(|c| {
        !c.is_ascii_graphic()
            || matches!(
                c,
                '?' | '#' | '@' | '\\' | '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' | '[' | ']'
            )
    }) {
        return Err(format!(
            "the path must not contain '{}'",
            bad.escape_default()
        ));
    }
    let mut parts = Vec::new();
    if !rest.is_empty() {
        for part in rest.split('/') {
            parts.push(check_part(part)?);
        }
    }
    Ok(CheckedPath {
        text: path.to_owned(),
        parts,
    })
}

fn check_part(part: &str) -> Result<String, String> {
    let decoded = decode(part)?;
    if decoded.is_empty() {
        return Err("the path must not contain '//' or end with '/'".into());
    }
    if decoded
        .chars()
        .any(|c| c.is_control() || matches!(c, '/' | '\\' | '%'))
    {
        return Err(
            "the path must not contain encoded '/', '\\', '%' or control characters".into(),
        );
    }
    // Some servers cut parameters off a part before they look at its dots.
    if matches!(decoded.split(';').next(), Some("." | "..")) {
        return Err("the path must not contain '.' or '..' parts".into());
    }
    Ok(decoded)
}

fn decode(part: &str) -> Result<String, String> {
    let bad = || "the path contains a '%' that encodes nothing".to_owned();
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = rest.next().map(char::from).and_then(|c| c.to_digit(16));
            digit.and_then(|d| u8::try_from(d).ok()).ok_or_else(bad)
        };
        let (high, low) = (digit()?, digit()?);
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Encodes a query; everything but unreserved characters is escaped, so a value cannot end it.
pub(crate) fn encode_query(query: &[(String, String)]) -> Result<String, String> {
    let mut text = String::new();
    for (key, value) in query {
        if key.is_empty() {
            return Err("a query parameter has no name".into());
        }
        if !text.is_empty() {
            text.push('&');
        }
        encode_into(&mut text, key);
        text.push('=');
        encode_into(&mut text, value);
        if text.len() > MAX_QUERY_BYTES {
            return Err(format!("the query is longer than {MAX_QUERY_BYTES} bytes"));
        }
    }
    Ok(text)
}

fn encode_into(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Takes a path apart as the API server's own request parsing does.
pub(crate) fn address(path: &CheckedPath) -> Result<Addressed, String> {
    let parts: Vec<&str> = path.parts.iter().map(String::as_str).collect();
    let (group, version, mut rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Ok(Addressed::NonResource),
    };
    if rest.is_empty() {
        return Ok(Addressed::NonResource);
    }
    let (mut is_watch_path, mut is_proxy_path) = (false, false);
    if let [prefix @ ("watch" | "proxy"), after @ ..] = rest {
        is_watch_path = *prefix == "watch";
        is_proxy_path = *prefix == "proxy";
        rest = after;
    }
    let mut namespace = None;
    if let ["namespaces", name, after @ ..] = rest
        && let [first, ..] = after
        && !matches!(*first, "status" | "finalize")
    {
        namespace = Some((*name).to_owned());
        rest = after;
    }
    let [plural, rest @ ..] = rest else {
        return Err("the path names no resource".into());
    };
    let subresource = rest.get(1..).unwrap_or_default().join("/");
    Ok(Addressed::Resource(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        plural: (*plural).to_owned(),
        name: rest.first().map(|n| (*n).to_owned()),
        subresource: (!subresource.is_empty()).then_some(subresource),
        is_watch_path,
        is_proxy_path,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricks_are_refused() {
        for path in [
            "",
            "api",
            "@evil",
            "/@evil/api",
            "//evil/api",
            "/api//v1",
            "/api/",
            "/api/./v1",
            "/api/../v1",
            "/api/%2e%2e/v1",
            "/api/%2E/v1",
            "/api/.%2e/v1",
            "/api/..;a=b/v1",
            "/api/%2fv1",
            "/api/%5cv1",
            "/api\\v1",
            "/api/%252e%252e/v1",
            "/api/%00",
            "/api/%0d%0a",
            "/api/%zz",
            "/api/%f",
            "/api/%ff",
            "/api?x=y",
            "/api#x",
            "/api v1",
            "/api\r\nHost: evil",
            "/é",
            &format!("/{}", "a".repeat(MAX_PATH_BYTES)),
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_kubernetes_uses_passes() {
        for path in [
            "/",
            "/version",
            "/api/v1/namespaces/a/pods/b.c-d",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
            "/x/a%20b",
        ] {
            assert_eq!(check_path(path).unwrap().text, path);
        }
        assert_eq!(check_path("/x/a%20b").unwrap().parts, ["x", "a b"]);
    }

    #[test]
    fn a_query_value_stays_a_value() {
        let query = [("labelSelector".into(), "a=b&watch=1#é".into())];
        assert_eq!(
            encode_query(&query).unwrap(),
            "labelSelector=a%3Db%26watch%3D1%23%C3%A9"
        );
        assert!(encode_query(&[(String::new(), "x".into())]).is_err());
        assert!(encode_query(&[("a".into(), "x".repeat(MAX_QUERY_BYTES))]).is_err());
    }

    #[test]
    fn paths_are_read_as_the_server_reads_them() {
        let read = |path: &str| match address(&check_path(path).unwrap()).unwrap() {
            Addressed::NonResource => String::from("-"),
            Addressed::Resource(r) => format!(
                "{} {} {} {} {} {}{}",
                r.group,
                r.version,
                r.namespace.unwrap_or_default(),
                r.plural,
                r.name.unwrap_or_default(),
                r.subresource.unwrap_or_default(),
                if r.is_watch_path { "w" } else { "" }
            ),
        };
        for (path, wanted) in [
            ("/api", "-"),
            ("/api/v1", "-"),
            ("/apis/apps/v1", "-"),
            ("/version", "-"),
            ("/api/v1/nodes", " v1  nodes  "),
            ("/api/v1/namespaces", " v1  namespaces  "),
            ("/api/v1/namespaces/x", " v1  namespaces x "),
            (
                "/api/v1/namespaces/x/finalize",
                " v1  namespaces x finalize",
            ),
            ("/api/v1/namespaces/x/secrets", " v1 x secrets  "),
            ("/api/v1/namespaces/x/pods/p/log", " v1 x pods p log"),
            (
                "/api/v1/namespaces/x/pods/p/proxy/a/b",
                " v1 x pods p proxy/a/b",
            ),
            ("/api/v1/watch/namespaces/x/secrets", " v1 x secrets  w"),
            (
                "/apis/apps/v1/namespaces/x/deployments/d",
                "apps v1 x deployments d ",
            ),
        ] {
            assert_eq!(read(path), wanted, "{path}");
        }
        assert!(address(&check_path("/api/v1/watch").unwrap()).is_err());
    }
}
