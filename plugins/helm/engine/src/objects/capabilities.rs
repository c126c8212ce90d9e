//! `.Capabilities`

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use helm_template::{
    Context, Error, Kind, List, ListType, Method, NamedType, Object, Signature, Str, Type, Value,
};

use crate::capabilities::{CLIENT_VERSION, GO_VERSION, HELM_VERSION};
use crate::facts::Facts;

/// What the cluster can do.
pub(crate) struct Capabilities(pub(crate) Rc<dyn Facts>);

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capabilities")
    }
}

impl Object for Capabilities {
    fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed("*common.Capabilities")
    }

    fn kind(&self) -> Kind {
        Kind::Ptr
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        ["KubeVersion", "APIVersions", "HelmVersion"]
            .into_iter()
            .filter_map(|name| Some((name, self.field(name)?)))
            .collect()
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "KubeVersion" => Value::object(KubeVersion(Rc::clone(&self.0))),
            "APIVersions" => Value::object(ApiVersions(Rc::clone(&self.0))),
            "HelmVersion" => Value::object(HelmVersion),
            _ => return None,
        })
    }

    fn methods(&self) -> &'static [Method] {
        CAPABILITIES_METHODS
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn copy(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(receiver.clone())
}

/// The cluster's version; a struct whose methods Go finds because it lies behind a pointer.
struct KubeVersion(Rc<dyn Facts>);

impl fmt::Debug for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KubeVersion")
    }
}

fn kube_version(receiver: &Value) -> Option<crate::KubeVersion> {
    receiver
        .as_object::<KubeVersion>()
        .map(|object| object.0.kube_version())
}

fn whole_version(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(kube_version(receiver)
        .map(|version| version.version)
        .unwrap_or_default()
        .into())
}

fn normalized(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(kube_version(receiver)
        .map(|version| version.normalized)
        .unwrap_or_default()
        .into())
}

impl Object for KubeVersion {
    fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed("common.KubeVersion")
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let version = self.0.kube_version();
        vec![
            ("Version", version.version.into()),
            ("normalizedVersion", version.normalized.into()),
            ("Major", version.major.into()),
            ("Minor", version.minor.into()),
        ]
    }

    fn field(&self, name: &str) -> Option<Value> {
        let version = || self.0.kube_version();
        Some(match name {
            "Version" => version().version.into(),
            "Major" => version().major.into(),
            "Minor" => version().minor.into(),
            _ => return None,
        })
    }

    fn methods(&self) -> &'static [Method] {
        KUBE_VERSION_METHODS
    }

    fn addressed_text(&self) -> Option<Str> {
        Some(self.0.kube_version().normalized.into())
    }

    fn to_data(&self) -> Option<Value> {
        let names = ["Version", "Major", "Minor"];
        Some(Value::map(
            names
                .into_iter()
                .filter_map(|name| Some((name, self.field(name)?))),
        ))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The API versions; a list in Go, asked one by one where a template asks with `Has`.
struct ApiVersions(Rc<dyn Facts>);

impl fmt::Debug for ApiVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiVersions")
    }
}

fn has(_: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    let wanted = args
        .first()
        .and_then(Value::as_text)
        .cloned()
        .unwrap_or_default();
    let facts = receiver.as_object::<ApiVersions>().map(|object| &object.0);
    Ok(facts
        .is_some_and(|facts| facts.has_api_version(&wanted.to_text()))
        .into())
}

static VERSION_SET: NamedType = NamedType {
    name: "common.VersionSet",
    element: "string",
    methods: &[],
};

impl Object for ApiVersions {
    fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed(VERSION_SET.name)
    }

    fn kind(&self) -> Kind {
        Kind::Slice
    }

    fn plain(&self) -> Option<Value> {
        let items = self.0.api_versions().into_iter().map(Value::from);
        Some(Value::List(List::new(
            ListType::Named(&VERSION_SET),
            items.collect(),
        )))
    }

    fn methods(&self) -> &'static [Method] {
        API_VERSIONS_METHODS
    }

    fn to_data(&self) -> Option<Value> {
        self.plain()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The Helm that renders.
#[derive(Debug)]
struct HelmVersion;

impl Object for HelmVersion {
    fn type_name(&self) -> Cow<'static, str> {
        Cow::Borrowed("version.BuildInfo")
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", HELM_VERSION.into()),
            ("GitCommit", "".into()),
            ("GitTreeState", "".into()),
            ("GoVersion", GO_VERSION.into()),
            ("KubeClientVersion", CLIENT_VERSION.into()),
        ]
    }

    fn to_data(&self) -> Option<Value> {
        Some(Value::map(
            [
                ("version", HELM_VERSION),
                ("go_version", GO_VERSION),
                ("kube_client_version", CLIENT_VERSION),
            ]
            .map(|(key, value)| (Str::from(key), Value::from(value))),
        ))
    }

    fn equals(&self, _: &dyn Object) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

static CAPABILITIES_METHODS: &[Method] = &[Method {
    name: "Copy",
    signature: Signature::fixed(&[]),
    call: copy,
}];

static KUBE_VERSION_METHODS: &[Method] = &[
    Method {
        name: "String",
        signature: Signature::fixed(&[]),
        call: normalized,
    },
    Method {
        name: "GitVersion",
        signature: Signature::fixed(&[]),
        call: whole_version,
    },
];

static API_VERSIONS_METHODS: &[Method] = &[Method {
    name: "Has",
    signature: Signature::fixed(&[Type::Str]),
    call: has,
}];
