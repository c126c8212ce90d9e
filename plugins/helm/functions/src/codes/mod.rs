//! Encodings: base 32 and 64, JSON, TOML, YAML.

mod base;
pub(crate) mod data;
pub(crate) mod json_out;
pub(crate) mod toml_in;
pub(crate) mod toml_out;

use helm_template::{Error, Functions, Signature, Str, Type, Value};

pub(crate) use base::decode64;

use crate::args::{any, text};

const TEXT: Signature = Signature::fixed(&[Type::Str]);
const ANY: Signature = Signature::fixed(&[Type::Any]);

pub(crate) fn register(functions: &mut Functions) {
    functions.add("b64enc", TEXT, |_, args| {
        Ok(base::encode64(text(args, 0)?.as_bytes()).into())
    });
    functions.add("b32enc", TEXT, |_, args| {
        Ok(base::encode32(text(args, 0)?.as_bytes()).into())
    });
    // What cannot be decoded becomes the text of the error.
    functions.add("b64dec", TEXT, |_, args| {
        let decoded = base::decode64(text(args, 0)?.as_bytes());
        Ok(decoded.map_or_else(Value::from, |bytes| Value::Str(bytes.into())))
    });
    functions.add("b32dec", TEXT, |_, args| {
        let decoded = base::decode32(text(args, 0)?.as_bytes());
        Ok(decoded.map_or_else(Value::from, |bytes| Value::Str(bytes.into())))
    });

    json(functions);
    yaml(functions);
    toml(functions);
}

fn json(functions: &mut Functions) {
    use json_out::{Style, write};
    let swallowed = |style: Style| {
        move |args: &[Value]| {
            let text = write(any(args, 0)?, style).unwrap_or_default();
            Ok::<Value, Error>(text.into())
        }
    };
    let strict = |style: Style| {
        move |args: &[Value]| {
            let text = write(any(args, 0)?, style).map_err(Error::new)?;
            Ok::<Value, Error>(text.into())
        }
    };
    let (quiet, quiet_pretty) = (swallowed(Style::Compact), swallowed(Style::Pretty));
    let (plain, pretty, raw) = (
        strict(Style::Compact),
        strict(Style::Pretty),
        strict(Style::Raw),
    );
    functions.add("toJson", ANY, move |_, args| quiet(args));
    functions.add("mustToJson", ANY, move |_, args| plain(args));
    functions.add("toPrettyJson", ANY, move |_, args| quiet_pretty(args));
    functions.add("mustToPrettyJson", ANY, move |_, args| pretty(args));
    functions.add("toRawJson", ANY, move |_, args| raw(args));
    functions.alias("mustToRawJson", "toRawJson");

    functions.add("fromJson", TEXT, |_, args| {
        Ok(
            match helm_yaml::from_json_partly(&text(args, 0)?.to_text()) {
                Ok((read, None)) => data::into_map(read),
                // What Go's decoder had read stays beside the error.
                Ok((mut read, Some(error))) => {
                    if let Some(map) = read.as_object_mut() {
                        map.insert("Error".to_owned(), error.to_string().into());
                    }
                    data::into_map(read)
                }
                Err(error) => error_map(error.to_string()),
            },
        )
    });
    functions.add("fromJsonArray", TEXT, |_, args| {
        let source = text(args, 0)?.to_text();
        Ok(match helm_yaml::from_json_array(&source) {
            // The one array that is none: Go's decoder makes the slice nil.
            Ok(_) if source.trim() == "null" => data::into_list(serde_json::Value::Null),
            Ok(read) => data::into_list(read),
            Err(error) => error_list(error.to_string()),
        })
    });
    functions.add("mustFromJson", TEXT, |_, args| {
        helm_yaml::from_json_any(&text(args, 0)?.to_text())
            .map(data::from_data)
            .map_err(|error| Error::new(error.to_string()))
    });
}

fn yaml(functions: &mut Functions) {
    use data::{Writer, to_data};
    // Helm cuts one line break off what the encoder writes.
    fn cut(mut text: String) -> Value {
        if text.ends_with('\n') {
            text.pop();
        }
        text.into()
    }
    functions.add("toYaml", ANY, |_, args| {
        Ok(cut(to_data(any(args, 0)?, Writer::Yaml).map_or_else(
            |_| String::new(),
            |data| helm_yaml::to_yaml(&data),
        )))
    });
    functions.add("mustToYaml", ANY, |_, args| {
        let data = to_data(any(args, 0)?, Writer::Yaml)
            .map_err(|error| Error::new(format!("error marshaling into JSON: {error}")))?;
        let written = helm_yaml::try_to_yaml(&data);
        Ok(cut(written.map_err(|error| Error::new(error.to_string()))?))
    });
    functions.add("toYamlPretty", ANY, |_, args| {
        Ok(cut(to_data(any(args, 0)?, Writer::PrettyYaml).map_or_else(
            |_| String::new(),
            |data| helm_yaml::to_yaml_pretty(&data),
        )))
    });
    functions.add("fromYaml", TEXT, |_, args| {
        Ok(match helm_yaml::from_yaml(&text(args, 0)?.to_text()) {
            Ok(read) => data::into_map(read),
            Err(error) => error_map(error.to_string()),
        })
    });
    functions.add("fromYamlArray", TEXT, |_, args| {
        Ok(
            match helm_yaml::from_yaml_array(&text(args, 0)?.to_text()) {
                Ok(read) => data::into_list(read),
                Err(error) => error_list(error.to_string()),
            },
        )
    });
}

fn toml(functions: &mut Functions) {
    // The encoder's own errors become text, but nil ends in Go's panic.
    let nil = || Error::new("reflect: call of reflect.Value.Type on zero Value");
    functions.add("toToml", ANY, move |_, args| match any(args, 0)? {
        Value::Nil => Err(nil()),
        value => Ok(toml_out::write(value).unwrap_or_else(Str::from).into()),
    });
    functions.add("mustToToml", ANY, move |_, args| match any(args, 0)? {
        Value::Nil => Err(nil()),
        value => Ok(toml_out::write(value).map_err(Error::new)?.into()),
    });
    functions.add("fromToml", TEXT, |_, args| {
        Ok(toml_in::read_map(text(args, 0)?))
    });
}

/// A map whose only entry says what went wrong, as Helm's `from...` functions return it.
pub(crate) fn error_map(text: impl Into<Str>) -> Value {
    Value::map([("Error", Value::Str(text.into()))])
}

/// The same for functions that return a list.
fn error_list(text: String) -> Value {
    Value::list(vec![text.into()])
}
