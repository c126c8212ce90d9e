//! What a v0.0.3 server stores of an object, and what it would drop without a word.
//!
//! Its decoder takes keys in any case and loses fields that it does not know. Those are carried in an annotation, beside
//! what they belong to, and put back when the object is read; other tools see one annotation more. What the server would
//! refuse with a text that quotes the body is found here first, and named by its field.

use optikon_plugin_sdk::Error;
use serde_json::{Map, Value};

/// Where the rest of the object is kept, as JSON in the shape of the object.
pub const REST: &str = "registry-aggregated.optikon.io/rest";
/// Of all annotations of an object together: the API server's own limit.
const MAX_ANNOTATIONS_BYTES: usize = 256 << 10;

/// One type of v0.0.3.
enum Shape {
    Text,
    Bytes,
    /// Text to text, whatever the keys.
    Texts,
    List(&'static Shape),
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Bytes, Fields, List, Text, Texts};

const ENDPOINT: Shape = Fields(&[("clientCIDR", Text), ("serverAddress", Text)]);
const PROVIDER: Shape = Fields(&[
    ("name", Text),
    ("type", Fields(&[("name", Text)])),
    ("config", Texts),
]);
const SPEC: Shape = Fields(&[
    (
        "kubernetesApiEndpoints",
        Fields(&[("serverEndpoints", List(&ENDPOINT)), ("caBundle", Bytes)]),
    ),
    ("authInfo", Fields(&[("providers", List(&PROVIDER))])),
    ("cloudProvider", Fields(&[("name", Text)])),
]);

/// Two parts of one value: what the server stores, what it would lose.
type Parts = (Option<Value>, Option<Value>);

fn split(shape: &Shape, value: &Value, path: &str) -> Result<Parts, Error> {
    let refuse = |rule: &str| Err(Error::invalid(path, rule));
    match (shape, value) {
        // Nothing and empty are the same to it, so that they come back as they were sent.
        (_, Value::Null) => Ok((None, Some(Value::Null))),
        (Text | Bytes, Value::String(text)) if text.is_empty() => Ok((None, Some(value.clone()))),
        (Text, Value::String(_)) => Ok((Some(value.clone()), None)),
        (Text, _) => refuse("must be text"),
        (Bytes, Value::String(text)) if is_base64(text) => Ok((Some(value.clone()), None)),
        (Bytes, _) => refuse("must be base64"),
        (Texts, Value::Object(map)) if map.values().all(Value::is_string) => {
            Ok(if map.is_empty() {
                (None, Some(value.clone()))
            } else {
                (Some(value.clone()), None)
            })
        }
        (Texts, _) => refuse("must hold text only"),
        (List(_), Value::Array(items)) if items.is_empty() => Ok((None, Some(value.clone()))),
        (List(shape), Value::Array(items)) => {
            let (mut stored, mut rest) = (Vec::new(), Vec::new());
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                if !item.is_object() {
                    return Err(Error::invalid(path, "must be an object"));
                }
                let (one, other) = split(shape, item, &path)?;
                stored.push(one.unwrap_or_else(empty));
                rest.push(other.unwrap_or_else(empty));
            }
            let is_whole = rest.iter().all(|item| *item == empty());
            Ok((
                Some(Value::Array(stored)),
                (!is_whole).then_some(Value::Array(rest)),
            ))
        }
        (List(_), _) => refuse("must be a list"),
        (Fields(_), Value::Object(fields)) if fields.is_empty() => Ok((None, Some(value.clone()))),
        (Fields(known), Value::Object(fields)) => {
            let (mut stored, mut rest) = (Map::new(), Map::new());
            for (key, value) in fields {
                let found = known
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(key));
                let Some((name, shape)) = found else {
                    rest.insert(key.clone(), value.clone());
                    continue;
                };
                let (one, other) = split(shape, value, &format!("{path}.{name}"))?;
                if let Some(one) = one {
                    stored.insert((*name).to_owned(), one);
                }
                if let Some(other) = other {
                    rest.insert((*name).to_owned(), other);
                }
            }
            let some = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
            Ok((some(stored), some(rest)))
        }
        (Fields(_), _) => refuse("must be an object"),
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Takes an object apart: `spec` as the server stores it, and the text of the annotation, where there is a rest.
///
/// # Errors
/// `invalid` with the field that v0.0.3 has another type for; `too-large`.
pub fn apart(object: &Map<String, Value>) -> Result<(Value, Option<String>), Error> {
    let spec = object.get("spec");
    let (stored, left) = match spec {
        Some(spec) => split(&SPEC, spec, "spec")?,
        None => (None, None),
    };
    let mut rest: Map<String, Value> = object
        .iter()
        .filter(|(key, _)| {
            !matches!(
                key.as_str(),
                "apiVersion" | "kind" | "metadata" | "spec" | "status"
            )
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(left) = left {
        rest.insert("spec".into(), left);
    }
    let text = (!rest.is_empty()).then(|| Value::Object(rest).to_string());
    if let Some(text) = text
        .as_ref()
        .filter(|text| text.len() > MAX_ANNOTATIONS_BYTES)
    {
        return Err(Error::too_large(format!(
            "fields that cluster-registry v0.0.3 does not know take {} bytes, the most is {MAX_ANNOTATIONS_BYTES}: remove \
             some of them",
            text.len()
        )));
    }
    Ok((stored.unwrap_or_else(empty), text))
}

/// Puts a rest back beside what the server stored; what it stored wins, as it may have been changed there since.
pub fn together(stored: &mut Value, rest: Value) {
    match (stored, rest) {
        (Value::Object(stored), Value::Object(rest)) => {
            for (key, value) in rest {
                match stored.get_mut(&key) {
                    Some(there) => together(there, value),
                    None => {
                        stored.insert(key, value);
                    }
                }
            }
        }
        // Whose items they were is known only while nobody added or removed any.
        (Value::Array(stored), Value::Array(rest)) if stored.len() == rest.len() => {
            for (there, value) in stored.iter_mut().zip(rest) {
                together(there, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn back(object: &Value) -> Value {
        let (mut spec, rest) = apart(object.as_object().unwrap()).unwrap();
        let mut whole = json!({ "spec": spec.take() });
        if let Some(rest) = rest {
            together(&mut whole, serde_json::from_str(&rest).unwrap());
        }
        whole
    }

    #[test]
    fn what_the_server_does_not_know_comes_back() {
        let object = json!({"topLevel": [true], "spec": {
            "kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": "a", "zone": 1}, {"clientCIDR": ""}]},
            "authInfo": {"controller": {"kind": "Secret"}, "providers": [{"name": "p", "config": {}}]},
            "cloudProvider": null, "odd": {"deep": [null]}}});
        assert_eq!(back(&object), object);
        let (spec, _) = apart(object.as_object().unwrap()).unwrap();
        assert_eq!(
            spec,
            json!({"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": "a"}, {}]},
                "authInfo": {"providers": [{"name": "p"}]}})
        );
    }

    #[test]
    fn keys_are_taken_in_any_case() {
        let object =
            json!({"spec": {"KubernetesAPIEndpoints": {"serverendpoints": [{"clientCidr": "x"}]}}});
        let (spec, rest) = apart(object.as_object().unwrap()).unwrap();
        assert_eq!(
            spec,
            json!({"kubernetesApiEndpoints": {"serverEndpoints": [{"clientCIDR": "x"}]}})
        );
        assert_eq!(rest, None);
    }

    #[test]
    fn a_wrong_type_is_named_by_its_field_and_never_quoted() {
        for (spec, field) in [
            (
                json!({"authInfo": {"providers": [{"name": 7, "config": {"token": "s3cret"}}]}}),
                "spec.authInfo.providers[0].name",
            ),
            (
                json!({"authInfo": {"providers": [{"config": {"token": 5}}]}}),
                "spec.authInfo.providers[0].config",
            ),
            (
                json!({"kubernetesApiEndpoints": {"caBundle": "s3cret!"}}),
                "spec.kubernetesApiEndpoints.caBundle",
            ),
            (
                json!({"kubernetesApiEndpoints": {"serverEndpoints": ["s3cret"]}}),
                "spec.kubernetesApiEndpoints.serverEndpoints[0]",
            ),
            (json!("s3cret"), "spec"),
        ] {
            let object = json!({ "spec": spec });
            let error = apart(object.as_object().unwrap()).unwrap_err();
            assert_eq!(error.detail("field"), Some(field), "{object}");
            assert!(!error.message.contains("s3cret"), "{}", error.message);
        }
    }

    #[test]
    fn a_list_that_others_changed_keeps_what_they_wrote() {
        let mut stored = json!({"spec": {"list": [{"a": "1"}]}});
        together(
            &mut stored,
            json!({"spec": {"list": [{"b": 1}, {"b": 2}], "odd": 1}}),
        );
        assert_eq!(stored, json!({"spec": {"list": [{"a": "1"}], "odd": 1}}));
    }
}
