//! Credentials in Secrets of the central cluster, which `spec.authInfo.controller` names. Read by the host alone; no plugin
//! ever holds one.
//!
//! Whoever may write a cluster's object could let it name a foreign Secret, or send a Secret's token to an address of
//! their own. So a Secret has to say which cluster it is for, in the object's own namespace, and what was read once is
//! bound to where it went then: another address needs another Secret, or the same one written anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ports::{Bound, CentralSecret, CentralSecrets, Documents, Table, World},
    words::{Cluster, Credential, Fault, FaultReason, Secret, Uid},
};

/// The label with the name of the cluster that a Secret is for.
pub const CREDENTIAL_FOR: &str = "optikon.io/credential-for";
/// What a Secret was bound to: rows of [`Table::Meta`].
pub(super) const BOUND: &str = "secret/";
/// A Secret that was read is believed for so long.
const BELIEVED_MS: u64 = 30_000;
/// A bearer token longer than this is none.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// By namespace and name: when it was read, and what it said.
type Believed = HashMap<(String, String), (u64, CentralSecret)>;

/// Reads them.
#[derive(Debug, Clone)]
pub struct SecretReader {
    central: Arc<dyn CentralSecrets>,
    documents: Arc<dyn Documents>,
    world: Arc<dyn World>,
    read: Arc<Mutex<Believed>>,
}

/// Which Secret an object names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    namespace: Option<String>,
    name: String,
}

/// What a Secret gives.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) credential: Credential,
    /// The CA beside the token, for an object that has none.
    pub(super) ca: Option<String>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Pinned {
    bound: Bound,
    /// The Secret as it was read then.
    version: String,
}

fn unreadable(message: String) -> Fault {
    Fault::new(FaultReason::CredentialUnreadable, message)
}

