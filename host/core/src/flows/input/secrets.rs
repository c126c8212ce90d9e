//! Credentials inside objects: taken out on the way in, masked on the way out.

use serde_json::{Map, Value, json};
use x509_parser::pem::Pem;

use super::{
    Problems,
    hidden::{drop_hidden, hide, is_hidden, is_hidden_in},
};
use crate::{
    flows::{found, kubeconfig},
    words::{Cluster, Credential, Secret},
};

/// The kind of reference that stands in an object where its credential was.
pub const REFERENCE_KIND: &str = "OptikonCredential";

/// A whole kubeconfig, as the 2018 tools put it into an annotation.
pub(super) const CONF: &str = "Conf";

pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Where `kubectl apply` keeps a copy of what it sent, tokens included.
pub fn last_applied_annotation() -> &'static str {
    LAST_APPLIED
}

/// Keys of a provider's `config` that hold a secret, in our convention.
const SECRET_KEYS: [&str; 4] = ["token", "password", "clientKey", "client-key-data"];
/// What stands in their place when somebody else's object is shown, to people and to plugins.
pub const MASKED: &str = "<masked>";

/// A bearer token longer than this is none.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Whether a key of a provider's `config` holds a secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    SECRET_KEYS.iter().any(|k| k.eq_ignore_ascii_case(key))
}

/// Whether a provider is our reference to a sealed credential.
pub(super) fn is_ours(provider: &Value) -> bool {
    let kind = provider.get("type").and_then(|t| t.get("name"));
    kind.and_then(Value::as_str) == Some(REFERENCE_KIND)
}

/// Removes every inline credential from a draft's object and answers it. More than one, or one
/// beside a reference to a Secret, is a problem. A placeholder stays where the object that is replaced has one, and gives way
/// to a credential.
pub(super) fn take_out(
    object: &mut Map<String, Value>,
    present: Option<&Map<String, Value>>,
    problems: &mut Problems,
) -> Option<Credential> {
    if is_hidden(object) && !present.is_some_and(is_hidden) {
        let rule = format!(
            "\"{MASKED}\" stands for a credential that is not shown; give the credential itself"
        );
        problems.add("spec.authInfo", rule);
        return None;
    }
    let mut given = Vec::new();
    if let Some(Value::Object(annotations)) = object
        .get_mut("metadata")
        .and_then(|m| m.get_mut("annotations"))
    {
        annotations.remove(LAST_APPLIED);
        if annotations.get(CONF).and_then(Value::as_str) != Some(MASKED)
            && let Some(conf) = annotations.remove(CONF)
            && let Some(text) = conf.as_str().filter(|t| !t.trim().is_empty())
        {
            match kubeconfig::parse(text).and_then(|k| k.context(None)) {
                Ok(context) => given.extend(context.credential),
                Err(error) => {
                    problems.add(format!("metadata.annotations[{CONF}]"), error.to_string());
                }
            }
        }
    }
    let auth = object.get_mut("spec").and_then(|s| s.get_mut("authInfo"));
    let mut has_reference = false;
    if let Some(Value::Object(auth)) = auth {
        auth.retain(|_, value| !value.is_null());
        has_reference = auth
            .get("controller")
            .and_then(|c| c.get("name"))
            .and_then(Value::as_str)
            .is_some_and(|n| !n.is_empty());
        if let Some(Value::Array(providers)) = auth.get_mut("providers") {
            for (i, provider) in providers.iter_mut().enumerate() {
                let path = format!("spec.authInfo.providers[{i}].config");
                let Some(Value::Object(config)) = provider.get_mut("config") else {
                    continue;
                };
                given.extend(from_config(config, &path, problems));
            }
            // A provider that only carried the credential has nothing more to say.
            providers.retain(|p| {
                let is_emptied = p
                    .get("config")
                    .and_then(Value::as_object)
                    .is_some_and(Map::is_empty);
                !is_emptied || given.is_empty()
            });
            if providers.is_empty() {
                auth.remove("providers");
            }
        }
    }
    if !given.is_empty() {
        drop_hidden(object);
    }
    if given.len() > 1 {
        problems.add(
            "spec.authInfo",
            "more than one credential is given; give one",
        );
    }
    if has_reference && !given.is_empty() {
        problems.add(
            "spec.authInfo.controller",
            "a reference and an inline credential contradict each other; give one",
        );
    }
    given.pop()
}

