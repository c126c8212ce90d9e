//! Credentials that other tools wrote into their objects on a central cluster, as the tools of 2018 did.
//!
//! They stay where they are. On the way to the registry's plugin each is replaced by a placeholder, and remembered beside
//! the addresses of the same object, so that `custody` can bind it; a placeholder that the plugin sends back becomes what
//! stands there. The plugin, the mirror and every reply know the placeholder only.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

use super::{custody::bound_of, input};
use crate::{
    ports::Bound,
    words::{Cluster, Credential, Uid, sha256},
};

/// More objects than a registry is made for; what is not remembered says so when it is needed.
const MAX_FOUND: usize = 20_000;
/// As many bytes as any id in the vault has.
const ID_BYTES: usize = 16;

/// A credential, and where the object that held it said to send it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) credential: Credential,
    /// Without a uid: that is the host's.
    pub(super) bound: Bound,
}

/// Those of every object, by the registry's uid, as last read.
#[derive(Debug, Default)]
pub struct Found(Mutex<HashMap<Uid, Seen>>);

impl Found {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hides what is secret in an object that a central cluster answered, and remembers its credential.
    pub fn take(&self, object: &mut Map<String, Value>) {
        let credential = input::credential_in(object);
        if !input::hide(object) {
            return;
        }
        // Metadata alone says nothing of a token elsewhere, nor of where one goes.
        if !object.contains_key("spec") {
            return;
        }
        let Ok(cluster) = Cluster::from_object(object.clone()) else {
            return;
        };
        let Some(uid) = cluster.uid() else { return };
        let mut found = self.lock();
        match credential.zip(bound_of(&cluster, None).ok()) {
            Some((credential, bound)) if found.len() < MAX_FOUND || found.contains_key(&uid) => {
                found.insert(uid, Seen { credential, bound });
            }
            _ => {
                found.remove(&uid);
            }
        }
    }

    pub(super) fn of(&self, uid: &Uid) -> Option<Seen> {
        self.lock().get(uid).cloned()
    }

    pub(super) fn forget(&self, uid: &Uid) {
        self.lock().remove(uid);
    }
}