/// The Secret that an object names; none when it names nothing.
///
/// # Errors
/// A reference of another kind.
pub(super) fn reference(cluster: &Cluster) -> Result<Option<Reference>, Fault> {
    let object = cluster.object();
    let spec = object.get("spec");
    let controller = spec
        .and_then(|s| s.get("authInfo"))
        .and_then(|a| a.get("controller"));
    let text = |key: &str| {
        let value = controller.and_then(|c| c.get(key)).and_then(Value::as_str);
        value.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    match (text("kind").as_deref(), text("name")) {
        (None, _) => Ok(None),
        (Some("Secret"), Some(name)) => Ok(Some(Reference {
            namespace: text("namespace"),
            name,
        })),
        (Some("Secret"), None) => Err(unreadable(
            "spec.authInfo.controller names no Secret: set its name".into(),
        )),
        (Some(kind), _) => Err(unreadable(format!(
            "spec.authInfo.controller refers to a {}; only Secrets are read",
            kind.escape_debug()
        ))),
    }
}

impl SecretReader {
    /// Over these ports.
    pub fn new(
        central: Arc<dyn CentralSecrets>,
        documents: Arc<dyn Documents>,
        world: Arc<dyn World>,
    ) -> Self {
        Self {
            central,
            documents,
            world,
            read: Arc::default(),
        }
    }

    /// The credential for one cluster.
    ///
    /// # Errors
    /// `CredentialUnreadable` with what is missing; `CredentialUnbound` when the cluster moved and the Secret did not.
    pub(super) async fn credential(
        &self,
        reference: &Reference,
        cluster: &Cluster,
        uid: &Uid,
        bound: Bound,
    ) -> Result<Found, Fault> {
        let object = cluster.object();
        let own = object.get("metadata");
        let own = own.and_then(|m| m.get("namespace")).and_then(Value::as_str);
        let namespace = reference.namespace.as_deref().or(own).ok_or_else(|| {
            unreadable("spec.authInfo.controller names a Secret without a namespace: set it".into())
        })?;
        let what = format!("Secret {namespace}/{}", reference.name);
        if own.is_some_and(|own| own != namespace) && !self.central.is_allowed(namespace) {
            return Err(unreadable(format!(
                "{what} is in another namespace than the cluster; [central] secret_namespaces admits it"
            )));
        }
        let secret = self.secret(namespace, &reference.name, &what).await?;
        let name = cluster.name().as_str();
        if secret.labels.get(CREDENTIAL_FOR).map(String::as_str) != Some(name) {
            return Err(unreadable(format!(
                "{what} is not for this cluster: it needs the label {CREDENTIAL_FOR}={name}"
            )));
        }
        self.check_bound(uid, bound, &secret.version, &what).await?;
        let token = secret
            .data
            .get("token")
            .map(|bytes| bytes.expose().as_slice());
        let token = token.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            unreadable(format!("{what} has no key \"token\", or nothing in it yet"))
        })?;
        Ok(Found {
            credential: Credential::Token(Secret::new(token_of(token).ok_or_else(|| {
                unreadable(format!(
                    "the token in {what} is no visible ASCII without spaces"
                ))
            })?)),
            ca: ["ca.crt", "caBundle"].iter().find_map(|key| {
                let pem = secret.data.get(*key)?.expose().clone();
                String::from_utf8(pem)
                    .ok()
                    .filter(|pem| pem.contains("-----BEGIN"))
            }),
        })
    }

    async fn secret(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
    ) -> Result<CentralSecret, Fault> {
        let key = (namespace.to_owned(), name.to_owned());
        let now = self.world.now_ms();
        let known = self.lock().get(&key).cloned();
        if let Some((at, secret)) = known
            && now.saturating_sub(at) < BELIEVED_MS
        {
            return Ok(secret);
        }
        let read = self.central.read(namespace, name).await;
        let read =
            read.map_err(|fault| unreadable(format!("{what} cannot be read: {}", fault.message)))?;
        let Some(secret) = read else {
            self.lock().remove(&key);
            return Err(unreadable(format!(
                "there is no {what} on the central cluster"
            )));
        };
        let mut believed = self.lock();
        believed.retain(|_, (at, _)| now.saturating_sub(*at) < BELIEVED_MS);
        believed.insert(key, (now, secret.clone()));
        Ok(secret)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Believed> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check_bound(
        &self,
        uid: &Uid,
        bound: Bound,
        version: &str,
        what: &str,
    ) -> Result<(), Fault> {
        let key = format!("{BOUND}{uid}");
        let failed = |error: crate::Error| unreadable(format!("{what}: {error}"));
        let row = self
            .documents
            .read(Table::Meta, &key)
            .await
            .map_err(failed)?;
        // Without what was written down, any address could be the bound one.
        let broken =
            |error: serde_json::Error| unreadable(format!("{what}: what it is bound to: {error}"));
        let pinned: Option<Pinned> = row
            .map(|row| serde_json::from_slice(&row).map_err(broken))
            .transpose()?;
        let present = Pinned {
            bound,
            version: version.to_owned(),
        };
        match pinned {
            Some(pinned) if pinned == present => return Ok(()),
            Some(pinned) if pinned.version == present.version => {
                return Err(Fault::new(
                    FaultReason::CredentialUnbound,
                    format!(
                        "the cluster has another address, CA or TLS name than when {what} was first used; nothing was \
                         sent; write the Secret anew"
                    ),
                ));
            }
            _ => {}
        }
        let bytes = serde_json::to_vec(&present).map_err(broken)?;
        let row = (Table::Meta, key, Some(bytes));
        self.documents.write(vec![row]).await.map_err(failed)
    }
}

