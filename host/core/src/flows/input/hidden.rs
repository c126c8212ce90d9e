//! Placeholders: what stands where other tools wrote a credential into an object.

use serde_json::{Map, Value};

use super::{
    Problems,
    secrets::{CONF, LAST_APPLIED, MASKED, check_credential, from_config, is_ours, is_secret_key},
};
use crate::{
    flows::kubeconfig,
    words::{Cluster, Credential},
};

fn annotations(object: &Map<String, Value>) -> Option<&Map<String, Value>> {
    object.get("metadata")?.get("annotations")?.as_object()
}

fn annotations_mut(object: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let metadata = object.get_mut("metadata")?;
    metadata.get_mut("annotations")?.as_object_mut()
}

fn providers(object: &Map<String, Value>) -> &[Value] {
    let auth = object.get("spec").and_then(|s| s.get("authInfo"));
    let providers = auth.and_then(|a| a.get("providers"));
    providers
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn providers_mut(object: &mut Map<String, Value>) -> Option<&mut Vec<Value>> {
    let auth = object.get_mut("spec")?.get_mut("authInfo")?;
    auth.get_mut("providers")?.as_array_mut()
}

fn config_of(provider: &Value) -> Option<&Map<String, Value>> {
    provider.get("config")?.as_object()
}

fn config_mut(provider: &mut Value) -> Option<&mut Map<String, Value>> {
    provider.get_mut("config")?.as_object_mut()
}

fn is_placeholder(value: &Value) -> bool {
    value.as_str() == Some(MASKED)
}

/// Puts a placeholder in the place of every credential of somebody else's object. Whether there was one.
pub fn hide(object: &mut Map<String, Value>) -> bool {
    let mut is_hidden = false;
    if let Some(annotations) = annotations_mut(object) {
        if let Some(conf) = annotations.get_mut(CONF)
            && conf.as_str().is_none_or(|text| !text.is_empty())
        {
            *conf = MASKED.into();
            is_hidden = true;
        }
        // A copy of the object: as long as nothing in it is secret, it is its owner's.
        if let Some(applied) = annotations.get_mut(LAST_APPLIED) {
            let text = applied.as_str().unwrap_or_default();
            let copy = serde_json::from_str::<Map<String, Value>>(text);
            let is_harmless = copy.is_ok_and(|mut copy| !hide(&mut copy));
            if !is_harmless {
                *applied = MASKED.into();
                is_hidden = true;
            }
        }
    }
    for provider in providers_mut(object).into_iter().flatten() {
        for (key, value) in config_mut(provider).into_iter().flatten() {
            if is_secret_key(key) && value.as_str() != Some("") {
                *value = MASKED.into();
                is_hidden = true;
            }
        }
    }
    is_hidden
}

/// Whether something else than what stands in the object is its credential.
fn has_reference(object: &Map<String, Value>) -> bool {
    let auth = object.get("spec").and_then(|s| s.get("authInfo"));
    let controller = auth.and_then(|a| a.get("controller"));
    let name = controller
        .and_then(|c| c.get("name"))
        .and_then(Value::as_str);
    name.is_some_and(|name| !name.is_empty()) || providers(object).iter().any(is_ours)
}

/// The credential in somebody else's object: a provider's before a kubeconfig's; none beside a reference, which goes first,
/// and none that is of no form we know.
pub fn credential_in(object: &Map<String, Value>) -> Option<Credential> {
    if has_reference(object) {
        return None;
    }
    let mut problems = Problems::default();
    let given = providers(object).iter().filter_map(config_of);
    let given = given.filter_map(|config| from_config(&mut config.clone(), "", &mut problems));
    let given = given.take(1).last().or_else(|| {
        let conf = annotations(object)?.get(CONF)?.as_str()?;
        kubeconfig::parse(conf).ok()?.context(None).ok()?.credential
    })?;
    let mut problems = Problems::default();
    check_credential(&given, &mut problems);
    problems.into_result(given).ok()
}

/// Whether a placeholder stands for the credential of an object.
pub fn is_hidden(object: &Map<String, Value>) -> bool {
    let conf = annotations(object).and_then(|annotations| annotations.get(CONF));
    let configs = providers(object).iter().filter_map(config_of);
    conf.is_some_and(is_placeholder)
        || configs
            .flatten()
            .any(|(key, value)| is_secret_key(key) && is_placeholder(value))
}

/// Takes every placeholder out, and the providers that held nothing else.
pub fn drop_hidden(object: &mut Map<String, Value>) {
    restore(object, &Map::new());
}

/// Puts what stands in `present` where `object` has placeholders; what stands there no more is taken out.
pub fn restore(object: &mut Map<String, Value>, present: &Map<String, Value>) {
    let there = annotations(present);
    if let Some(annotations) = annotations_mut(object) {
        for key in [CONF, LAST_APPLIED] {
            if annotations.get(key).is_some_and(is_placeholder) {
                put(annotations, key, there.and_then(|there| there.get(key)));
            }
        }
    }
    let there = providers(present);
    let Some(providers) = providers_mut(object) else {
        return;
    };
    let mut index = 0;
    providers.retain_mut(|provider| {
        let name = provider.get("name").cloned();
        let is_same = |other: &&Value| other.get("name") == name.as_ref();
        let other = there.get(index).filter(is_same);
        let other = other
            .or_else(|| there.iter().find(is_same))
            .and_then(config_of);
        index += 1;
        let Some(config) = config_mut(provider) else {
            return true;
        };
        let hidden = config
            .iter()
            .filter(|(key, value)| is_secret_key(key) && is_placeholder(value));
        let hidden: Vec<String> = hidden.map(|(key, _)| key.clone()).collect();
        for key in &hidden {
            put(config, key, other.and_then(|other| other.get(key)));
        }
        hidden.is_empty() || !config.is_empty()
    });
    if providers.is_empty()
        && let Some(Value::Object(auth)) =
            object.get_mut("spec").and_then(|s| s.get_mut("authInfo"))
    {
        auth.remove("providers");
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<&Value>) {
    match value {
        Some(value) => map.insert(key.to_owned(), value.clone()),
        None => map.remove(key),
    };
}

/// Whether a placeholder stands for what a registered cluster is spoken to with.
pub(in crate::flows) fn is_hidden_in(cluster: &Cluster) -> bool {
    // Most are looked through for those few that have one.
    if !cluster.mentions(MASKED) {
        return false;
    }
    let object = cluster.object();
    is_hidden(&object) && !has_reference(&object)
}
