//! Credentials as Secrets of the central cluster, where the configuration says so and the registry is there.
//!
//! Each is one Secret in one namespace, with a label that names its cluster and, where Kubernetes allows it, the cluster's
//! object as its owner. What other bytes are sealed stays in the store, and so do credentials while no registry with a
//! central cluster serves; a swap brings them along.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_core::{
    Error, Result,
    flows::secrets::CREDENTIAL_FOR,
    ports::{Bound, Owner, Vault, VaultEntry, World},
    words::{Credential, Fault, Method, Request, Response, Secret},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::slots::Filler;

/// What was read or written is believed for so long; longer where the central cluster does not answer.
const BELIEVED_MS: u64 = 30_000;
/// Who writes, in `managedFields`.
const MANAGER: &str = "optikon-vault";
/// Server-side apply: creates what is not there.
const APPLY: &str = "application/apply-patch+yaml";
/// What the credential is bound to.
const BOUND: &str = "optikon.io/bound";
/// Unix milliseconds of its registration, and of its end.
const TIMES: &str = "optikon.io/times";

/// Which gateway made a Secret: several may share a namespace, and none takes away what another needs.
const GATEWAY: &str = "optikon.io/gateway";
/// Our Secrets, and names and annotations only: what they hold is not asked for.
const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "optikon");
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Asked for at once, and the most pages: 50,000 Secrets are those of ten gateways with 5,000 clusters each.
const PAGE: &str = "500";
const MAX_PAGES: usize = 100;
/// … of names.
const PREFIX: &str = "optikon-credential-";

/// The vault of a gateway whose credentials are to be on the central cluster.
#[derive(Debug)]
pub(crate) struct CentralVault {
    store: Arc<dyn Vault>,
    slots: Arc<Filler>,
    world: Arc<dyn World>,
    namespace: String,
    /// This one among several.
    gateway: String,
    /// By id: when it was read.
    known: Mutex<HashMap<String, (u64, VaultEntry)>>,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Listed {
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Object>,
}

#[derive(Deserialize)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Credentials have ids of their own making; other sealed bytes never were there.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn failed(what: &str, fault: &Fault) -> Error {
    let message = &fault.message;
    Error::unavailable(format!(
        "a credential {what} on the central cluster: {message}"
    ))
}

fn data(credential: &Credential) -> Value {
    let encode = |text: &str| STANDARD.encode(text);
    match credential {
        Credential::Token(token) => json!({ "token": encode(token.expose()) }),
        Credential::ClientCertificate { certificate, key } => {
            json!({ "tls.crt": encode(certificate), "tls.key": encode(key.expose()) })
        }
        Credential::Basic { username, password } => {
            json!({ "username": encode(username), "password": encode(password.expose()) })
        }
    }
}

/// What a Secret holds; none when it is not one of ours. No error: it could quote what it was made of.
fn entry(object: &Object) -> Option<VaultEntry> {
    let text = |key: &str| {
        let bytes = STANDARD.decode(object.data.get(key)?.trim()).ok()?;
        String::from_utf8(bytes).ok()
    };
    let credential = match (text("token"), text("tls.crt"), text("username")) {
        (Some(token), _, _) => Credential::Token(Secret::new(token)),
        (None, Some(certificate), _) => Credential::ClientCertificate {
            certificate,
            key: Secret::new(text("tls.key")?),
        },
        (None, None, Some(username)) => Credential::Basic {
            username,
            password: Secret::new(text("password")?),
        },
        (None, None, None) => return None,
    };
    let annotations = &object.metadata.annotations;
    let bound: Bound = serde_json::from_str(annotations.get(BOUND)?).ok()?;
    let (created_ms, expires_ms) = serde_json::from_str(annotations.get(TIMES)?).ok()?;
    Some(VaultEntry {
        bound,
        credential,
        created_ms,
        expires_ms,
    })
}

