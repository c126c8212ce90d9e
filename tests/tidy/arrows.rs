//! Which crate may know which.

use crate::tree::{dependencies, files, folders, read, settle};

/// A crate of the host and all that it may know of ours.
const HOST: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("engine", &["optikon-core"]),
    ("outbound", &["optikon-core"]),
    ("store", &["optikon-core"]),
    ("api", &["optikon-core"]),
    (
        "optikon",
        &[
            "optikon-core",
            "optikon-engine",
            "optikon-outbound",
            "optikon-store",
            "optikon-api",
            // `chart template` renders on the user's machine, without a gateway.
            "helm-chart",
            "helm-engine",
            "helm-functions",
        ],
    ),
    ("xtask", &[]),
];

fn is_ours(name: &str) -> bool {
    name.starts_with("optikon") || name.starts_with("helm-")
}

#[test]
fn host_crates_know_only_what_is_further_in() {
    let mut complaints = Vec::new();
    for folder in folders("host") {
        let Some((_, may)) = HOST.iter().find(|(name, _)| *name == folder) else {
            complaints.push(format!("host/{folder} is not in this test's table"));
            continue;
        };
        for name in dependencies(&read(format!("host/{folder}/Cargo.toml"))) {
            if is_ours(&name) && !may.contains(&name.as_str()) {
                complaints.push(format!(
                    "host/{folder} depends on {name}: the four in the middle never name each other, and core names none"
                ));
            }
        }
    }
    settle("an arrow points the wrong way", &complaints);
}

#[test]
fn plugins_and_host_share_no_crate_of_ours() {
    let mut complaints = Vec::new();
    for file in files("plugins")
        .iter()
        .filter(|file| file.ends_with("/Cargo.toml"))
    {
        let of_helm = file.starts_with("plugins/helm/");
        let is_sdk = file == "plugins/sdk/Cargo.toml";
        for name in dependencies(&read(file)) {
            let is_allowed = match name.as_str() {
                "optikon-plugin-sdk" => !of_helm && !is_sdk,
                name if name.starts_with("helm-") => of_helm || file.starts_with("plugins/charts-"),
                name => !is_ours(name),
            };
            if !is_allowed {
                complaints.push(format!(
                    "{file} depends on {name}: the bridge between host and plugins is wit/ and a file"
                ));
            }
        }
    }
    settle("an arrow points the wrong way", &complaints);
}

#[test]
fn plugins_have_no_way_out_of_their_own() {
    const SOCKETS: &[&str] = &[
        "tokio", "hyper", "reqwest", "wasi", "wasmtime", "rustls", "redb",
    ];
    let mut complaints = Vec::new();
    for file in files("plugins")
        .iter()
        .filter(|file| file.ends_with("/Cargo.toml"))
    {
        for name in dependencies(&read(file)) {
            if SOCKETS.contains(&name.as_str()) {
                complaints.push(format!(
                    "{file} depends on {name}: a plugin has what it imports from wit/"
                ));
            }
        }
    }
    settle("a plugin brings a technology of the host's", &complaints);
}
