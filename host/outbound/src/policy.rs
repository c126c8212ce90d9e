//! Which addresses may be connected to at all.
//!
//! Clusters live in private networks, so those are open. What no cluster has any business to be is
//! the gateway itself, its neighbours on the link, or the machine's metadata service: a registered
//! address that leads there is an attempt to borrow the gateway's position.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{PoisonError, RwLock},
};

/// Instance metadata outside the link-local range: Alibaba, Azure's wire server, Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// … and Amazon's over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The destination policy. Asked with every resolved address, right before it is connected to.
#[derive(Debug)]
pub(crate) struct Policy {
    allow_loopback: bool,
    own_listeners: RwLock<Vec<SocketAddr>>,
}

impl Policy {
    pub(crate) fn new(allow_loopback: bool) -> Self {
        Self {
            allow_loopback,
            own_listeners: RwLock::default(),
        }
    }

    pub(crate) fn set_own_listeners(&self, listeners: Vec<SocketAddr>) {
        *self
            .own_listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner) = listeners;
    }

    /// The address in the form to connect to, or why not. `is_operators` is for an address from the
    /// configuration file: its author may reach the loopback anyway.
    pub(crate) fn check(
        &self,
        address: SocketAddr,
        is_operators: bool,
    ) -> Result<SocketAddr, String> {
        let ip = canonical(address.ip());
        let allow_loopback = self.allow_loopback || is_operators;
        if let Some(what) = forbidden(ip)
            && !(what == LOOPBACK && allow_loopback)
        {
            return Err(format!("{ip} is {what}"));
        }
        let address = SocketAddr::new(ip, address.port());
        if self.is_own(address) {
            return Err(format!("{address} is a listener of this gateway"));
        }
        Ok(address)
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let own = self
            .own_listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|listener| {
            let ip = canonical(listener.ip());
            listener.port() == address.port()
                && (ip == address.ip() || ip.is_unspecified() && is_local(address))
        })
    }
}

const LOOPBACK: &str = "a loopback address";

fn forbidden(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [first, ..] = ip.octets();
    if first == 0 {
        Some("an unspecified address")
    } else if ip.is_loopback() {
        Some(LOOPBACK)
    } else if ip == Ipv4Addr::new(169, 254, 169, 254) || METADATA_V4.contains(&ip) {
        Some("an instance metadata address")
    } else if ip.is_link_local() {
        Some("a link-local address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else if first >= 240 {
        Some("a reserved or broadcast address")
    } else {
        None
    }
}

fn forbidden_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if ip.is_unspecified() {
        Some("an unspecified address")
    } else if ip.is_loopback() {
        Some(LOOPBACK)
    } else if ip == METADATA_V6 {
        Some("an instance metadata address")
    } else if ip.is_unicast_link_local() {
        Some("a link-local address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else {
        embedded_v4(ip).and_then(forbidden_v4)
    }
}

/// The IPv4 address that a translator on the way would connect to: IPv4-compatible, NAT64, 6to4.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Whether an address is one of this machine's: the kernel then routes it to itself, from itself.
fn is_local(address: SocketAddr) -> bool {
    source_towards(address) == Some(address.ip())
}

/// The address that this machine would send from. Nothing is sent to find out.
pub(crate) fn source_towards(address: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(address).ok()?;
    Some(canonical(socket.local_addr().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(policy: &Policy, ip: &str) -> Result<SocketAddr, String> {
        policy.check(SocketAddr::new(ip.parse().unwrap(), 6443), false)
    }

    #[test]
    fn only_the_outside_and_private_networks_are_open() {
        let policy = Policy::new(false);
        for (ip, word) in [
            ("127.0.0.1", "loopback"),
            ("127.8.9.1", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::7f00:1", "loopback"),
            ("2002:7f00:1::", "loopback"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("::ffff:169.254.1.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("::ffff:169.254.169.254", "metadata"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("100.100.100.200", "metadata"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("::ffff:0.0.0.0", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
        ] {
            let refusal = verdict(&policy, ip).unwrap_err();
            assert!(refusal.contains(word), "{ip}: {refusal}");
        }
        for ip in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd12::1",
            "8.8.8.8",
            "2606:4700::1111",
        ] {
            assert!(verdict(&policy, ip).is_ok(), "{ip}");
        }
    }

    #[test]
    fn development_lifts_the_ban_on_loopback_and_nothing_else() {
        let policy = Policy::new(true);
        for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(verdict(&policy, ip).is_ok(), "{ip}");
        }
        for ip in ["169.254.169.254", "fe80::1", "0.0.0.0", "ff02::1"] {
            assert!(verdict(&policy, ip).is_err(), "{ip}");
        }
    }

    #[test]
    fn a_mapped_address_is_connected_to_in_its_plain_form() {
        let checked = verdict(&Policy::new(false), "::ffff:10.0.0.1").unwrap();
        assert_eq!(checked.to_string(), "10.0.0.1:6443");
    }

    #[test]
    fn own_listeners_are_refused_also_behind_a_wildcard() {
        let policy = Policy::new(true);
        for listener in ["127.0.0.1:6443", "0.0.0.0:6443", "[::]:6443"] {
            policy.set_own_listeners(vec![listener.parse().unwrap()]);
            let refusal = verdict(&policy, "127.0.0.1").unwrap_err();
            assert!(refusal.contains("listener"), "{listener}: {refusal}");
        }
        policy.set_own_listeners(vec!["0.0.0.0:6443".parse().unwrap()]);
        assert!(verdict(&policy, "198.51.100.7").is_ok());
        policy.set_own_listeners(vec!["127.0.0.1:1".parse().unwrap()]);
        assert!(verdict(&policy, "127.0.0.1").is_ok());
    }
}
