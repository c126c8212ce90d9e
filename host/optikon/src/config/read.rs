//! Reads the configuration and finds *every* error in it, with its line.

use std::{fmt, path::Path};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value},
};
use optikon_core::{
    flows::address,
    words::{Selector, SlotName},
};

use super::Config;
use crate::keyring::Keys;

/// Tables of the file. Only `OPTIKON_<TABLE>__<KEY>` is configuration: an orchestrator sets variables
/// of its own for a service of this name (`OPTIKON_PORT`, `OPTIKON_SERVICE_HOST`), and the clients
/// have theirs (`OPTIKON_SERVER`, `OPTIKON_TOKEN_FILE`).
const TABLES: [&str; 11] = [
    "central",
    "charts",
    "server",
    "plugins",
    "outbound",
    "probing",
    "store",
    "telemetry",
    "upstreams",
    "v0",
    "vault",
];
/// More are not shown; they repeat themselves.
const MAX_PROBLEMS: usize = 100;

/// One error of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// From 1; absent for the environment.
    pub(crate) line: Option<usize>,
    /// As in `server.listen`.
    pub(crate) key: String,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: ")?,
            None => f.write_str("environment or default: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads a file (absent = defaults) and the environment.
pub(crate) fn read(file: Option<&Path>) -> Result<Config, Vec<Problem>> {
    let text = match file {
        None => String::new(),
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            vec![Problem {
                line: None,
                key: String::new(),
                message: format!("cannot read {}: {error}", file.display()),
            }]
        })?,
    };
    let environment = Env::prefixed("OPTIKON_")
        .filter(|key| is_ours(key.as_str()))
        .split("__");
    parse(&text, Figment::from(environment))
}

fn is_ours(variable: &str) -> bool {
    let lower = variable.to_ascii_lowercase();
    let table = lower.split_once("__").map(|(table, _)| table);
    lower == "log_format" || table.is_some_and(|table| TABLES.contains(&table))
}

/// Every error is found by taking the wrong value out and trying again.
fn parse(text: &str, environment: Figment) -> Result<Config, Vec<Problem>> {
    let lines = toml_edit::Document::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        vec![Problem {
            line,
            key: String::new(),
            message: error.message().to_owned(),
        }]
    })?;
    let figment = Figment::from(Toml::string(text)).merge(environment);
    let mut dict: Dict = figment.extract().map_err(|error| {
        vec![Problem {
            line: None,
            key: String::new(),
            message: error.to_string(),
        }]
    })?;
    let mut problems = Vec::new();
    loop {
        let errors = match Figment::from(Serialized::defaults(&dict)).extract::<Config>() {
            Ok(config) => {
                check(&config, &mut |key, message| {
                    problems.push(Problem {
                        line: line_at(&lines, text, key),
                        key: key.into(),
                        message,
                    });
                });
                return if problems.is_empty() {
                    Ok(config)
                } else {
                    Err(problems)
                };
            }
            Err(errors) => errors,
        };
        let mut is_progress = false;
        for error in errors {
            let mut path = error.path.clone();
            if let Kind::UnknownField(name, _) = &error.kind
                && path.last() != Some(name)
            {
                path.push(name.clone());
            }
            let key = path.join(".");
            let line = line_at(&lines, text, &key);
            problems.push(Problem {
                line,
                key,
                message: error.kind.to_string(),
            });
            is_progress |= remove(&mut dict, &path);
        }
        if !is_progress || problems.len() >= MAX_PROBLEMS {
            return Err(problems);
        }
    }
}

/// Takes out what is wrong; a missing field takes its table along.
fn remove(dict: &mut Dict, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    if rest.is_empty() {
        return dict.remove(first).is_some();
    }
    let is_removed = match dict.get_mut(first) {
        Some(Value::Dict(_, inner)) => remove(inner, rest),
        _ => false,
    };
    is_removed || dict.remove(first).is_some()
}

