//! What a change would do, from Tiller's dry run: the manifest that it would apply against the one that it did apply.

use std::collections::BTreeMap;

use optikon_plugin_sdk::{Error, charts::Change};
use serde_json::{Value, json};

use crate::{flow::Flow, plan::Plan, session::Session, wire::Code, world::World};

/// Stands for what a Secret holds.
const MASK: &str = "***";
/// What keeps an object when its release drops it.
const KEEP: &str = "/metadata/annotations/helm.sh~1resource-policy";

type Key = (String, Option<String>, String);

impl<W: World> Flow<'_, W> {
    /// Asks Tiller for a dry run and compares.
    ///
    /// # Errors
    /// As the change itself.
    pub async fn preview(&self, plan: Plan) -> Result<Vec<Change>, Error> {
        let session = Session::open(self.world).await?;
        let last = session.content(&self.name, 0).await?;
        let last = last.filter(|last| last.code() != Code::Deleted);
        let seconds = self.options.timeout_seconds();
        let (old, draft) = match last {
            None => {
                let mut request = self.install_request(plan, true);
                request.dry_run = true;
                let draft = session.change("InstallRelease", &request, seconds).await?;
                (String::new(), draft)
            }
            Some(last) => {
                self.check_namespace(&last)?;
                let mut request = self.upgrade_request(plan, &last);
                request.dry_run = true;
                let draft = session.change("UpdateRelease", &request, seconds).await?;
                (last.manifest, draft)
            }
        };
        Ok(compare(
            &objects(&old, &self.namespace)?,
            &objects(&draft.manifest, &self.namespace)?,
        ))
    }
}

/// The objects of a manifest, none of which changes.
pub(crate) fn unchanged(manifest: &str, namespace: &str) -> Result<Vec<Change>, Error> {
    let objects = objects(manifest, namespace)?;
    Ok(compare(&objects, &objects))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn objects(manifest: &str, namespace: &str) -> Result<BTreeMap<Key, Value>, Error> {
    let mut found = BTreeMap::new();
    for document in documents(manifest) {
        let object = helm_yaml::decode_raw(document.as_bytes())
            .map_err(|e| Error::unavailable(format!("a manifest of Tiller is no YAML: {e}")))?;
        if !object.is_object() {
            continue;
        }
        let kind = format!(
            "{}/{}",
            text(&object, "/apiVersion"),
            text(&object, "/kind")
        );
        let own = text(&object, "/metadata/namespace");
        // Which kinds live in namespaces is not known here, so what says none is shown in the release's.
        let own = if own.is_empty() { namespace } else { own };
        let name = text(&object, "/metadata/name").to_owned();
        found.insert((kind, Some(own.to_owned()), name), object);
    }
    Ok(found)
}

/// The parts between lines that begin with `---`.
fn documents(manifest: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in manifest.lines() {
        if line.starts_with("---") {
            documents.push(String::new());
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

fn compare(old: &BTreeMap<Key, Value>, new: &BTreeMap<Key, Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, object) in new {
        let mut patch = Vec::new();
        let what = match old.get(key) {
            None => "created",
            Some(before) => {
                differ(before, object, "", is_secret(key), &mut patch);
                if patch.is_empty() {
                    "unchanged"
                } else {
                    "changed"
                }
            }
        };
        changes.push(change(key, what, patch));
    }
    for (key, object) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let is_kept = text(object, KEEP) == "keep";
        changes.push(change(
            key,
            if is_kept { "kept" } else { "deleted" },
            Vec::new(),
        ));
    }
    changes
}

fn is_secret(key: &Key) -> bool {
    key.0 == "v1/Secret"
}

fn change((kind, namespace, name): &Key, what: &str, patch: Vec<Value>) -> Change {
    Change {
        kind: kind.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
        what: what.to_owned(),
        patch: Value::Array(patch).to_string(),
    }
}

fn differ(old: &Value, new: &Value, path: &str, is_secret: bool, out: &mut Vec<Value>) {
    if old == new {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        for (key, value) in after {
            let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            match before.get(key) {
                Some(old) => differ(old, value, &path, is_secret, out),
                None => out.push(json!({"path": path, "new": shown(value, &path, is_secret)})),
            }
        }
        for (key, value) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
            let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            out.push(json!({"path": path, "old": shown(value, &path, is_secret)}));
        }
        return;
    }
    out.push(json!({
        "path": path, "old": shown(old, path, is_secret), "new": shown(new, path, is_secret),
    }));
}

fn shown(value: &Value, path: &str, is_secret: bool) -> Value {
    let holds = path.is_empty() || path.starts_with("/data") || path.starts_with("/stringData");
    if is_secret && holds {
        return MASK.into();
    }
    value.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_compared_and_secrets_masked() {
        let old = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b2xk}\n\
                   ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n\
                   ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: stays, annotations: {helm.sh/resource-policy: keep}}\n";
        let new = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: bmV3}\n\
                   ---\napiVersion: v1\nkind: Service\nmetadata: {name: new, namespace: other}\n";
        let changes = compare(
            &objects(old, "shop").unwrap(),
            &objects(new, "shop").unwrap(),
        );
        let words: Vec<(&str, &str)> = changes
            .iter()
            .map(|c| (c.name.as_str(), c.what.as_str()))
            .collect();
        assert_eq!(
            words,
            [
                ("s", "changed"),
                ("new", "created"),
                ("gone", "deleted"),
                ("stays", "kept")
            ]
        );
        assert!(!changes[0].patch.contains("b2xk") && !changes[0].patch.contains("bmV3"));
        assert!(changes[0].patch.contains("/data/a"));
        assert_eq!(changes[1].namespace.as_deref(), Some("other"));
    }
}
