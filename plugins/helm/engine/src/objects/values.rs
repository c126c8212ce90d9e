//! `.Values` and the dot itself: maps with a Go type of their own.

use helm_template::{Context, Error, Map, MapType, Method, NamedType, Signature, Type, Value};

/// Go's type of values, a map with methods.
pub(crate) static VALUES: NamedType = NamedType {
    name: "common.Values",
    element: "interface {}",
    methods: &[
        Method {
            name: "AsMap",
            signature: Signature::fixed(&[]),
            call: as_map,
        },
        Method {
            name: "PathValue",
            signature: Signature::fixed(&[Type::Str]),
            call: path_value,
        },
        Method {
            name: "Table",
            signature: Signature::fixed(&[Type::Str]),
            call: table,
        },
        Method {
            name: "YAML",
            signature: Signature::fixed(&[]),
            call: yaml,
        },
    ],
};

fn as_map(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    let map = receiver.as_map().map(|map| map.retyped(MapType::Any));
    Ok(Value::Map(map.unwrap_or_default()))
}

fn yaml(_: &mut dyn Context, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    helm_yaml::try_to_yaml(&helm_chart::to_json(receiver))
        .map(Value::from)
        .map_err(|error| Error::new(error.to_string()))
}

fn text(args: &[Value]) -> String {
    let text = args.first().and_then(Value::as_text);
    text.map(|text| text.to_text().into_owned())
        .unwrap_or_default()
}

/// The map at a dotted path, or the key that is none.
fn walk(receiver: &Value, path: &str) -> Result<Map, String> {
    let mut map = receiver.as_map().cloned().unwrap_or_default();
    for key in path.split('.') {
        map = match map.get(key) {
            Some(Value::Map(inner)) => inner,
            _ => return Err(key.to_owned()),
        };
    }
    Ok(map)
}

fn table(_: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    match walk(receiver, &text(args)) {
        Ok(map) => Ok(Value::Map(map.retyped(MapType::Named(&VALUES)))),
        Err(key) => Err(Error::new(format!("{key:?} is not a table"))),
    }
}

fn path_value(_: &mut dyn Context, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    let path = text(args);
    if path.is_empty() {
        return Err(Error::new("YAML path cannot be empty"));
    }
    let (map, key) = match path.rsplit_once('.') {
        Some((path, key)) => (walk(receiver, path).ok(), key),
        None => (receiver.as_map().cloned(), path.as_str()),
    };
    match map.and_then(|map| map.get(key)) {
        Some(value) if !matches!(value, Value::Map(_)) => Ok(value),
        _ => Err(Error::new(format!("{key:?} is not a value"))),
    }
}
