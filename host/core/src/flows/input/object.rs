//! The Kubernetes-shaped forms, with keys in any case and fields checked against what is known.

use serde_json::{Map, Value};

use super::{Draft, Problems, Unknown, secrets};
use crate::words::{Cluster, GROUP_VERSION, KIND, is_label_key, is_label_value};

/// What may stand at one place. Keys are matched in any case and come out as spelled here.
enum Shape {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// Text to text; `Labels` also follows the rules for label keys and values.
    Texts,
    Labels,
    /// A list of texts.
    List,
    /// Known fields.
    Fields(&'static [(&'static str, Shape)]),
    /// A list of objects with known fields.
    Each(&'static [(&'static str, Shape)]),
    /// Kept as it is.
    Anything,
}

const REFERENCE: &[(&str, Shape)] = &[
    ("kind", Shape::Text),
    ("name", Shape::Text),
    ("namespace", Shape::Text),
];

const OWNER: &[(&str, Shape)] = &[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("name", Shape::Text),
    ("uid", Shape::Text),
    ("controller", Shape::Anything),
    ("blockOwnerDeletion", Shape::Anything),
];

const OBJECT: &[(&str, Shape)] = &[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    (
        "metadata",
        Shape::Fields(&[
            ("name", Shape::Text),
            ("generateName", Shape::Text),
            ("namespace", Shape::Text),
            ("clusterName", Shape::Text),
            ("selfLink", Shape::Text),
            ("uid", Shape::Text),
            ("resourceVersion", Shape::Text),
            ("generation", Shape::Number),
            ("creationTimestamp", Shape::Anything),
            ("deletionTimestamp", Shape::Anything),
            ("deletionGracePeriodSeconds", Shape::Number),
            ("labels", Shape::Labels),
            ("annotations", Shape::Texts),
            ("finalizers", Shape::List),
            ("ownerReferences", Shape::Each(OWNER)),
            ("managedFields", Shape::Anything),
        ]),
    ),
    (
        "spec",
        Shape::Fields(&[
            (
                "kubernetesApiEndpoints",
                Shape::Fields(&[
                    (
                        "serverEndpoints",
                        Shape::Each(&[("clientCIDR", Shape::Text), ("serverAddress", Shape::Text)]),
                    ),
                    ("caBundle", Shape::Text),
                ]),
            ),
            (
                "authInfo",
                Shape::Fields(&[
                    ("user", Shape::Fields(REFERENCE)),
                    ("controller", Shape::Fields(REFERENCE)),
                    (
                        "providers",
                        Shape::Each(&[
                            ("name", Shape::Text),
                            ("type", Shape::Fields(&[("name", Shape::Text)])),
                            ("config", Shape::Texts),
                        ]),
                    ),
                ]),
            ),
            ("cloudProvider", Shape::Fields(&[("name", Shape::Text)])),
        ]),
    ),
    // Written through the probe only; what a caller sends is left out, as in Kubernetes.
    ("status", Shape::Anything),
];

pub(super) fn read(
    map: Map<String, Value>,
    present: Option<&Cluster>,
    unknown: Unknown,
    problems: &mut Problems,
) -> Draft {
    let present = present.map(Cluster::object);
    let mut object = fields(map, OBJECT, "", present.as_deref(), unknown, problems);
    object.remove("status");
    expect(&mut object, "apiVersion", GROUP_VERSION, problems);
    expect(&mut object, "kind", KIND, problems);
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        metadata.retain(|key, value| {
            !matches!(key.as_str(), "clusterName" | "selfLink" | "managedFields")
                && !value.is_null()
        });
    }
    if let Value::Object(spec) = object
        .entry("spec")
        .or_insert_with(|| Value::Object(Map::new()))
    {
        spec.retain(|_, value| !value.is_null());
    }
    let credential = secrets::take_out(&mut object, present.as_deref(), problems);
    Draft { object, credential }
}

