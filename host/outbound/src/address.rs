//! Endpoints, client ranges and proxies: texts from objects and configuration, taken apart.

use std::net::IpAddr;

use http::Uri;
use optikon_core::{flows::address::normalise, words::Endpoint};

/// An endpoint, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// Name or address, without brackets and final dot.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `host[:port]` as it stands in the URL.
    pub(crate) authority: String,
    /// Empty, or `/…` without a final `/`.
    pub(crate) path: String,
    /// Who prefers it.
    pub(crate) range: Range,
}

impl Base {
    /// Takes an endpoint apart; the error names what is wrong with it.
    pub(crate) fn parse(endpoint: &Endpoint) -> Result<Self, String> {
        let url = normalise(&endpoint.url)
            .map_err(|why| format!("address \"{}\" {why}", endpoint.url.escape_debug()))?;
        let rest = url.strip_prefix("https://").unwrap_or(&url);
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = split_port(authority);
        Ok(Self {
            host: host.trim_end_matches('.').to_owned(),
            port: port.unwrap_or(443),
            authority: authority.to_owned(),
            path: path.to_owned(),
            range: Range::parse(endpoint.client_cidr.as_deref().unwrap_or_default()),
        })
    }

    /// The whole URI of one request; every part was checked before.
    pub(crate) fn uri(&self, path: &str, query: &str) -> Result<Uri, http::Error> {
        let separator = if query.is_empty() { "" } else { "?" };
        Uri::builder()
            .scheme("https")
            .authority(self.authority.as_str())
            .path_and_query(format!("{}{path}{separator}{query}", self.path))
            .build()
    }
}

/// `[::1]:443` or `name:443`; the authority was normalised before.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// Whom an endpoint is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Range {
    /// Everybody: empty, `0.0.0.0`, `0.0.0.0/0`, `::/0`.
    All,
    /// Clients in the range.
    Cidr(IpAddr, u8),
    /// Free text that is no range; tried last.
    Unknown,
}

impl Range {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        if matches!(text, "" | "*" | "0.0.0.0" | "0.0.0.0/0" | "::" | "::/0") {
            return Self::All;
        }
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let Ok(ip) = ip.parse::<IpAddr>() else {
            return Self::Unknown;
        };
        let width = if ip.is_ipv4() { 32 } else { 128 };
        match bits.map(str::parse::<u8>) {
            None => Self::Cidr(ip, width),
            Some(Ok(bits)) if bits <= width => Self::Cidr(ip, bits),
            Some(_) => Self::Unknown,
        }
    }

    /// How well it fits a client: the length of the prefix, `None` when it does not.
    pub(crate) fn fits(&self, client: Option<IpAddr>) -> Option<u8> {
        match self {
            Self::All => Some(0),
            Self::Cidr(ip, bits) => contains(*ip, *bits, client?).then_some(*bits),
            Self::Unknown => None,
        }
    }
}

fn contains(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let shift = 32 - u32::from(bits);
            network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let shift = 128 - u32::from(bits);
            network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// The order in which to try endpoints: longest fitting range, then the order of the object; those
/// that fit nobody, and those that failed just now, come last rather than never.
pub(crate) fn order(fits: &[(Option<u8>, bool)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..fits.len()).collect();
    order.sort_by_key(|i| {
        let (fit, has_failed) = fits.get(*i).copied().unwrap_or_default();
        (has_failed, fit.is_none(), std::cmp::Reverse(fit))
    });
    order
}

/// `http://host:port` of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Reads a proxy's address; the error says what is wrong and never repeats it, as it may hold a
/// password.
pub(crate) fn parse_proxy(text: &str) -> Result<Proxy, String> {
    let rest = text
        .strip_prefix("http://")
        .ok_or("must be http://host:port")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("must not contain user info".into());
    }
    if rest.contains('/') {
        return Err("must be http://host:port, without a path".into());
    }
    let url = normalise(rest)?;
    let (host, port) = split_port(url.strip_prefix("https://").unwrap_or(&url));
    Ok(Proxy {
        host: host.to_owned(),
        port: port.unwrap_or(80),
    })
}

/// Whether a host goes without the operator's proxy.
pub(crate) fn is_exempt(no_proxy: &[String], host: &str) -> bool {
    let ip = host.parse::<IpAddr>().ok();
    no_proxy.iter().map(|entry| entry.trim()).any(|entry| {
        if entry.is_empty() {
            return false;
        }
        if entry == "*" {
            return true;
        }
        if ip.is_some() {
            return match Range::parse(entry) {
                Range::Cidr(network, bits) => ip.is_some_and(|ip| contains(network, bits, ip)),
                Range::All => true,
                Range::Unknown => false,
            };
        }
        let entry = entry.trim_start_matches('.').to_ascii_lowercase();
        host == entry
            || host
                .strip_suffix(entry.as_str())
                .is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Base {
        Base::parse(&Endpoint {
            client_cidr: None,
            url: url.into(),
        })
        .unwrap()
    }

    #[test]
    fn uris_are_put_together_from_parts() {
        for (url, wanted) in [
            ("https://a", "https://a/api?x=1"),
            (
                "https://10.0.0.1:6443/k8s/c-1",
                "https://10.0.0.1:6443/k8s/c-1/api?x=1",
            ),
            (
                "https://[2001:db8::1]:6443",
                "https://[2001:db8::1]:6443/api?x=1",
            ),
        ] {
            assert_eq!(base(url).uri("/api", "x=1").unwrap().to_string(), wanted);
        }
        let v6 = base("https://[2001:db8::1]");
        assert_eq!((v6.host.as_str(), v6.port), ("2001:db8::1", 443));
        assert_eq!(base("https://a.b.").host, "a.b");
    }

    #[test]
    fn the_longest_fitting_range_comes_first() {
        let client = "10.1.2.3".parse().ok();
        let fits = |cidr: &str| Range::parse(cidr).fits(client);
        for (cidr, wanted) in [
            ("", Some(0)),
            ("0.0.0.0", Some(0)),
            ("0.0.0.0/0", Some(0)),
            ("10.0.0.0/8", Some(8)),
            ("10.1.2.3", Some(32)),
            ("11.0.0.0/8", None),
            ("fd00::/8", None),
            ("10.0.0.0/33", None),
            ("office", None),
        ] {
            assert_eq!(fits(cidr), wanted, "{cidr}");
        }
        assert_eq!(
            order(&[
                (None, false),
                (Some(0), false),
                (Some(16), false),
                (Some(8), false)
            ]),
            [2, 3, 1, 0]
        );
        assert_eq!(order(&[(Some(0), true), (Some(0), false)]), [1, 0]);
        assert_eq!(order(&[(Some(0), false), (Some(0), false)]), [0, 1]);
    }

    #[test]
    fn a_proxy_is_plain_http_without_a_name_on_it() {
        let proxy = parse_proxy("http://proxy.example:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        for bad in [
            "",
            "proxy:1",
            "https://p",
            "socks5://p",
            "http://p/x",
            "http://u:hunter2@p",
        ] {
            let why = parse_proxy(bad).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn exemptions_are_names_addresses_and_ranges() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (entries, host, wanted) in [
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", true),
            (".example.com", "a.example.com", true),
            ("example.com", "badexample.com", false),
            ("10.0.0.0/8", "10.1.1.1", true),
            ("10.0.0.0/8", "11.1.1.1", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("x, *", "anything", true),
            ("", "a", false),
        ] {
            assert_eq!(is_exempt(&list(entries), host), wanted, "{entries} {host}");
        }
    }
}
