//! Each technology has one owner.

use crate::tree::{dependencies, files, folders, read, settle};

/// Crate, who alone may depend on it, why.
const CRATES: &[(&str, &[&str], &str)] = &[
    (
        "wasmtime",
        &["engine"],
        "rules are run and tested without an engine",
    ),
    (
        "wasmtime-wasi",
        &["engine"],
        "what a guest finds is decided in one place",
    ),
    (
        "wasmparser",
        &["engine", "xtask"],
        "components are judged where they are loaded, and made where they are built",
    ),
    (
        "jsonschema",
        &["engine"],
        "a plugin's configuration is checked where the plugin is",
    ),
    ("axum", &["api"], "only the edge knows of HTTP requests"),
    ("utoipa", &["api"], "the document is made from the handlers"),
    (
        "prometheus-client",
        &["api"],
        "labels are bounded in one place",
    ),
    ("redb", &["store"], "one place decides what lasts"),
    (
        "chacha20poly1305",
        &["store"],
        "secrets are sealed in one place",
    ),
    ("h2", &["outbound"], "one place checks destinations"),
    (
        "rustls-native-certs",
        &["outbound"],
        "whom members are trusted by is decided once",
    ),
    (
        "webpki-roots",
        &["outbound"],
        "whom members are trusted by is decided once",
    ),
    ("hyper", &["api", "outbound"], "one accepts, one connects"),
    (
        "tokio-rustls",
        &["api", "outbound"],
        "one accepts, one connects",
    ),
    (
        "reqwest",
        &["optikon"],
        "the command line is a client of the gateway, and of nothing else",
    ),
    (
        "figment",
        &["optikon"],
        "configuration is values by the time it gets anywhere else",
    ),
    (
        "clap",
        &["optikon", "xtask"],
        "arguments are values by the time they get anywhere else",
    ),
    (
        "tracing-subscriber",
        &["optikon"],
        "libraries say, the binary decides where to",
    ),
    (
        "opentelemetry_sdk",
        &["optikon"],
        "libraries make spans, the binary decides where to",
    ),
    (
        "anyhow",
        &["optikon", "xtask"],
        "libraries have typed errors: a caller reacts to them",
    ),
];

/// Words of code, who alone may use them, why.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("wasmtime::", &["engine"], "foreign types stay home"),
    ("redb::", &["store"], "foreign types stay home"),
    ("axum::", &["api"], "foreign types stay home"),
    (
        "TlsConnector",
        &["outbound"],
        "one place checks destinations",
    ),
    (
        "hyper::client",
        &["outbound"],
        "one place checks destinations",
    ),
    (
        "TcpStream::connect",
        &["outbound"],
        "one place checks destinations",
    ),
    ("TcpSocket", &["outbound"], "one place checks destinations"),
    (
        "lookup_host",
        &["outbound"],
        "names are resolved where the addresses are checked",
    ),
    (
        "to_socket_addrs",
        &["outbound"],
        "names are resolved where the addresses are checked",
    ),
    (
        "SystemTime::now",
        &["optikon", "xtask", "store"],
        "the clock is a port; the store stamps its own files",
    ),
];

#[test]
fn each_technology_has_one_owner() {
    let mut complaints = Vec::new();
    for user in folders("host") {
        let manifest = read(format!("host/{user}/Cargo.toml"));
        for name in dependencies(&manifest) {
            let row = CRATES.iter().find(|(technology, ..)| *technology == name);
            if let Some((technology, owners, why)) = row
                && !owners.contains(&user.as_str())
            {
                complaints.push(format!(
                    "host/{user} depends on {technology}, which belongs to {}: {why}",
                    owners.join(", ")
                ));
            }
        }
    }
    settle("a technology has another user than its owner", &complaints);
}

#[test]
fn every_owner_still_owns() {
    let mut complaints = Vec::new();
    for (technology, owners, _) in CRATES {
        for owner in *owners {
            let manifest = read(format!("host/{owner}/Cargo.toml"));
            if !dependencies(&manifest)
                .iter()
                .any(|name| name == technology)
            {
                complaints.push(format!("host/{owner} does not depend on {technology}"));
            }
        }
    }
    settle("the table of owners is stale", &complaints);
}

#[test]
fn each_technology_is_named_by_its_owner_only() {
    let mut complaints = Vec::new();
    for file in files("host").iter().filter(|file| is_product_code(file)) {
        let user = file.split('/').nth(1).unwrap_or_default();
        for (number, line) in code(&read(file)) {
            for (word, owners, why) in WORDS {
                if line.contains(word) && !owners.contains(&user) {
                    complaints.push(format!("{file}:{number} says {word}: {why}"));
                }
            }
        }
    }
    settle("code speaks of somebody else's technology", &complaints);
}

/// Rust code that ends up in a program, not in a test.
fn is_product_code(file: &str) -> bool {
    file.ends_with(".rs")
        && file.contains("/src/")
        && !file.contains("/tests/")
        && !file.ends_with("tests.rs")
        && !file.ends_with("fakes.rs")
}

/// Lines of code before the unit tests, without comments, numbered from 1.
fn code(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" || !text.contains("mod tests {"))
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}
