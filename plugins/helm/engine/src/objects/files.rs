//! `.Files`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use helm_chart::File;
use helm_template::{
    Context, Error, List, ListType, Map, MapType, Method, NamedType, Signature, Str, Type, Value,
};
use serde_json::Value as Json;

use crate::glob::Glob;

/// Go's type of the files, a map from path to bytes with methods.
static FILES: NamedType = NamedType {
    name: "engine.files",
    element: "[]uint8",
    methods: &[
        Method {
            name: "Get",
            signature: Signature::fixed(&[Type::Str]),
            call: get,
        },
        Method {
            name: "GetBytes",
            signature: Signature::fixed(&[Type::Str]),
            call: get_bytes,
        },
        Method {
            name: "Glob",
            signature: Signature::fixed(&[Type::Str]),
            call: glob,
        },
        Method {
            name: "Lines",
            signature: Signature::fixed(&[Type::Str]),
            call: lines,
        },
        Method {
            name: "AsConfig",
            signature: Signature::fixed(&[]),
            call: as_config,
        },
        Method {
            name: "AsSecrets",
            signature: Signature::fixed(&[]),
            call: as_secrets,
        },
    ],
};

/// The files of a chart as templates see them; of two with one name the later.
pub(crate) fn files_map(files: &[File]) -> Map {
    let entries = files.iter().map(|file| {
        let data: &[u8] = &file.data;
        (Str::from(file.name.as_str()), Value::Bytes(data.into()))
    });
    Map::from_entries(MapType::Named(&FILES), entries.collect())
}

fn content(receiver: &Value, args: &[Value]) -> Option<Value> {
    let name = args.first()?.as_text()?;
    receiver.as_map()?.get(name)
}

fn bytes_of(value: Option<&Value>) -> &[u8] {
    match value {
        Some(Value::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

fn get(_: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    let content = content(receiver, args);
    Ok(Value::str(bytes_of(content.as_ref())))
}

fn get_bytes(_: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    Ok(content(receiver, args).unwrap_or_else(|| Value::Bytes([].into())))
}

fn lines(_: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    let content = content(receiver, args);
    let bytes = bytes_of(content.as_ref());
    if bytes.is_empty() {
        return Ok(Value::List(List::new(ListType::Str, Vec::new())));
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').map(Str::from);
    Ok(Value::List(List::of_strings(lines)))
}

fn glob(context: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    let pattern = args
        .first()
        .and_then(Value::as_text)
        .cloned()
        .unwrap_or_default();
    let glob = Glob::new(&pattern.to_text());
    let found = Map::new(MapType::Named(&FILES));
    if let Some(files) = receiver.as_map() {
        for (name, data) in files.entries().iter() {
            let work = (name.len() + 1).saturating_mul(pattern.len() + 1) / 64;
            context.charge(u64::try_from(work).unwrap_or(u64::MAX))?;
            if glob.matches(&name.to_text()) {
                found.insert(name.clone(), data.clone());
            }
        }
    }
    Ok(Value::Map(found))
}

/// The files by the last part of their paths, as YAML.
fn flattened(receiver: &Value, text: impl Fn(&[u8]) -> String) -> Value {
    let mut map = serde_json::Map::new();
    if let Some(files) = receiver.as_map() {
        for (name, data) in files.entries().iter() {
            let name = name.to_text();
            let base = name
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default();
            map.insert(base.to_owned(), Json::String(text(bytes_of(Some(data)))));
        }
    }
    let yaml = helm_yaml::to_yaml(&Json::Object(map));
    Value::from(yaml.strip_suffix('\n').unwrap_or(&yaml))
}

fn as_config(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(flattened(receiver, |bytes| {
        String::from_utf8_lossy(bytes).into_owned()
    }))
}

fn as_secrets(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(flattened(receiver, |bytes| STANDARD.encode(bytes)))
}