impl CentralVault {
    pub(crate) fn new(
        store: Arc<dyn Vault>,
        slots: Arc<Filler>,
        world: Arc<dyn World>,
        namespace: String,
        gateway: String,
    ) -> Self {
        Self {
            store,
            slots,
            world,
            namespace,
            gateway,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (u64, VaultEntry)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn believe(&self, id: &str, entry: VaultEntry) {
        let now = self.world.now_ms();
        self.known().insert(id.to_owned(), (now, entry));
    }

    fn path(&self, id: &str) -> String {
        format!("{}/{PREFIX}{id}", self.collection())
    }

    fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    /// Those that this gateway made, at whatever start of it.
    async fn listed(&self) -> Result<BTreeSet<String>> {
        let (mut ids, mut next) = (BTreeSet::new(), String::new());
        for _ in 0..MAX_PAGES {
            let mut query = vec![
                (
                    "labelSelector".to_owned(),
                    format!("{}={}", LABEL.0, LABEL.1),
                ),
                ("limit".to_owned(), PAGE.to_owned()),
            ];
            if !next.is_empty() {
                query.push(("continue".to_owned(), next));
            }
            let request = Request {
                accept: Some(METADATA.to_owned()),
                query,
                ..Request::get(self.collection())
            };
            let Some(response) = self.ask(request, "cannot be looked for").await? else {
                return Ok(ids);
            };
            let list: Listed = serde_json::from_slice(&response.body).map_err(|_| {
                Error::unavailable(
                    "the central cluster answers a list of Secrets with something else",
                )
            })?;
            ids.extend(list.items.iter().filter_map(|o| self.ours(&o.metadata)));
            next = list.metadata.next;
            if next.is_empty() {
                return Ok(ids);
            }
        }
        tracing::warn!(
            namespace = %self.namespace, pages = MAX_PAGES,
            "there are more Secrets than are looked through for leftovers; give each gateway a namespace: [vault] namespace"
        );
        Ok(ids)
    }

    /// The id of a Secret of this gateway: the label alone is also on what `optikon registry setup` makes.
    fn ours(&self, metadata: &Metadata) -> Option<String> {
        let id = metadata.name.strip_prefix(PREFIX).filter(|id| is_id(id))?;
        let annotations = &metadata.annotations;
        let is_ours = annotations.get(GATEWAY) == Some(&self.gateway)
            && annotations.contains_key(BOUND)
            && annotations.contains_key(TIMES);
        is_ours.then(|| id.to_owned())
    }

    async fn ask(&self, request: Request, what: &str) -> Result<Option<Response>> {
        let connection = self.slots.central().map_err(|f| failed(what, &f))?;
        let response = connection.request(request).await;
        let response = response.map_err(|f| failed(what, &f))?;
        match response.status {
            200..=299 => Ok(Some(response)),
            404 => Ok(None),
            403 => Err(Error::unavailable(format!(
                "a credential {what} on the central cluster: the gateway's account may not; \
                 `optikon registry setup --vault` grants that"
            ))),
            status => Err(Error::unavailable(format!(
                "a credential {what} on the central cluster, which answered {status}"
            ))),
        }
    }

    async fn patch(&self, id: &str, kind: &str, body: &Value, what: &str) -> Result<()> {
        let mut query = vec![("fieldManager".to_owned(), MANAGER.to_owned())];
        if kind == APPLY {
            query.push(("force".into(), "true".into()));
        }
        let request = Request {
            method: Method::Patch,
            content_type: Some(kind.into()),
            query,
            body: body.to_string().into(),
            ..Request::get(self.path(id))
        };
        match self.ask(request, what).await? {
            Some(_) => Ok(()),
            None if kind != APPLY => Err(Error::unavailable(format!(
                "a credential {what} on the central cluster: its Secret is gone; give the credential anew"
            ))),
            None => Err(Error::unavailable(format!(
                "a credential {what} on the central cluster: there is no namespace \"{}\"; \
                 `optikon registry setup --vault` makes it",
                self.namespace
            ))),
        }
    }

    async fn write(&self, id: &str, entry: &VaultEntry) -> Result<()> {
        let text = |value: &Value| value.to_string();
        let bound = serde_json::to_value(&entry.bound).unwrap_or_default();
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": format!("{PREFIX}{id}"),
                "labels": {LABEL.0: LABEL.1},
                "annotations": {
                    GATEWAY: self.gateway,
                    BOUND: text(&bound),
                    TIMES: text(&json!([entry.created_ms, entry.expires_ms])),
                },
            },
            "data": data(&entry.credential),
        });
        self.patch(id, APPLY, &object, "cannot be kept").await?;
        self.believe(id, entry.clone());
        Ok(())
    }

    async fn read(&self, id: &str) -> Result<Option<VaultEntry>> {
        let request = Request::get(self.path(id));
        let Some(response) = self.ask(request, "cannot be read").await? else {
            self.known().remove(id);
            return Ok(None);
        };
        let object = serde_json::from_slice::<Object>(&response.body).ok();
        let found = object.as_ref().and_then(entry);
        let found = found.ok_or_else(|| {
            Error::Unsupported(
                "the Secret of a credential has another content than was written".into(),
            )
        })?;
        self.believe(id, found.clone());
        Ok(Some(found))
    }
}