pub(super) fn from_config(
    config: &mut Map<String, Value>,
    path: &str,
    problems: &mut Problems,
) -> Option<Credential> {
    let mut text = |keys: [&str; 2]| {
        let stands = |key: &&str| {
            config
                .get(*key)
                .is_some_and(|value| value.as_str() != Some(MASKED))
        };
        let key = keys.into_iter().find(stands)?;
        config
            .remove(key)?
            .as_str()
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let token = text(["token", "Token"]);
    let certificate = text(["clientCertificate", "client-certificate-data"]);
    let key = text(["clientKey", "client-key-data"]);
    let password = text(["password", "Password"]);
    let username = if password.is_some() {
        text(["username", "Username"])
    } else {
        None
    };
    match (token, certificate, key, username, password) {
        (None, None, None, None, None) => None,
        (Some(token), None, None, None, None) => Some(Credential::Token(Secret::new(token))),
        (None, Some(certificate), Some(key), None, None) => {
            let pem = |text: String| kubeconfig::pem_or_base64(&text).unwrap_or(text);
            let (certificate, key) = (pem(certificate), Secret::new(pem(key)));
            Some(Credential::ClientCertificate { certificate, key })
        }
        (None, None, None, Some(username), Some(password)) => Some(Credential::Basic {
            username,
            password: Secret::new(password),
        }),
        _ => {
            let rule = "give token, or clientCertificate with clientKey, or username with password";
            problems.add(path, rule);
            None
        }
    }
}

/// The id of a registered cluster's credential: [`reference_of`] it, or that of the one in the object.
pub fn reference_in(cluster: &Cluster) -> Option<String> {
    // Most are looked through for those few that have one.
    let reference = cluster.mentions(REFERENCE_KIND).then(|| {
        let object = cluster.object();
        reference_of(&object).map(str::to_owned)
    });
    let reference = reference.flatten();
    reference.or_else(|| {
        is_hidden_in(cluster)
            .then(|| cluster.uid())
            .flatten()
            .map(|uid| found::id_of(&uid))
    })
}

/// The id of the sealed credential that an object refers to, in either form.
pub fn reference_of(object: &Map<String, Value>) -> Option<&str> {
    let auth = object.get("spec")?.get("authInfo")?;
    let controller = auth.get("controller");
    if controller
        .and_then(|c| c.get("kind"))
        .and_then(Value::as_str)
        == Some(REFERENCE_KIND)
    {
        return controller?.get("name")?.as_str();
    }
    auth.get("providers")?
        .as_array()?
        .iter()
        .find(|provider| is_ours(provider))?
        .get("config")?
        .get("id")?
        .as_str()
}

/// Puts a reference to a sealed credential where a registry can keep it, and removes an older one.
pub fn set_reference(object: &mut Map<String, Value>, id: Option<&str>, takes_references: bool) {
    let Some(Value::Object(spec)) = object.get_mut("spec") else {
        return;
    };
    let auth = spec
        .entry("authInfo")
        .or_insert_with(|| Value::Object(Map::new()));
    if !auth.is_object() {
        *auth = Value::Object(Map::new());
    }
    let Value::Object(auth) = auth else { return };
    let is_reference = |v: &Value| v.get("kind").and_then(Value::as_str) == Some(REFERENCE_KIND);
    if auth.get("controller").is_some_and(is_reference) {
        auth.remove("controller");
    }
    if let Some(Value::Array(providers)) = auth.get_mut("providers") {
        providers.retain(|p| !is_ours(p));
        if providers.is_empty() {
            auth.remove("providers");
        }
    }
    if let Some(id) = id {
        if takes_references {
            auth.insert(
                "controller".into(),
                json!({ "kind": REFERENCE_KIND, "name": id }),
            );
        } else {
            let provider = json!({
                "name": "optikon", "type": { "name": REFERENCE_KIND }, "config": { "id": id },
            });
            match auth.get_mut("providers") {
                Some(Value::Array(providers)) => providers.push(provider),
                _ => {
                    auth.insert("providers".into(), Value::Array(vec![provider]));
                }
            }
        }
    }
    if auth.is_empty() {
        spec.remove("authInfo");
    }
}

/// Hides whatever looks like a credential in an object that other tools wrote, and their copies of it, for every reply.
pub fn mask(object: &mut Map<String, Value>) {
    if let Some(Value::Object(annotations)) = object
        .get_mut("metadata")
        .and_then(|m| m.get_mut("annotations"))
    {
        annotations.remove(LAST_APPLIED);
    }
    hide(object);
}

/// A PEM bundle of at least one certificate, and nothing else.
pub(super) fn check_certificates(pem: &str) -> Result<(), String> {
    let mut count = 0;
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|_| "must be PEM".to_owned())?;
        if block.label != "CERTIFICATE" {
            return Err("must hold certificates only".into());
        }
        block
            .parse_x509()
            .map_err(|_| "holds a block that is no X.509 certificate".to_owned())?;
        count += 1;
    }
    if count == 0 {
        Err("must be a PEM bundle with at least one certificate".into())
    } else {
        Ok(())
    }
}

pub(super) fn check_credential(credential: &Credential, problems: &mut Problems) {
    match credential {
        Credential::Token(token) => {
            let token = token.expose();
            if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
                problems.add("token", "must be visible ASCII without spaces");
            } else if token.len() > MAX_TOKEN_BYTES {
                problems.add("token", format!("must be at most {MAX_TOKEN_BYTES} bytes"));
            }
        }
        Credential::ClientCertificate { certificate, key } => {
            if let Err(message) = check_certificates(certificate) {
                problems.add("clientCertificate", message);
            }
            let is_key = |label: &str| label.ends_with("PRIVATE KEY");
            let has_key = Pem::iter_from_buffer(key.expose().as_bytes())
                .any(|block| block.is_ok_and(|b| is_key(&b.label)));
            if !has_key {
                problems.add("clientKey", "must be a private key in PEM");
            }
        }
        Credential::Basic { username, password } => {
            let is_clean = |text: &str| !text.chars().any(char::is_control);
            if username.is_empty() || username.contains(':') || !is_clean(username) {
                problems.add(
                    "username",
                    "must be text without ':' and control characters",
                );
            }
            if !is_clean(password.expose()) {
                problems.add("password", "must not contain control characters");
            }
        }
    }
}
