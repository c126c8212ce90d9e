//! Objects of a manifest: what they are, where they live, and whose they are.

use std::collections::BTreeMap;

use futures::future::join_all;
use helm_engine::{INSTALL_ORDER, split};
use optikon_plugin_sdk::{Error, Mapping, Requester};
use serde_json::{Map, Value, json};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// A group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    /// As in `v1`.
    pub version: String,
    /// As in `Pod`.
    pub kind: String,
}

impl Kind {
    /// Takes `group/version` apart.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }
    }
}

/// One object that a release consists of, at its place in one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// As in `apps/v1`.
    pub api_version: String,
    /// None for what lives outside namespaces.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// As the manifest has it.
    pub value: Value,
    /// Of its kind.
    pub mapping: Mapping,
}

/// What makes two objects the same one: the version does not matter.
pub type Identity = (String, String, Option<String>, String);

impl Object {
    /// Group, kind, namespace and name.
    #[must_use]
    pub fn identity(&self) -> Identity {
        (
            self.kind.group.clone(),
            self.kind.kind.clone(),
            self.namespace.clone(),
            self.name.clone(),
        )
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> String {
        object_path(&self.mapping, self.namespace.as_deref(), &self.name)
    }

    /// For messages: `Deployment "web" in namespace "shop"`.
    #[must_use]
    pub fn title(&self) -> String {
        let place = self
            .namespace
            .as_ref()
            .map(|n| format!(" in namespace \"{n}\""))
            .unwrap_or_default();
        format!("{} \"{}\"{place}", self.kind.kind, self.name)
    }

    /// Whether its manifest says that it outlives its release.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        is_kept(&self.value)
    }

    /// As it is applied: at its namespace, and with the marks of its release.
    #[must_use]
    pub fn marked(&self, release: &str, namespace: &str) -> Value {
        let mut value = self.placed();
        set(&mut value, "labels", MANAGED_BY, "Helm");
        set(&mut value, "annotations", RELEASE_NAME, release);
        set(&mut value, "annotations", RELEASE_NAMESPACE, namespace);
        value
    }

    /// As it is applied when it belongs to nobody: at its namespace.
    #[must_use]
    pub fn placed(&self) -> Value {
        let mut value = self.value.clone();
        if let (Some(namespace), Some(metadata)) = (
            &self.namespace,
            value.get_mut("metadata").and_then(Value::as_object_mut),
        ) {
            metadata.insert("namespace".into(), namespace.as_str().into());
        }
        value
    }
}

/// Whether an object says that it outlives its release.
#[must_use]
pub fn is_kept(value: &Value) -> bool {
    let policy = value
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(RESOURCE_POLICY));
    policy
        .and_then(Value::as_str)
        .is_some_and(|p| p.trim().eq_ignore_ascii_case("keep"))
}

fn set(value: &mut Value, part: &str, key: &str, text: &str) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let entries = metadata.entry(part).or_insert_with(|| json!({}));
    if !entries.is_object() {
        *entries = Value::Object(Map::new());
    }
    if let Some(entries) = entries.as_object_mut() {
        entries.insert(key.to_owned(), text.into());
    }
}

