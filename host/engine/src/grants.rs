//! What a slot's plugin may import: asked for by its file AND granted by the operator.

use std::collections::BTreeSet;

use optikon_core::words::ResourceGrant;
use serde::{Deserialize, Serialize};

/// Interfaces of `optikon:host`, in the order of `wit/README.md`.
pub const INTERFACES: &[&str] = &[
    "log", "config", "call", "clock", "random", "kv", "kube", "central", "upstream", "keys",
    "progress", "facts", "grpc",
];

/// The grant behind which guests in other languages find an empty WASI.
pub const WASI: &str = "wasi";

/// What a slot's plugin may import.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Grants {
    /// Names of [`INTERFACES`], or [`WASI`].
    #[serde(default)]
    pub interfaces: BTreeSet<String>,
    /// What `central` may touch; absent = what the plugin asks for, empty = nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub central: Option<Vec<ResourceGrant>>,
}

impl Grants {
    /// These interfaces, and of the central cluster what the plugin asks for.
    pub fn new<'a>(interfaces: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            interfaces: interfaces.into_iter().map(str::to_owned).collect(),
            central: None,
        }
    }

    /// Whether an interface is granted.
    pub fn has(&self, interface: &str) -> bool {
        self.interfaces.contains(interface)
    }

    /// Granted names that do not exist, for `config check`.
    pub fn unknown(&self) -> Vec<&str> {
        let is_known = |name: &str| INTERFACES.contains(&name) || name == WASI;
        let names = self.interfaces.iter().map(String::as_str);
        names.filter(|name| !is_known(name)).collect()
    }

    /// The configuration line that would grant one more.
    pub(crate) fn line_with(&self, interface: &str) -> String {
        let mut all = self.interfaces.clone();
        all.insert(interface.to_owned());
        let quoted: Vec<String> = all.iter().map(|name| format!("\"{name}\"")).collect();
        format!("grants = [{}]", quoted.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_can_show_the_line_to_write() {
        let grants = Grants::new(["log", "config"]);
        assert_eq!(
            grants.line_with("kv"),
            r#"grants = ["config", "kv", "log"]"#
        );
        assert_eq!(Grants::new(["kv", "files"]).unknown(), ["files"]);
    }
}
