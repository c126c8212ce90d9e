//! Names that cannot be wrong once they exist.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Kubernetes caps a DNS-1123 label at 63 bytes.
const MAX_LABEL_BYTES: usize = 63;
/// … and a subdomain at 253.
const MAX_SUBDOMAIN_BYTES: usize = 253;

/// A text that is not such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidName {
    /// What kind of name was wanted.
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

const LABEL_RULE: &str = "a DNS-1123 label: 1 to 63 lower-case letters, digits and '-', starting and ending with a letter or digit";
const SUBDOMAIN_RULE: &str = "a DNS-1123 subdomain: up to 253 lower-case letters, digits, '-' and '.', each part starting and ending with a letter or digit";
const UID_RULE: &str = "1 to 128 visible ASCII characters without '/'";

fn is_label(text: &str) -> bool {
    let edge_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= MAX_LABEL_BYTES
        && text.starts_with(edge_ok)
        && text.ends_with(edge_ok)
        && text.chars().all(|c| edge_ok(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    let edge_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= MAX_SUBDOMAIN_BYTES
        && text.split('.').all(|part| {
            part.starts_with(edge_ok)
                && part.ends_with(edge_ok)
                && part.chars().all(|c| edge_ok(c) || c == '-')
        })
}

fn is_uid(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:path, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $check(text)
                    .then(|| Self(text.into()))
                    .ok_or(InvalidName { what: $what, rule: $rule })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// A cluster's name. Read from a registry it may be any DNS-1123 subdomain; a name that is
    /// created here must also pass [`ClusterName::is_label`], as it ends up in object names and URLs.
    ClusterName, "a cluster name", is_subdomain, SUBDOMAIN_RULE
}

impl ClusterName {
    /// Whether the name may be given to a new cluster.
    pub fn is_label(&self) -> bool {
        is_label(&self.0)
    }

    /// Why [`ClusterName::is_label`] is false.
    pub fn label_rule() -> &'static str {
        LABEL_RULE
    }
}

name! {
    /// A place that a plugin fills: `registry`, `prober` or `charts-<backend>`.
    SlotName, "a slot name", is_label, LABEL_RULE
}

name! {
    /// A plugin's name, as its `plugin.toml` gives it.
    PluginName, "a plugin name", is_label, LABEL_RULE
}

name! {
    /// What tells a cluster from a later one of the same name. All host state is keyed by it.
    Uid, "a uid", is_uid, UID_RULE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains_follow_dns_1123() {
        for good in ["a", "edge-1", "1edge", &"a".repeat(63)] {
            assert!(good.parse::<SlotName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "é", &"a".repeat(64)] {
            assert!(bad.parse::<SlotName>().is_err(), "{bad}");
        }
        for good in ["1.edge", "a.b-c.d", &"a".repeat(253)] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", "a/b", "..", &"a".repeat(254)] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
        assert!(!"1.edge".parse::<ClusterName>().unwrap().is_label());
    }
}