/// A token as people put it into a Secret: often with a newline.
fn token_of(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes)
        .ok()?
        .trim_end_matches(['\r', '\n']);
    let is_token = !text.is_empty()
        && text.len() <= MAX_TOKEN_BYTES
        && text.bytes().all(|b| b.is_ascii_graphic());
    is_token.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use crate::flows::fakes::{FakeWorld, MemoryDocuments};

    #[derive(Debug, Default)]
    struct One(Mutex<Option<CentralSecret>>);

    #[async_trait]
    impl CentralSecrets for One {
        async fn read(&self, _: &str, name: &str) -> Result<Option<CentralSecret>, Fault> {
            let secret = self.0.lock().unwrap().clone();
            Ok(secret.filter(|_| name == "there"))
        }
        fn is_allowed(&self, namespace: &str) -> bool {
            namespace == "shared"
        }
    }

    fn cluster(reference: &Value) -> Cluster {
        let object = json!({"metadata": {"name": "edge", "namespace": "optikon"},
            "spec": {"authInfo": {"controller": reference}}});
        Cluster::from_json(&object.to_string()).unwrap()
    }

    fn secret(version: &str, label: &str, data: &[(&str, &str)]) -> CentralSecret {
        CentralSecret {
            version: version.into(),
            labels: BTreeMap::from([(CREDENTIAL_FOR.to_owned(), label.to_owned())]),
            data: data
                .iter()
                .map(|(k, v)| ((*k).to_owned(), Secret::new(v.as_bytes().to_vec())))
                .collect(),
        }
    }

    fn to(url: &str) -> Bound {
        Bound {
            uid: None,
            endpoints: vec![url.into()],
            ca_digest: None,
            tls_server_name: None,
            proxy_url: None,
        }
    }

    #[tokio::test]
    async fn a_secret_is_for_one_cluster_and_goes_where_it_went_first() {
        let central = Arc::new(One::default());
        let world = Arc::new(FakeWorld::default());
        let reader = SecretReader::new(
            central.clone(),
            Arc::new(MemoryDocuments::default()),
            world.clone(),
        );
        let uid: Uid = "u".parse().unwrap();
        let ask = async |reference: Value, url: &str| {
            let cluster = cluster(&reference);
            let reference = reference_of(&cluster)?;
            let found = reader
                .credential(&reference, &cluster, &uid, to(url))
                .await?;
            Ok::<_, Fault>(found.credential)
        };
        fn reference_of(cluster: &Cluster) -> Result<Reference, Fault> {
            Ok(reference(cluster)?.unwrap())
        }
        let there = || json!({"kind": "Secret", "name": "there"});
        let set = |secret: CentralSecret| {
            *central.0.lock().unwrap() = Some(secret);
            world
                .now_ms
                .fetch_add(BELIEVED_MS, std::sync::atomic::Ordering::SeqCst);
        };
        let said = |result: Result<Credential, Fault>| result.unwrap_err().message;

        assert!(said(ask(there(), "a").await).contains("there is no Secret optikon/there"));
        set(secret("1", "other", &[("token", "t")]));
        assert!(said(ask(there(), "a").await).contains("optikon.io/credential-for=edge"));
        set(secret("2", "edge", &[("password", "t")]));
        assert!(said(ask(there(), "a").await).contains("no key \"token\""));
        set(secret("3", "edge", &[("token", "good\n")]));
        let good = Credential::Token(Secret::new("good".into()));
        assert_eq!(ask(there(), "a").await.unwrap(), good);
        let moved = ask(there(), "b").await.unwrap_err();
        assert_eq!(moved.reason, FaultReason::CredentialUnbound);
        set(secret("4", "edge", &[("token", "good")]));
        assert_eq!(ask(there(), "b").await.unwrap(), good);
        let foreign = json!({"kind": "Secret", "name": "there", "namespace": "kube-system"});
        assert!(said(ask(foreign, "b").await).contains("another namespace"));
        assert!(
            said(ask(json!({"kind": "ConfigMap", "name": "x"}), "b").await).contains("ConfigMap")
        );
    }

    fn reader(documents: MemoryDocuments, world: &Arc<FakeWorld>) -> SecretReader {
        let good = secret("1", "edge", &[("token", "good")]);
        let central = Arc::new(One(Mutex::new(Some(good))));
        SecretReader::new(central, Arc::new(documents), world.clone())
    }

    #[tokio::test]
    async fn what_a_damaged_binding_was_bound_to_is_not_guessed() {
        let documents = MemoryDocuments::default();
        let row = (Table::Meta, format!("{BOUND}u"), Some(b"{".to_vec()));
        documents.write(vec![row]).await.unwrap();
        let reader = reader(documents, &Arc::default());
        let cluster = cluster(&json!({"kind": "Secret", "name": "there"}));
        let named = reference(&cluster).unwrap().unwrap();
        let uid = "u".parse().unwrap();
        let asked = reader.credential(&named, &cluster, &uid, to("a")).await;
        let fault = asked.unwrap_err();
        assert_eq!(fault.reason, FaultReason::CredentialUnreadable);
        assert!(fault.message.contains("bound"), "{}", fault.message);
    }

    #[tokio::test]
    async fn secrets_that_nobody_asks_for_are_forgotten() {
        let world = Arc::new(FakeWorld::default());
        let reader = reader(MemoryDocuments::default(), &world);
        for namespace in ["a", "b", "c"] {
            reader.secret(namespace, "there", "it").await.unwrap();
        }
        assert_eq!(reader.lock().len(), 3);
        world
            .now_ms
            .fetch_add(BELIEVED_MS, std::sync::atomic::Ordering::SeqCst);
        reader.secret("d", "there", "it").await.unwrap();
        assert_eq!(reader.lock().len(), 1);
    }
}
