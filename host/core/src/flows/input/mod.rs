//! What callers send as a cluster, brought into the one form that is stored.
//!
//! Three inputs are read: the short form (`{"name", "server", "token", …}`), the v0.0.6 object
//! (references in `authInfo`) and the v0.0.3 object (providers; keys in any case). The result is an
//! object in the Kubernetes shape with canonical keys, and apart from it the credential, wherever it
//! stood. No plugin ever sees the object before that.

mod hidden;
mod object;
mod secrets;
mod short;

use serde_json::{Map, Value};

use super::address;
use crate::{
    error::{Error, FieldError, Result},
    words::{Cluster, Credential},
};

pub(super) use hidden::is_hidden_in;
pub use hidden::{credential_in, drop_hidden, hide, is_hidden, restore};
pub use secrets::{
    MASKED, REFERENCE_KIND, last_applied_annotation, mask, reference_in, reference_of,
    set_reference,
};

/// Annotation with the name to verify instead of the address's.
pub const TLS_SERVER_NAME: &str = "optikon.io/tls-server-name";
/// Annotation with a member's own proxy.
pub const PROXY_URL: &str = "optikon.io/proxy-url";

/// All annotations together, as Kubernetes bounds them.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// A cluster as somebody wants it, checked.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Canonical keys, no secret inside; a reference is added when the credential is sealed.
    pub object: Map<String, Value>,
    /// The credential given with it.
    pub credential: Option<Credential>,
}

/// What is done with fields nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Refused with their path.
    Refuse,
    /// Left out, as Kubernetes does without `fieldValidation=Strict`.
    Drop,
}

/// Reads a cluster in any of the three forms. `present` is the object it replaces: a field that is
/// unknown here but stands there already is carried through.
///
/// # Errors
/// [`Error::Invalid`] that lists every wrong field with its path; nothing was stored or sent.
pub fn read(value: Value, present: Option<&Cluster>, unknown: Unknown) -> Result<Draft> {
    let Value::Object(map) = value else {
        return Err(Error::invalid("", "a cluster must be a JSON object"));
    };
    let mut problems = Problems::default();
    let mut draft = if short::is_short(&map) {
        short::read(map, &mut problems)
    } else {
        object::read(map, present, unknown, &mut problems)
    };
    check(&mut draft, &mut problems);
    problems.into_result(draft)
}

/// Collects what is wrong, so that one answer names everything.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<FieldError>);

/// More would only be noise.
const MAX_PROBLEMS: usize = 64;

impl Problems {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(FieldError::new(field, message));
        }
    }

    fn into_result<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Error::Invalid(self.0))
        }
    }
}

const ENDPOINTS: &str = "spec.kubernetesApiEndpoints.serverEndpoints";

/// Rules that hold whatever the form was.
fn check(draft: &mut Draft, problems: &mut Problems) {
    let Ok(cluster) = Cluster::from_object(draft.object.clone()) else {
        if !object::wants_generated_name(&draft.object) {
            problems.add("metadata.name", crate::words::ClusterName::label_rule());
        }
        return;
    };
    let endpoints = draft
        .object
        .get("spec")
        .and_then(|s| s.get("kubernetesApiEndpoints"))
        .and_then(|e| e.get("serverEndpoints"))
        .and_then(Value::as_array);
    for (i, endpoint) in endpoints.into_iter().flatten().enumerate() {
        let server = endpoint
            .get("serverAddress")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Err(message) = address::normalise(server) {
            problems.add(format!("{ENDPOINTS}[{i}].serverAddress"), message);
        }
        let cidr = endpoint
            .get("clientCIDR")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Err(message) = address::check_cidr(cidr) {
            problems.add(format!("{ENDPOINTS}[{i}].clientCIDR"), message);
        }
    }
    match cluster.ca() {
        Ok(Some(pem)) => {
            if let Err(message) = secrets::check_certificates(&pem) {
                problems.add("spec.kubernetesApiEndpoints.caBundle", message);
            }
        }
        Ok(None) => {}
        Err(Error::Invalid(fields)) => problems.0.extend(fields),
        Err(other) => problems.add("spec.kubernetesApiEndpoints.caBundle", other.to_string()),
    }
    if let Some(name) = cluster.annotation(TLS_SERVER_NAME)
        && (name.is_empty() || address::normalise(&name).is_err() || name.contains(['/', ':']))
    {
        problems.add(
            format!("metadata.annotations[{TLS_SERVER_NAME}]"),
            "must be a DNS name",
        );
    }
    if let Some(proxy) = cluster.annotation(PROXY_URL)
        && let Err(message) = address::check_proxy(&proxy)
    {
        problems.add(format!("metadata.annotations[{PROXY_URL}]"), message);
    }
    let annotations: usize = cluster
        .annotations()
        .iter()
        .map(|(k, v)| k.len() + v.len())
        .sum();
    if annotations > MAX_ANNOTATION_BYTES {
        problems.add(
            "metadata.annotations",
            format!("together they are larger than {MAX_ANNOTATION_BYTES} bytes"),
        );
    }
    if let Some(credential) = &draft.credential {
        secrets::check_credential(credential, problems);
    }
}

#[cfg(test)]
mod tests;