/// Whether the name is to be made by the host.
pub(super) fn wants_generated_name(object: &Map<String, Value>) -> bool {
    let metadata = object.get("metadata");
    let text = |key| {
        metadata
            .and_then(|m| m.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    text("name").is_empty() && !text("generateName").is_empty()
}

fn expect(object: &mut Map<String, Value>, key: &str, wanted: &str, problems: &mut Problems) {
    match object.get(key).and_then(Value::as_str) {
        None | Some("") => {
            object.insert(key.to_owned(), wanted.into());
        }
        Some(given) if given == wanted => {}
        Some(_) => problems.add(key, format!("must be \"{wanted}\"")),
    }
}

fn fields(
    map: Map<String, Value>,
    known: &[(&str, Shape)],
    path: &str,
    present: Option<&Map<String, Value>>,
    unknown: Unknown,
    problems: &mut Problems,
) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in map {
        let field = join(path, &key);
        let exact = known.iter().find(|(k, _)| *k == key);
        let found = exact.or_else(|| known.iter().find(|(k, _)| k.eq_ignore_ascii_case(&key)));
        let Some((canonical, shape)) = found else {
            if present.is_some_and(|p| p.contains_key(&key)) {
                out.insert(key, value);
            } else if unknown == Unknown::Refuse {
                problems.add(field, "unknown field");
            }
            continue;
        };
        if out.contains_key(*canonical) {
            problems.add(field, "stands twice, in different case");
            continue;
        }
        let present = present.and_then(|p| p.get(*canonical));
        let value = shaped(
            value,
            shape,
            &join(path, canonical),
            present,
            unknown,
            problems,
        );
        out.insert((*canonical).to_owned(), value);
    }
    out
}

fn shaped(
    value: Value,
    shape: &Shape,
    path: &str,
    present: Option<&Value>,
    unknown: Unknown,
    problems: &mut Problems,
) -> Value {
    match (shape, value) {
        (Shape::Anything, value) => value,
        (_, Value::Null) => Value::Null,
        (Shape::Text, value @ Value::String(_)) | (Shape::Number, value @ Value::Number(_)) => {
            value
        }
        (Shape::Texts, value @ Value::Object(_)) => {
            Value::Object(texts(Some(value), path, problems))
        }
        (Shape::Labels, value @ Value::Object(_)) => {
            let labels = texts(Some(value), path, problems);
            check_labels(&labels, path, problems);
            Value::Object(labels)
        }
        (Shape::List, Value::Array(items)) => {
            if !items.iter().all(Value::is_string) {
                problems.add(path, "must be a list of texts");
            }
            Value::Array(items)
        }
        (Shape::Fields(known), Value::Object(map)) => {
            let present = present.and_then(Value::as_object);
            Value::Object(fields(map, known, path, present, unknown, problems))
        }
        (Shape::Each(known), Value::Array(items)) => {
            let items = items.into_iter().enumerate().map(|(i, item)| {
                let path = format!("{path}[{i}]");
                let present = present.and_then(|p| p.get(i)).and_then(Value::as_object);
                match item {
                    Value::Object(map) => {
                        Value::Object(fields(map, known, &path, present, unknown, problems))
                    }
                    other => {
                        problems.add(path, "must be an object");
                        other
                    }
                }
            });
            Value::Array(items.collect())
        }
        (shape, _) => {
            let wanted = match shape {
                Shape::Text => "a text",
                Shape::Number => "a number",
                Shape::Texts | Shape::Labels | Shape::Fields(_) => "an object",
                Shape::List | Shape::Each(_) => "a list",
                Shape::Anything => "anything",
            };
            problems.add(path, format!("must be {wanted}"));
            Value::Null
        }
    }
}

/// A map of text to text; everything else in it is a problem.
pub(super) fn texts(
    value: Option<Value>,
    path: &str,
    problems: &mut Problems,
) -> Map<String, Value> {
    match value {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => {
            for (key, value) in &map {
                if !value.is_string() {
                    problems.add(format!("{path}[{}]", key.escape_debug()), "must be a text");
                }
            }
            if path == "labels" {
                check_labels(&map, path, problems);
            }
            map
        }
        Some(_) => {
            problems.add(path, "must be an object of texts");
            Map::new()
        }
    }
}

fn check_labels(labels: &Map<String, Value>, path: &str, problems: &mut Problems) {
    for (key, value) in labels {
        let shown = key.escape_debug();
        if !is_label_key(key) {
            problems.add(format!("{path}[{shown}]"), "is not a label key");
        }
        if value.as_str().is_some_and(|v| !is_label_value(v)) {
            let rule = "its value must be up to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
            problems.add(format!("{path}[{shown}]"), rule);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    let key = key.escape_debug();
    if path.is_empty() {
        key.to_string()
    } else {
        format!("{path}.{key}")
    }
}
