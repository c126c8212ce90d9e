//! How other projects write clusters down: ClusterProfile, Argo CD, Karmada, Open Cluster Management. Each becomes the short
//! form of a registration; what it says beyond that is kept in annotations, and what cannot be kept is said.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_core::words::{Credential, Secret};
use serde_json::{Map, Value, json};

use super::{Form, Source, short_form};

/// Annotations with what another format says and ours has no field for.
const DISPLAY_NAME: &str = "optikon.io/display-name";
const MANAGER: &str = "optikon.io/cluster-manager";
const PROPERTIES: &str = "optikon.io/properties";
const PROJECT: &str = "optikon.io/argocd-project";

/// Secrets that stand beside the objects, by `namespace/name`.
pub(super) type Secrets = BTreeMap<String, Value>;

/// A registration made of an object of another project.
#[derive(Debug)]
pub(super) struct Imported {
    /// Its own name, which may be no label.
    pub(super) name: String,
    /// The body to send.
    pub(super) body: Value,
    /// What is not in it.
    pub(super) losses: Vec<String>,
}

/// The objects of a format in these documents, lists taken apart.
pub(super) fn objects(form: Form, documents: Vec<Value>) -> (Vec<Value>, Secrets) {
    let (mut found, mut secrets) = (Vec::new(), Secrets::new());
    let mut rest = documents;
    while let Some(mut document) = rest.pop() {
        if let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) {
            rest.extend(items);
            continue;
        }
        let kind = text(&document, "/kind");
        if kind == "Secret" {
            let key = format!(
                "{}/{}",
                text(&document, "/metadata/namespace"),
                text(&document, "/metadata/name")
            );
            secrets.insert(key, document.clone());
        }
        let group = text(&document, "/apiVersion");
        let is_wanted = match form {
            Form::Clusterprofile => kind == "ClusterProfile",
            Form::Argocd => {
                let labels = document.pointer("/metadata/labels");
                kind == "Secret"
                    && labels
                        .and_then(|l| l.get(ARGOCD))
                        .is_some_and(|l| l == "cluster")
            }
            Form::Karmada => kind == "Cluster" && group.starts_with("cluster.karmada.io/"),
            Form::Ocm => kind == "ManagedCluster",
            Form::Kubeconfig | Form::Yaml => false,
        };
        if is_wanted {
            found.push(document);
        }
    }
    found.sort_by_key(|object| text(object, "/metadata/name"));
    (found, secrets)
}

/// The paths of a live hub where these objects are.
pub(super) fn paths(form: Form) -> &'static [&'static str] {
    match form {
        Form::Clusterprofile => &["/apis/multicluster.x-k8s.io/v1alpha1/clusterprofiles"],
        Form::Argocd => &["/api/v1/namespaces/argocd/secrets"],
        Form::Karmada => &["/apis/cluster.karmada.io/v1alpha1/clusters"],
        Form::Ocm => &["/apis/cluster.open-cluster-management.io/v1/managedclusters"],
        Form::Kubeconfig | Form::Yaml => &[],
    }
}

const ARGOCD: &str = "argocd.argoproj.io/secret-type";