/// Under which id the vault keeps it: everybody can tell it, and it opens for that cluster alone.
pub(super) fn id_of(uid: &Uid) -> String {
    let digest = sha256(format!("in-object/{uid}").as_bytes());
    let digits = digest.trim_start_matches("sha256:");
    digits.chars().take(2 * ID_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        flows::{
            custody::Custody,
            fakes::{FakeWorld, MemoryVault},
        },
        words::{Fault, FaultReason, Member},
    };

    fn object(server: &str, auth: &Value, conf: &str) -> Map<String, Value> {
        let object = json!({
            "apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
            "metadata": {"name": "e", "uid": "u1", "annotations": {"Conf": conf}},
            "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": server}]}, "authInfo": auth},
        });
        serde_json::from_value(object).unwrap()
    }

    fn with_token(server: &str, token: &str) -> Map<String, Value> {
        let provider = json!({"name": "p", "config": {"token": token, "region": "a"}});
        object(server, &json!({ "providers": [provider] }), "")
    }

    fn token(member: &Member) -> &str {
        match &member.credential {
            Some(Credential::Token(token)) => token.expose(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_hidden_comes_back_where_it_stood_and_nowhere_else() {
        let whole = with_token("a:1", "s3cret");
        let applied = Value::Object(whole.clone()).to_string();
        let harmless = r#"{"metadata":{"name":"e"}}"#;
        for (copy, is_kept) in [(applied.as_str(), false), (harmless, true), ("{", false)] {
            let mut raw = whole.clone();
            raw["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
                copy.into();
            let mut shown = raw.clone();
            assert!(input::hide(&mut shown) && input::is_hidden(&shown));
            let text = Value::Object(shown.clone()).to_string();
            assert!(!text.contains("s3cret"), "{text}");
            assert_eq!(text.contains(r#"{\"metadata\""#), is_kept);
            let mut sent = shown.clone();
            input::restore(&mut sent, &raw);
            assert_eq!(sent, raw);
            // Of another object, and where another field asks for it, it stays away.
            shown["spec"]["authInfo"]["providers"][0]["config"]["region"] = input::MASKED.into();
            input::restore(&mut shown, &object("a:1", &json!({}), ""));
            let config = &shown["spec"]["authInfo"]["providers"][0]["config"];
            assert_eq!(*config, json!({"region": "<masked>"}));
        }
        let mut nothing = object(
            "a:1",
            &json!({"providers": [{"name": "p", "config": {"token": ""}}]}),
            "",
        );
        assert!(!input::hide(&mut nothing) && !input::is_hidden(&nothing));
    }

    #[test]
    fn a_reference_goes_before_a_token_and_a_token_before_a_kubeconfig() {
        let conf = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://a:1"}}],
            "users": [{"name": "u", "user": {"token": "of-conf"}}]})
        .to_string();
        let provider = json!({"name": "p", "config": {"token": "of-provider"}});
        let ours = json!({"type": {"name": input::REFERENCE_KIND}, "config": {"id": "1"}});
        let secret = json!({"kind": "Secret", "name": "s"});
        for (auth, expected) in [
            (
                json!({"providers": [{"name": "q"}, provider]}),
                Some("of-provider"),
            ),
            (json!({}), Some("of-conf")),
            (json!({"providers": [ours, provider]}), None),
            (json!({"controller": secret, "providers": [provider]}), None),
        ] {
            let mut whole = object("a:1", &auth, &conf);
            let given = input::credential_in(&whole);
            input::hide(&mut whole);
            let is_in_object = input::is_hidden_in(&Cluster::from_object(whole).unwrap());
            assert_eq!(is_in_object, expected.is_some(), "{auth}");
            let expected = expected.map(|t| Credential::Token(crate::words::Secret::new(t.into())));
            assert_eq!(given, expected, "{auth}");
        }
        let spaced = with_token("a:1", "two words");
        assert_eq!(input::credential_in(&spaced), None);
    }

    #[tokio::test]
    async fn it_goes_where_its_object_said_when_it_was_written() {
        let found = Arc::new(Found::default());
        let custody = Custody::new(
            Arc::new(MemoryVault::default()),
            Arc::new(FakeWorld::default()),
        );
        let custody = custody.with_found(found.clone());
        let uid: Uid = "host-1".parse().unwrap();
        let shown = |server: &str, token: &str| {
            let mut object = with_token(server, token);
            found.take(&mut object);
            Cluster::from_object(object).unwrap()
        };
        let reason = |result: Result<Member, Fault>| result.unwrap_err().reason;
        let unread = {
            let mut object = with_token("a:1", "one");
            input::hide(&mut object);
            Cluster::from_object(object).unwrap()
        };
        let member = custody.member(&unread, &uid).await;
        assert_eq!(reason(member), FaultReason::CredentialUnreadable);

        let at_a = shown("a:1", "one");
        // A plugin that says it is elsewhere gets nothing sent there, not even at first.
        let mut lie = with_token("evil:1", "one");
        input::hide(&mut lie);
        let lie = Cluster::from_object(lie).unwrap();
        assert_eq!(
            reason(custody.member(&lie, &uid).await),
            FaultReason::CredentialUnbound
        );
        assert_eq!(token(&custody.member(&at_a, &uid).await.unwrap()), "one");
        // Moved in the object itself: the same token stays where it was, a new one goes along.
        let moved = shown("b:1", "one");
        assert_eq!(
            reason(custody.member(&moved, &uid).await),
            FaultReason::CredentialUnbound
        );
        let anew = shown("b:1", "two");
        assert_eq!(token(&custody.member(&anew, &uid).await.unwrap()), "two");
        // Of an object without its spec nothing is learned, nor forgotten.
        let mut head = with_token("b:1", "three");
        head.remove("spec");
        head["metadata"]["annotations"]["Conf"] = "kubeconfig".into();
        found.take(&mut head);
        assert_eq!(head["metadata"]["annotations"]["Conf"], input::MASKED);
        assert!(found.of(&"u1".parse().unwrap()).is_some());
        // A start that has not read the object yet.
        found.forget(&"u1".parse().unwrap());
        assert_eq!(token(&custody.member(&anew, &uid).await.unwrap()), "two");
        assert_eq!(
            input::reference_in(&anew),
            Some(id_of(&"u1".parse().unwrap()))
        );
    }
}
