//! Server addresses: what may stand in an object, and the one form the host works with.

use std::net::{IpAddr, Ipv6Addr};

/// A URL host may be 253 bytes; port and path come on top.
const MAX_BYTES: usize = 2048;

/// Normalises `host`, `host:port`, `IP`, `[IPv6]:port` or an `https://` URL (a path is allowed) to
/// `https://host[:port][/path]` without a trailing slash.
///
/// # Errors
/// One line that says what is wrong: another scheme, user info, query, fragment, control characters,
/// an empty or malformed host, a port out of range, a path with `..` or `//`.
pub fn normalise(address: &str) -> Result<String, String> {
    if address.is_empty() {
        return Err("must not be empty".into());
    }
    if address.len() > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes"));
    }
    if !address.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces".into());
    }
    let rest = match address.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
        Some((scheme, _)) => {
            return Err(format!(
                "scheme \"{}\" is not allowed, only https is",
                scheme.escape_debug()
            ));
        }
        None => address,
    };
    if rest.contains(['@', '?', '#', '\\', '%']) {
        return Err("must not contain user info, a query, a fragment, '\\' or '%'".into());
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let path = path.trim_end_matches('/');
    if path
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("path must not contain empty, '.' or '..' parts".into());
    }
    let (host, port) = split_authority(authority)?;
    let port = match port {
        None => String::new(),
        Some(port) => match port.parse::<u16>() {
            Ok(n) if n > 0 && port.bytes().all(|b| b.is_ascii_digit()) => format!(":{n}"),
            _ => return Err(format!("port \"{port}\" is not a number from 1 to 65535")),
        },
    };
    Ok(format!("https://{host}{port}{path}"))
}

fn split_authority(authority: &str) -> Result<(String, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (ip, after) = rest.split_once(']').ok_or("a '[' without its ']'")?;
        let ip: Ipv6Addr = ip
            .parse()
            .map_err(|_| format!("\"{ip}\" is not an IPv6 address"))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((format!("[{ip}]"), Some(port))),
            None if after.is_empty() => Ok((format!("[{ip}]"), None)),
            None => Err("only a port may follow the ']'".into()),
        };
    }
    if let Ok(ip) = authority.parse::<Ipv6Addr>() {
        return Ok((format!("[{ip}]"), None));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let lower = host.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    let is_host = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        });
    // All digits and dots must be an address: "1.2.3" would be read as another one by some resolvers.
    let is_numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_host || (is_numeric && name.parse::<std::net::Ipv4Addr>().is_err()) {
        return Err(format!(
            "\"{}\" is not a host name or IP address",
            host.escape_debug()
        ));
    }
    Ok((lower, port))
}

/// A range of client addresses. Free text in the registry: empty, `0.0.0.0` and `0.0.0.0/0` match
/// everybody.
///
/// # Errors
/// One line, when it is neither an address nor a CIDR block.
pub fn check_cidr(cidr: &str) -> Result<(), String> {
    if cidr.is_empty() || cidr.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let fits = cidr.split_once('/').is_some_and(|(ip, bits)| {
        let most = match ip.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|n| n <= most)
    });
    if fits {
        Ok(())
    } else {
        Err("must be empty or a CIDR block such as 10.0.0.0/8".into())
    }
}

/// A member's own proxy: `http://host:port`, without user info and path.
///
/// # Errors
/// One line that says what is wrong.
pub fn check_proxy(proxy: &str) -> Result<(), String> {
    let rest = proxy
        .strip_prefix("http://")
        .ok_or("must be http://host:port")?;
    if rest.contains('/') {
        return Err("must be http://host:port without a path".into());
    }
    normalise(rest).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn accepts_what_registries_hold() {
        for (given, wanted) in [
            ("10.0.0.1", "https://10.0.0.1"),
            ("10.0.0.1:6443", "https://10.0.0.1:6443"),
            ("API.Example.COM", "https://api.example.com"),
            (
                "https://api.example.com:443/k8s/clusters/c-1/",
                "https://api.example.com:443/k8s/clusters/c-1",
            ),
            ("[2001:db8::1]:6443", "https://[2001:db8::1]:6443"),
            ("2001:db8::1", "https://[2001:db8::1]"),
            ("HTTPS://a", "https://a"),
        ] {
            assert_eq!(normalise(given).as_deref(), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn refuses_what_could_lead_elsewhere() {
        for bad in [
            "",
            "http://a",
            "ftp://a",
            "https://u:p@a",
            "a?b",
            "a#b",
            "a b",
            "a\n",
            "a:0",
            "a:70000",
            "a:+1",
            "1.2.3",
            "[::1",
            "[::1]x",
            "[zz]",
            "a/../b",
            "a//b",
            "-a",
            "https://",
            "a\\b",
            "a%2f",
            "é",
        ] {
            assert!(normalise(bad).is_err(), "{bad}");
        }
    }
}