/// What types alone do not say.
fn check(config: &Config, problem: &mut dyn FnMut(&str, String)) {
    for name in config.plugins.slots.keys() {
        let is_known =
            matches!(name.as_str(), "registry" | "prober") || name.starts_with("charts-");
        if name.parse::<SlotName>().is_err() || !is_known {
            problem(
                &format!("plugins.slots.{name}"),
                "a slot is registry, prober or charts-<backend>".into(),
            );
        }
    }
    for error in config.outbound.check() {
        problem(
            &format!("outbound.{}", error.field.trim_start_matches("outbound.")),
            error.message,
        );
    }
    for certificate in &config.server.certificates {
        if let Err(error) = Selector::parse(&certificate.selector) {
            problem(
                "server.certificates",
                format!("\"{}\": {error}", certificate.name.escape_debug()),
            );
        }
    }
    if let Some(central) = &config.central {
        check_central(central, problem);
    }
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let namespace = &config.vault.namespace;
    if !(1..=63).contains(&namespace.len()) || !namespace.chars().all(is_part) {
        problem("vault.namespace", "must be a DNS label".into());
    }
    for (name, upstream) in &config.upstreams {
        if let Err(message) = address::normalise(&upstream.url) {
            problem(&format!("upstreams.{name}.url"), message);
        }
        if !upstream.path_prefix.starts_with('/') {
            problem(
                &format!("upstreams.{name}.path_prefix"),
                "must start with /".into(),
            );
        }
    }
    let telemetry = &config.telemetry;
    if let Some(endpoint) = &telemetry.otlp_endpoint
        && !reqwest::Url::parse(endpoint)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        problem(
            "telemetry.otlp_endpoint",
            "must be http://host:port or https://host:port of an OTLP/HTTP collector".into(),
        );
    }
    for (name, value) in &telemetry.otlp_headers {
        let is_name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !is_name || reqwest::header::HeaderValue::from_str(&value.0).is_err() {
            problem(
                "telemetry.otlp_headers",
                format!("\"{}\" is no header", name.escape_debug()),
            );
        }
    }
    if !(0.0..=1.0).contains(&telemetry.sample_ratio) {
        problem("telemetry.sample_ratio", "must be from 0 to 1".into());
    }
    match &config.charts.keyring {
        Some(file) => {
            if let Err(message) = Keys::read(file) {
                problem("charts.keyring", message);
            }
        }
        None if config.charts.require_provenance => problem(
            "charts.require_provenance",
            "needs charts.keyring: nobody's signature would count".into(),
        ),
        None => {}
    }
    if config.plugins.total_memory_bytes < 64 << 20 {
        problem(
            "plugins.total_memory_bytes",
            "must be at least 64 MiB (67108864)".into(),
        );
    }
}

fn check_central(central: &super::Central, problem: &mut dyn FnMut(&str, String)) {
    match (&central.kubeconfig, &central.server) {
        (Some(_), None) => {
            for (key, is_set) in [
                ("ca", central.ca.is_some()),
                ("token_file", central.token_file.is_some()),
                ("tls_server_name", central.tls_server_name.is_some()),
                ("proxy_url", central.proxy_url.is_some()),
            ] {
                if is_set {
                    problem(
                        &format!("central.{key}"),
                        "stands in the kubeconfig; give it there or instead of one".into(),
                    );
                }
            }
        }
        (None, Some(server)) => {
            if let Err(message) = address::normalise(server) {
                problem("central.server", message);
            }
            if central.context.is_some() {
                problem("central.context", "is of a kubeconfig".into());
            }
        }
        (Some(_), Some(_)) | (None, None) => {
            problem("central", "needs either kubeconfig or server".into());
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// The line of the deepest part of a key that stands in the file.
fn line_at(document: &toml_edit::Document<&str>, text: &str, key: &str) -> Option<usize> {
    let mut table: &dyn toml_edit::TableLike = document.as_table();
    let mut line = None;
    for part in key.split('.') {
        let Some((name, item)) = table.get_key_value(part) else {
            break;
        };
        let span = name.span().or_else(|| item.span());
        line = span.map(|span| line_of(text, span.start)).or(line);
        let Some(inner) = item.as_table_like() else {
            break;
        };
        table = inner;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match parse(text, Figment::new()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_error_is_listed_with_its_line() {
        let found = problems(
            "log_format = \"xml\"\nunknown = 1\n[server]\nlisten = \"nowhere\"\ntypo = 2\n\n[probing]\nreach_seconds = \"ten\"\n",
        );
        assert_eq!(found.len(), 5, "{found:#?}");
        for (line, key) in [
            (1, "log_format"),
            (2, "unknown"),
            (4, "server.listen"),
            (5, "server.typo"),
            (8, "probing.reach_seconds"),
        ] {
            let start = format!("line {line}: {key}");
            assert!(
                found.iter().any(|p| p.starts_with(&start)),
                "{start} in {found:#?}"
            );
        }
    }

    #[test]
    fn broken_toml_names_its_line() {
        let found = problems("[server]\nlisten = \n");
        assert!(
            found.len() == 1 && found[0].starts_with("line 2: "),
            "{found:?}"
        );
    }

    #[test]
    fn rules_beyond_types_are_checked() {
        let found = problems(
            "[plugins.slots.nonsense]\nplugin = \"x\"\n[upstreams.a]\nurl = \"http://h\"\n",
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("line 1: plugins.slots.nonsense"),
            "{found:?}"
        );
        assert!(problems("").is_empty());
    }

    #[test]
    fn a_central_cluster_is_a_kubeconfig_or_an_address() {
        for (text, key) in [
            ("[central]\n", "central"),
            (
                "[central]\nserver = \"https://h\"\nkubeconfig = \"f\"\n",
                "central",
            ),
            ("[central]\nserver = \"http://h\"\n", "central.server"),
            ("[central]\nkubeconfig = \"f\"\nca = \"g\"\n", "central.ca"),
        ] {
            let found = problems(text);
            assert!(found.len() == 1 && found[0].contains(key), "{found:?}");
        }
        assert!(problems("[central]\nserver = \"h:6443\"\ntoken_file = \"t\"\n").is_empty());
    }

    #[test]
    fn variables_of_others_are_no_configuration() {
        for ours in ["LOG_FORMAT", "SERVER__LISTEN", "STORE__VAULT_KEY"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "SERVER",
            "PORT",
            "SERVICE_HOST",
            "TOKEN_FILE",
            "PORT_7700_TCP__ADDR",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