#[async_trait]
impl Vault for CentralVault {
    async fn seal(&self, id: &str, entry: VaultEntry) -> Result<()> {
        if !self.slots.has_central() {
            return self.store.seal(id, entry).await;
        }
        self.write(id, &entry).await?;
        self.store.erase(id).await
    }

    async fn open(&self, id: &str) -> Result<Option<VaultEntry>> {
        if let Some(entry) = self.store.open(id).await? {
            return Ok(Some(entry));
        }
        let known = self.known().get(id).cloned();
        if let Some((at, entry)) = &known
            && self.world.now_ms().saturating_sub(*at) < BELIEVED_MS
        {
            return Ok(Some(entry.clone()));
        }
        if !self.slots.has_central() {
            return Ok(None);
        }
        match (self.read(id).await, known) {
            // A central cluster that is away takes no member away.
            (Err(Error::Unavailable { .. }), Some((_, entry))) => Ok(Some(entry)),
            (read, _) => read,
        }
    }

    async fn bounds(&self) -> Result<BTreeMap<String, (Bound, Option<u64>)>> {
        let mut bounds = self.store.bounds().await?;
        for (id, (_, entry)) in self.known().iter() {
            let shown = (entry.bound.clone(), entry.expires_ms);
            bounds.entry(id.clone()).or_insert(shown);
        }
        Ok(bounds)
    }

    async fn ids(&self) -> Result<BTreeSet<String>> {
        let mut ids: BTreeSet<String> = self.bounds().await?.into_keys().collect();
        if self.slots.has_central() {
            match self.listed().await {
                Ok(listed) => ids.extend(listed),
                // An account that was set up before may not list; what is known is looked through all the same.
                Err(error) => {
                    tracing::warn!(%error, "Secrets that a crash left on the central cluster are not looked for");
                }
            }
        }
        Ok(ids)
    }

    async fn erase(&self, id: &str) -> Result<()> {
        self.store.erase(id).await?;
        if self.slots.has_central() && is_id(id) {
            let request = Request {
                method: Method::Delete,
                ..Request::get(self.path(id))
            };
            self.ask(request, "cannot be erased").await?;
        }
        // Not before: the sweep tries again with what is known.
        self.known().remove(id);
        Ok(())
    }

    async fn seal_bytes(&self, id: &str, bytes: &[u8]) -> Result<()> {
        self.store.seal_bytes(id, bytes).await
    }

    async fn open_bytes(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.store.open_bytes(id).await
    }

    async fn belongs_to(&self, id: &str, owner: &Owner) -> Result<()> {
        if !self.slots.has_central() {
            return Ok(());
        }
        let mut metadata = json!({"labels": {CREDENTIAL_FOR: owner.name}});
        // Kubernetes knows no owners in other namespaces.
        if owner
            .namespace
            .as_ref()
            .is_none_or(|n| *n == self.namespace)
            && let Some(fields) = metadata.as_object_mut()
        {
            let reference = json!([{"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
                "name": owner.name, "uid": owner.uid}]);
            fields.insert("ownerReferences".into(), reference);
        }
        let kind = "application/merge-patch+json";
        self.patch(
            id,
            kind,
            &json!({ "metadata": metadata }),
            "cannot be marked",
        )
        .await
    }

    async fn gather(&self, ids: &[String]) -> Result<()> {
        let mut problem = None;
        for id in ids {
            let kept = async {
                if self.store.open(id).await?.is_none()
                    && let Some(entry) = self.open(id).await?
                {
                    self.store.seal(id, entry).await?;
                }
                Ok(())
            };
            // One that is lost keeps no other.
            problem = problem.or(kept.await.err());
        }
        problem.map_or(Ok(()), Err)
    }

    async fn spread(&self, ids: &[(String, Owner)]) -> Result<()> {
        if !self.slots.has_central() {
            return Ok(());
        }
        let mut problem = None;
        for (id, owner) in ids {
            let moved = async {
                if let Some(entry) = self.store.open(id).await? {
                    self.write(id, &entry).await?;
                    self.belongs_to(id, owner).await?;
                    self.store.erase(id).await?;
                }
                Ok(())
            };
            // One that stays keeps no other.
            problem = problem.or(moved.await.err());
        }
        problem.map_or(Ok(()), Err)
    }
}
