//! Helm's own functions: other templates, required values, the cluster, durations.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use helm_template::{Context, Error, Functions, Map, Signature, Str, Type, Value};

use crate::args::{any, text};
use crate::environment::Environment;
use crate::go::quote;

/// How often one name may be open at once through `include`.
const MAX_NESTED_INCLUDES: u32 = 1_000;

/// Helm marks a chart author's own message, so that whoever prints the error can cut it out.
pub const MESSAGE_START: &str = "HELM_ERR_START";

/// See [`MESSAGE_START`].
pub const MESSAGE_END: &str = "HELM_ERR_END";

pub(crate) fn marked(message: &str) -> String {
    format!("{MESSAGE_START}{message}{MESSAGE_END}")
}

pub(crate) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    let named = Signature::fixed(&[Type::Str, Type::Any]);
    let open = RefCell::new(HashMap::<String, u32>::new());
    functions.add("include", named, move |context, args| {
        include(context, &open, &text(args, 0)?.to_text(), any(args, 1)?)
    });
    functions.add("tpl", named, |context, args| {
        tpl(context, text(args, 0)?, any(args, 1)?)
    });
    functions.add("required", named, |_, args| match any(args, 1)? {
        Value::Nil => Err(Error::new(marked(&text(args, 0)?.to_text()))),
        Value::Str(given) if given.is_empty() => Err(Error::new(marked(&text(args, 0)?.to_text()))),
        given => Ok(given.clone()),
    });
    functions.add("getHostByName", Signature::fixed(&[Type::Str]), |_, _| {
        Ok("".into())
    });

    let environment = Rc::clone(environment);
    let four = Signature::fixed(&[Type::Str, Type::Str, Type::Str, Type::Str]);
    functions.add("lookup", four, move |_, args| {
        let part = |at: usize| text(args, at).map(Str::to_text);
        let found = environment.lookup(&part(0)?, &part(1)?, &part(2)?, &part(3)?)?;
        Ok(match from_cluster(&found) {
            Value::Map(map) => Value::Map(map),
            _ => Value::Map(Map::default()),
        })
    });
}

fn include(
    context: &mut dyn Context,
    open: &RefCell<HashMap<String, u32>>,
    name: &str,
    data: &Value,
) -> Result<Value, Error> {
    {
        let mut open = open.borrow_mut();
        let count = open.entry(name.to_owned()).or_default();
        if *count > MAX_NESTED_INCLUDES {
            return Err(Error::new(format!(
                "rendering template has a nested reference name: {name}: unable to execute template"
            )));
        }
        *count += 1;
    }
    let templates = context.templates();
    let result = context.execute(&templates, name, data);
    if let Some(count) = open.borrow_mut().get_mut(name) {
        *count = count.saturating_sub(1);
    }
    result.map(Value::Str)
}

fn tpl(context: &mut dyn Context, source: &Str, data: &Value) -> Result<Value, Error> {
    let parent = context.templates();
    let quoted = || quote(source.as_bytes());
    let templates = parent.child();
    let template = templates
        .parse(parent.name(), &source.to_text())
        .map_err(|error| {
            Error::wrap(
                format!("cannot parse template {}: {error}", quoted()),
                error,
            )
        })?;
    // The text itself runs, not what its name stands for: a blank one replaces no definition.
    let output = context
        .execute_template(&templates, &template, data)
        .map_err(|error| {
            let message = format!(
                "error during tpl function execution for {}: {error}",
                quoted()
            );
            Error::wrap(message, error)
        })?;
    match output.as_str() {
        Some(text) if text.contains("<no value>") => Ok(text.replace("<no value>", "").into()),
        _ => Ok(Value::Str(output)),
    }
}

/// An object of the cluster: whole numbers are `int64` there, not floats.
fn from_cluster(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int64(number),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_cluster).collect()),
        serde_json::Value::Object(entries) => Value::map(
            entries
                .iter()
                .map(|(key, value)| (key.as_str(), from_cluster(value))),
        ),
    }
}
