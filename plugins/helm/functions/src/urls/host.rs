//! The host of a URL: names, ports, addresses in brackets.

use std::net::Ipv6Addr;

use super::escape::{Part, unescape};
use crate::go::quote;
use crate::text::find;

fn last(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().rposition(|b| *b == byte)
}

/// Nothing, or a colon and digits.
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

fn bad_port(text: &[u8]) -> String {
    format!("invalid port {} after host", quote(text))
}

/// Checks and unescapes a host with its port.
pub(super) fn parse(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, String> {
    match last(host, b'[') {
        Some(0) => return bracketed(host),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let Some(first) = host.iter().position(|b| *b == b':') {
        // Several colons are tolerated where a scheme may have a list of hosts.
        let strict = scheme == b"http" || scheme == b"https";
        let colon = if strict {
            first
        } else {
            last(host, b':').unwrap_or(first)
        };
        let port = host.get(colon..).unwrap_or_default();
        if !is_port(port) {
            return Err(bad_port(port));
        }
    }
    unescape(host, Part::Host)
}

fn bracketed(host: &[u8]) -> Result<Vec<u8>, String> {
    let Some(close) = last(host, b']') else {
        return Err("missing ']' in host".to_owned());
    };
    let port = host.get(close + 1..).unwrap_or_default();
    if !is_port(port) {
        return Err(bad_port(port));
    }
    let name = host.get(1..close).unwrap_or_default();
    let name = match find(name, b"%25") {
        Some(zone) => {
            let (address, zone) = name.split_at(zone);
            [unescape(address, Part::Host)?, unescape(zone, Part::Zone)?].concat()
        }
        None => unescape(name, Part::Host)?,
    };
    check_address(&name)?;
    Ok([
        b"[",
        name.as_slice(),
        b"]",
        unescape(port, Part::Host)?.as_slice(),
    ]
    .concat())
}

/// Only an IPv6 address may stand in brackets.
fn check_address(name: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(name);
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text.as_ref(), None),
    };
    if address.parse::<std::net::Ipv4Addr>().is_ok() && zone.is_none() {
        return Err("invalid IP-literal".to_owned());
    }
    let refused = |why: &str| Err(format!("invalid host: ParseAddr({}): {why}", quote(name)));
    if zone == Some("") {
        return refused("zone must be a non-empty string");
    }
    if address.parse::<Ipv6Addr>().is_err() {
        return refused(if address.contains(':') {
            "each colon-separated field must have at least one digit"
        } else {
            "unable to parse IP"
        });
    }
    Ok(())
}

/// The host without its port and brackets.
pub(super) fn name(host: &[u8]) -> &[u8] {
    let host = match last(host, b':') {
        Some(colon) if is_port(host.get(colon..).unwrap_or_default()) => {
            host.get(..colon).unwrap_or_default()
        }
        _ => host,
    };
    let inner = host
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    inner.unwrap_or(host)
}