/// One object as a registration.
///
/// # Errors
/// What is refused (insecure TLS, programs to run), and what is missing.
pub(super) fn imported(form: Form, object: &Value, secrets: &Secrets) -> Result<Imported> {
    match form {
        Form::Clusterprofile => clusterprofile(object),
        Form::Argocd => argocd(object),
        Form::Karmada => karmada(object, secrets),
        Form::Ocm => ocm(object),
        Form::Kubeconfig | Form::Yaml => bail!("is read elsewhere"),
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn labels(object: &Value, without: &[&str]) -> Map<String, Value> {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    labels
        .filter(|(key, _)| !without.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn pem(base64: &str, what: &str) -> Result<Option<String>> {
    if base64.trim().is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD.decode(base64.trim()).ok();
    let pem = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    pem.map(Some)
        .with_context(|| format!("{what} is not base64 of PEM"))
}

fn finish(
    object: &Value,
    source: &Source,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    losses: Vec<String>,
) -> Result<Imported> {
    if source.server.is_empty() {
        bail!("it names no address");
    }
    let name = text(object, "/metadata/name");
    let mut body = short_form(&name, source, labels)?;
    if let (false, Value::Object(fields)) = (annotations.is_empty(), &mut body) {
        fields.insert("annotations".into(), Value::Object(annotations));
    }
    Ok(Imported { name, body, losses })
}

fn keep(annotations: &mut Map<String, Value>, key: &str, value: String) {
    if !value.is_empty() {
        annotations.insert(key.into(), value.into());
    }
}

fn clusterprofile(object: &Value) -> Result<Imported> {
    let providers = ["/status/accessProviders", "/status/credentialProviders"];
    let providers = providers.iter().find_map(|p| object.pointer(p)?.as_array());
    let provider = providers.and_then(|p| p.first()).unwrap_or(&Value::Null);
    let source = Source {
        server: text(provider, "/cluster/server"),
        ca: pem(
            &text(provider, "/cluster/certificate-authority-data"),
            "certificate-authority-data",
        )?,
        tls_server_name: Some(text(provider, "/cluster/tls-server-name")).filter(|t| !t.is_empty()),
        proxy_url: Some(text(provider, "/cluster/proxy-url")).filter(|t| !t.is_empty()),
        credential: None,
    };
    if provider.pointer("/cluster/insecure-skip-tls-verify") == Some(&Value::Bool(true)) {
        bail!("insecure-skip-tls-verify is refused: give the cluster's CA");
    }
    let mut annotations = Map::new();
    keep(
        &mut annotations,
        DISPLAY_NAME,
        text(object, "/spec/displayName"),
    );
    keep(
        &mut annotations,
        MANAGER,
        text(object, "/spec/clusterManager/name"),
    );
    if let Some(properties) = object.pointer("/status/properties") {
        keep(&mut annotations, PROPERTIES, properties.to_string());
    }
    let mut losses = Vec::new();
    if !provider.is_null() {
        losses.push(format!(
            "credential: access provider \"{}\" is a program outside the object; `optikon cluster bootstrap` gives the gateway one",
            text(provider, "/name")
        ));
    }
    if providers.is_some_and(|p| p.len() > 1) {
        losses.push("status.accessProviders: only the first is kept".into());
    }
    if object.pointer("/status/conditions").is_some() {
        losses.push("status.conditions: the gateway looks for itself".into());
    }
    finish(object, &source, labels(object, &[]), annotations, losses)
}

fn argocd(object: &Value) -> Result<Imported> {
    let field = |key: &str| -> Result<String> {
        if let Some(plain) = object
            .pointer(&format!("/stringData/{key}"))
            .and_then(Value::as_str)
        {
            return Ok(plain.to_owned());
        }
        let encoded = text(object, &format!("/data/{key}"));
        let bytes = STANDARD.decode(encoded.trim()).ok();
        let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.with_context(|| format!("data.{key} is not base64 of text"))
    };
    let config = field("config")?;
    // An error of the parser could quote the credential.
    let config: Value = serde_json::from_str(if config.is_empty() { "{}" } else { &config })
        .map_err(|_| anyhow::anyhow!("data.config is not JSON"))?;
    for refused in ["execProviderConfig", "awsAuthConfig"] {
        if config.get(refused).is_some_and(|c| !c.is_null()) {
            bail!(
                "{refused} is refused: `optikon cluster bootstrap` gives the gateway a credential of its own"
            );
        }
    }
    if config.pointer("/tlsClientConfig/insecure") == Some(&Value::Bool(true)) {
        bail!("tlsClientConfig.insecure is refused: give the cluster's CA");
    }
    let server = field("server")?;
    if server.starts_with("https://kubernetes.default.svc") {
        bail!(
            "{server} is Argo CD's own cluster as seen from inside; register it by its outer address"
        );
    }
    let token = text(&config, "/bearerToken");
    let certificate = pem(&text(&config, "/tlsClientConfig/certData"), "certData")?;
    let key = pem(&text(&config, "/tlsClientConfig/keyData"), "keyData")?;
    let (username, password) = (text(&config, "/username"), text(&config, "/password"));
    let credential = match (certificate, key) {
        _ if !token.is_empty() => Some(Credential::Token(Secret::new(token))),
        (Some(certificate), Some(key)) => Some(Credential::ClientCertificate {
            certificate,
            key: Secret::new(key),
        }),
        _ if !password.is_empty() => Some(Credential::Basic {
            username,
            password: Secret::new(password),
        }),
        _ => None,
    };
    let source = Source {
        server,
        ca: pem(&text(&config, "/tlsClientConfig/caData"), "caData")?,
        credential,
        tls_server_name: Some(text(&config, "/tlsClientConfig/serverName"))
            .filter(|t| !t.is_empty()),
        proxy_url: Some(text(&config, "/proxyUrl")).filter(|t| !t.is_empty()),
    };
    let mut annotations = Map::new();
    keep(&mut annotations, PROJECT, field("project")?);
    let mut losses = Vec::new();
    for key in ["namespaces", "clusterResources", "shard"] {
        if !field(key)?.is_empty() {
            losses.push(format!("{key}: is Argo CD's own"));
        }
    }
    let mut made = finish(
        object,
        &source,
        labels(object, &[ARGOCD]),
        annotations,
        losses,
    )?;
    // The Secret's name is made by a machine; people know the cluster by this one.
    let name = field("name")?;
    if !name.is_empty() {
        made.name.clone_from(&name);
        if let Value::Object(fields) = &mut made.body {
            fields.insert("name".into(), name.into());
        }
    }
    Ok(made)
}

fn karmada(object: &Value, secrets: &Secrets) -> Result<Imported> {
    if object.pointer("/spec/insecureSkipTLSVerification") == Some(&Value::Bool(true)) {
        bail!("spec.insecureSkipTLSVerification is refused: give the cluster's CA");
    }
    let mut losses = Vec::new();
    let place = format!(
        "{}/{}",
        text(object, "/spec/secretRef/namespace"),
        text(object, "/spec/secretRef/name")
    );
    let secret = secrets.get(&place);
    let of = |key: &str| -> Option<String> {
        let bytes = STANDARD
            .decode(text(secret?, &format!("/data/{key}")).trim())
            .ok()?;
        String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty())
    };
    if secret.is_none() && place != "/" {
        losses.push(format!(
            "credential: Secret {place} is not among the documents"
        ));
    }
    if text(object, "/spec/syncMode") == "Pull" {
        losses.push("spec.syncMode Pull: the member may not be reachable from here".into());
    }
    let source = Source {
        server: text(object, "/spec/apiEndpoint"),
        ca: of("caBundle"),
        credential: of("token").map(|t| Credential::Token(Secret::new(t.trim().to_owned()))),
        tls_server_name: None,
        proxy_url: Some(text(object, "/spec/proxyURL")).filter(|t| !t.is_empty()),
    };
    let mut annotations = Map::new();
    let kept: Map<String, Value> = ["id", "provider", "region", "zone", "zones"]
        .iter()
        .filter_map(|key| {
            Some((
                (*key).to_owned(),
                object.pointer(&format!("/spec/{key}"))?.clone(),
            ))
        })
        .collect();
    if !kept.is_empty() {
        keep(&mut annotations, PROPERTIES, properties(kept));
    }
    if object
        .pointer("/spec/taints")
        .and_then(Value::as_array)
        .is_some_and(|t| !t.is_empty())
    {
        losses.push("spec.taints: is Karmada's own".into());
    }
    finish(object, &source, labels(object, &[]), annotations, losses)
}

fn ocm(object: &Value) -> Result<Imported> {
    let configs = object
        .pointer("/spec/managedClusterClientConfigs")
        .and_then(Value::as_array);
    let config = configs.and_then(|c| c.first()).unwrap_or(&Value::Null);
    let source = Source {
        server: text(config, "/url"),
        ca: pem(&text(config, "/caBundle"), "caBundle")?,
        ..Source::default()
    };
    let mut losses = vec![
        "credential: the hub has none; `optikon cluster bootstrap` gives the gateway one"
            .to_owned(),
    ];
    if configs.is_some_and(|c| c.len() > 1) {
        losses.push("spec.managedClusterClientConfigs: only the first is kept".into());
    }
    if object
        .pointer("/spec/taints")
        .and_then(Value::as_array)
        .is_some_and(|t| !t.is_empty())
    {
        losses.push("spec.taints: is the hub's own".into());
    }
    let mut annotations = Map::new();
    if let Some(claims) = object.pointer("/status/clusterClaims") {
        keep(&mut annotations, PROPERTIES, claims.to_string());
    }
    finish(object, &source, labels(object, &[]), annotations, losses)
}

/// As ClusterProfile and OCM write them: a list of name and value.
fn properties(fields: Map<String, Value>) -> String {
    let list: Vec<Value> = fields
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    Value::Array(list).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: Form, text: &str) -> Vec<Result<Imported>> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let (found, secrets) = objects(form, documents);
        found
            .iter()
            .map(|object| imported(form, object, &secrets))
            .collect()
    }

    fn one(form: Form, text: &str) -> Imported {
        let mut all = read(form, text);
        assert_eq!(all.len(), 1);
        all.remove(0).unwrap()
    }

    const CA: &str = include_str!("samples/ca.pem");

    #[test]
    fn a_cluster_profile_keeps_its_names_and_properties() {
        let made = one(
            Form::Clusterprofile,
            include_str!("samples/clusterprofile.yaml"),
        );
        assert_eq!(made.name, "prod-eu");
        assert_eq!(made.body["server"], "https://prod-eu.example.com:6443");
        assert_eq!(made.body["ca"], CA);
        assert_eq!(made.body["annotations"][DISPLAY_NAME], "Production, Europe");
        assert_eq!(made.body["annotations"][MANAGER], "fleet");
        assert!(
            made.body["annotations"][PROPERTIES]
                .as_str()
                .unwrap()
                .contains("location")
        );
        assert!(
            made.losses
                .iter()
                .any(|l| l.contains("access provider \"gke\"")),
            "{:?}",
            made.losses
        );
    }

    #[test]
    fn an_argo_cd_secret_gives_its_credential_and_refuses_programs() {
        let all = read(Form::Argocd, include_str!("samples/argocd.yaml"));
        assert_eq!(all.len(), 3);
        let mut all = all.into_iter();
        let made = all.next().unwrap().unwrap();
        assert_eq!(made.name, "Edge One");
        assert_eq!(made.body["token"], "argo-token");
        assert_eq!(made.body["annotations"][PROJECT], "default");
        assert_eq!(made.body["labels"], json!({"env": "prod"}));
        let exec = all.next().unwrap().unwrap_err().to_string();
        assert!(exec.contains("execProviderConfig"), "{exec}");
        let inside = all.next().unwrap().unwrap_err().to_string();
        assert!(inside.contains("outer address"), "{inside}");
    }

    #[test]
    fn a_karmada_cluster_takes_its_secret_along() {
        let made = one(Form::Karmada, include_str!("samples/karmada.yaml"));
        assert_eq!(
            (made.body["token"].as_str(), made.body["ca"].as_str()),
            (Some("karmada-token"), Some(CA))
        );
        assert_eq!(made.body["proxyUrl"], "http://proxy.example.com:3128");
        assert!(
            made.body["annotations"][PROPERTIES]
                .as_str()
                .unwrap()
                .contains("eu-west")
        );
        assert!(
            made.losses.iter().any(|l| l.contains("Pull")),
            "{:?}",
            made.losses
        );
    }

    #[test]
    fn a_managed_cluster_has_an_address_and_no_credential() {
        let made = one(Form::Ocm, include_str!("samples/ocm.yaml"));
        assert_eq!(made.body["server"], "https://edge-7.example.com:6443");
        assert_eq!(made.body["labels"]["vendor"], "OpenShift");
        assert!(made.body.get("token").is_none());
        assert!(
            made.losses[0].starts_with("credential"),
            "{:?}",
            made.losses
        );
    }
}
