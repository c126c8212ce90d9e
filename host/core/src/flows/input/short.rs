//! The short form: `{"name", "server", "ca", "token", …}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{Draft, PROXY_URL, Problems, TLS_SERVER_NAME, object};
use crate::words::{Credential, GROUP_VERSION, KIND, Secret};

const FIELDS: [&str; 12] = [
    "name",
    "server",
    "ca",
    "token",
    "clientCertificate",
    "clientKey",
    "username",
    "password",
    "tlsServerName",
    "proxyUrl",
    "labels",
    "annotations",
];

/// The short form has its name at the top and neither `metadata` nor `spec`.
pub(super) fn is_short(map: &Map<String, Value>) -> bool {
    !map.keys()
        .any(|k| k.eq_ignore_ascii_case("metadata") || k.eq_ignore_ascii_case("spec"))
        && (map.contains_key("name") || map.contains_key("server"))
}

pub(super) fn read(mut map: Map<String, Value>, problems: &mut Problems) -> Draft {
    for key in map.keys().filter(|k| !FIELDS.contains(&k.as_str())) {
        problems.add(key.clone(), "unknown field");
    }
    let mut text = |key: &str| match map.remove(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => {
            problems.add(key, "must be a text");
            None
        }
    };
    let (name, server, ca) = (text("name"), text("server"), text("ca"));
    let (token, certificate, key) = (text("token"), text("clientCertificate"), text("clientKey"));
    let (username, password) = (text("username"), text("password"));
    let (tls_server_name, proxy_url) = (text("tlsServerName"), text("proxyUrl"));

    let labels = object::texts(map.remove("labels"), "labels", problems);
    let mut annotations = object::texts(map.remove("annotations"), "annotations", problems);
    for (key, value) in [(TLS_SERVER_NAME, tls_server_name), (PROXY_URL, proxy_url)] {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            annotations.insert(key.into(), value.into());
        }
    }
    let mut given = Vec::new();
    if let Some(token) = token {
        given.push(Credential::Token(Secret::new(token)));
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            given.push(Credential::ClientCertificate {
                certificate,
                key: Secret::new(key),
            });
        }
        (Some(_), None) => problems.add("clientKey", "is needed beside clientCertificate"),
        (None, Some(_)) => problems.add("clientCertificate", "is needed beside clientKey"),
        (None, None) => {}
    }
    match (username, password) {
        (Some(username), Some(password)) => {
            given.push(Credential::Basic {
                username,
                password: Secret::new(password),
            });
        }
        (Some(_), None) => problems.add("password", "is needed beside username"),
        (None, Some(_)) => problems.add("username", "is needed beside password"),
        (None, None) => {}
    }
    if given.len() > 1 {
        problems.add(
            "token",
            "give one of token, clientCertificate and username, not several",
        );
    }
    if server.is_none() {
        problems.add("server", "is missing");
    }
    let mut metadata = Map::new();
    metadata.insert("name".into(), name.unwrap_or_default().into());
    if !labels.is_empty() {
        metadata.insert("labels".into(), Value::Object(labels));
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), Value::Object(annotations));
    }
    let mut endpoints = Map::new();
    if let Some(server) = server {
        endpoints.insert(
            "serverEndpoints".into(),
            json!([{ "serverAddress": server }]),
        );
    }
    if let Some(ca) = ca.filter(|ca| !ca.is_empty()) {
        endpoints.insert("caBundle".into(), STANDARD.encode(ca).into());
    }
    let object = Map::from_iter([
        ("apiVersion".to_owned(), GROUP_VERSION.into()),
        ("kind".to_owned(), KIND.into()),
        ("metadata".to_owned(), Value::Object(metadata)),
        (
            "spec".to_owned(),
            json!({ "kubernetesApiEndpoints": endpoints }),
        ),
    ]);
    Draft {
        object,
        credential: given.pop(),
    }
}