/// Whether a present object belongs to the release.
///
/// # Errors
/// What is missing or another's, in Helm's words.
pub fn check_owner(present: &Value, release: &str, namespace: &str) -> Result<(), String> {
    let look = |part: &str, key: &str, wanted: &str| {
        let found = present
            .get("metadata")
            .and_then(|m| m.get(part))
            .and_then(|p| p.get(key));
        match found.and_then(Value::as_str) {
            Some(found) if found == wanted => None,
            Some(found) => Some(format!(
                "key \"{key}\" must equal \"{wanted}\": current value is \"{found}\""
            )),
            None => Some(format!(
                "missing key \"{key}\": must be set to \"{wanted}\""
            )),
        }
    };
    let label = look("labels", MANAGED_BY, "Helm").map(|p| format!("label validation error: {p}"));
    let annotations = [(RELEASE_NAME, release), (RELEASE_NAMESPACE, namespace)]
        .into_iter()
        .filter_map(|(key, wanted)| look("annotations", key, wanted))
        .map(|p| format!("annotation validation error: {p}"));
    let problems: Vec<String> = label.into_iter().chain(annotations).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

/// The path of an object, or of its collection when the name is empty.
#[must_use]
pub fn object_path(mapping: &Mapping, namespace: Option<&str>, name: &str) -> String {
    let mut path = mapping.path_prefix.clone();
    if let Some(namespace) = namespace.filter(|_| mapping.namespaced) {
        path.push_str("/namespaces/");
        path.push_str(namespace);
    }
    path.push('/');
    path.push_str(&mapping.plural);
    if !name.is_empty() {
        path.push('/');
        path.push_str(name);
    }
    path
}

/// The documents of a manifest, lists taken apart.
///
/// # Errors
/// `invalid` on `chart` for what is no object.
pub fn parse(manifest: &str) -> Result<Vec<Value>, Error> {
    let mut values = Vec::new();
    for document in split(manifest) {
        let value = helm_yaml::decode_raw(document.as_bytes()).map_err(|e| {
            Error::invalid(
                "chart",
                format!("unable to build kubernetes objects from the manifest: {e}"),
            )
        })?;
        flatten(value, &mut values)?;
    }
    Ok(values)
}

fn flatten(mut value: Value, values: &mut Vec<Value>) -> Result<(), Error> {
    if value.is_null() || value.as_object().is_some_and(Map::is_empty) {
        return Ok(());
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    for key in ["kind", "apiVersion"] {
        if text(key).is_empty() {
            return Err(Error::invalid(
                "chart",
                format!(
                    "unable to build kubernetes objects from the manifest: an object has no {key}"
                ),
            ));
        }
    }
    let is_list = text("kind").ends_with("List") && value.get("items").is_some_and(Value::is_array);
    if !is_list {
        values.push(value);
        return Ok(());
    }
    // An item of `SecretList` may leave its kind to the list.
    let kind = text("kind").trim_end_matches("List").to_owned();
    let api_version = text("apiVersion").to_owned();
    let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) else {
        return Ok(());
    };
    for mut item in items {
        if let Some(item) = item.as_object_mut().filter(|_| !kind.is_empty()) {
            item.entry("kind").or_insert_with(|| kind.clone().into());
            item.entry("apiVersion")
                .or_insert_with(|| api_version.clone().into());
        }
        flatten(item, values)?;
    }
    Ok(())
}

/// What became of the documents of a manifest in one cluster.
#[derive(Debug, Default)]
pub struct Located {
    /// In the order of the manifest.
    pub objects: Vec<Object>,
    /// Kinds that the cluster does not serve.
    pub unknown: Vec<String>,
}

/// Finds the places of a manifest's objects; those without a namespace get the release's.
///
/// # Errors
/// `invalid` on `chart` for what has no name, and what the connection says.
pub async fn locate<C: Requester>(
    cluster: &C,
    values: Vec<Value>,
    namespace: &str,
) -> Result<Located, Error> {
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let kind_of = |value: &Value| Kind::new(&text(value, "/apiVersion"), &text(value, "/kind"));
    let mut kinds: Vec<Kind> = values.iter().map(kind_of).collect();
    kinds.sort();
    kinds.dedup();
    let asked = kinds
        .iter()
        .map(|kind| cluster.mapping(&kind.group, &kind.version, &kind.kind));
    let mut mappings = BTreeMap::new();
    for (kind, mapping) in kinds.iter().zip(join_all(asked).await) {
        mappings.insert(kind.clone(), mapping?);
    }
    let mut located = Located::default();
    for value in values {
        let kind = kind_of(&value);
        let api_version = text(&value, "/apiVersion");
        let Some(mapping) = mappings.get(&kind).cloned().flatten() else {
            located.unknown.push(format!(
                "no matches for kind \"{}\" in version \"{api_version}\"",
                kind.kind
            ));
            continue;
        };
        let name = text(&value, "/metadata/name");
        if name.is_empty() {
            return Err(Error::invalid(
                "chart",
                format!("a {} of the manifest has no metadata.name", kind.kind),
            ));
        }
        let own = text(&value, "/metadata/namespace");
        let namespace = if own.is_empty() {
            namespace.to_owned()
        } else {
            own
        };
        let namespace = mapping.namespaced.then_some(namespace);
        located.objects.push(Object {
            kind,
            api_version,
            namespace,
            name,
            value,
            mapping,
        });
    }
    located.unknown.sort();
    located.unknown.dedup();
    Ok(located)
}

/// Objects in the order of their removal: the reverse of Helm's install order, but Services directly after
/// IngressClasses, and unknown kinds last, by name.
#[must_use]
pub fn removal_order(mut objects: Vec<Object>) -> Vec<Object> {
    let rank = |kind: &str| {
        let at = |kind: &str| INSTALL_ORDER.iter().rev().position(|known| *known == kind);
        let place = if kind == "Service" {
            at("IngressClass")
        } else {
            at(kind)
        };
        (place.unwrap_or(usize::MAX), u8::from(kind == "Service"))
    };
    objects.sort_by(|a, b| {
        let (x, y) = (rank(&a.kind.kind), rank(&b.kind.kind));
        x.cmp(&y).then_with(|| {
            if x.0 == usize::MAX {
                a.kind.kind.cmp(&b.kind.kind)
            } else {
                std::cmp::Ordering::Equal
            }
        })
    });
    objects
}

/// Runs of equal kinds: what is done at once.
pub fn runs(objects: &[Object]) -> impl Iterator<Item = &[Object]> {
    objects.chunk_by(|a, b| a.kind.kind == b.kind.kind)
}
