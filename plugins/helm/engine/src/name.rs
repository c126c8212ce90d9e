//! `--name-template`, and which names a release may have.

use std::rc::Rc;

use helm_functions::Environment;
use helm_template::fmt::sprintf;
use helm_template::{Budget, Limits, MissingKey, Templates, Value};

/// A release's name from a template over nothing. Functions of a machine, such as `env`, are not there.
///
/// # Errors
/// What the template engine says.
pub fn name_from_template(text: &str, environment: &Rc<dyn Environment>) -> Result<String, String> {
    const NAME: &str = "name-template";
    let functions = Rc::new(helm_functions::functions(environment));
    let templates = Templates::new(NAME, functions, MissingKey::Invalid);
    templates
        .parse(NAME, text)
        .map_err(|error| error.to_string())?;
    let mut budget = Budget::new(&Limits::default());
    let name = templates
        .execute_within(NAME, &Value::Nil, &mut budget)
        .map_err(|error| error.to_string())?;
    Ok(name.to_text().into_owned())
}

/// Longer names leave no room for what charts add to them.
const MAX_NAME_BYTES: usize = 53;

/// Whether a release may have this name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let quoted = || {
        let quoted = sprintf(b"%q", &[helm_template::Value::from(name)]);
        quoted.map_or_else(|_| name.to_owned(), |text| text.to_string())
    };
    if name.is_empty() {
        return Err(format!("release name {}: no name provided", quoted()));
    }
    let is_part = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !part.is_empty()
            && part.starts_with(plain)
            && part.ends_with(plain)
            && part.chars().all(|c| plain(c) || c == '-')
    };
    if name.len() <= MAX_NAME_BYTES && name.split('.').all(is_part) {
        return Ok(());
    }
    Err(format!(
        "release name {}: invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53",
        quoted()
    ))
}
