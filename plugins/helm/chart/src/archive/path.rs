//! Which names of entries are allowed, and what they become.

use super::refuse;
use crate::error::Error;

/// The path of an entry below the chart's folder: the first part dropped, `\` read as `/` where an
/// archive was packed on Windows, `.` parts removed.
///
/// # Errors
/// Absolute names, `..`, drive letters, files beside the chart's folder.
pub(super) fn clean(name: &str) -> Result<String, Error> {
    let delimiter = if name.contains('\\') { '\\' } else { '/' };
    let (first, rest) = name.split_once(delimiter).unwrap_or((name, ""));
    let rest = rest.replace(delimiter, "/");
    if rest.starts_with('/') || first.is_empty() {
        return Err(within("chart illegally contains absolute paths", name));
    }
    if name.contains('\0') {
        return Err(within("chart contains illegally named files", name));
    }
    let parts: Vec<&str> = rest
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if first == ".." || parts.contains(&"..") {
        return Err(within("chart illegally references parent directory", name));
    }
    if has_drive(first) || parts.first().is_some_and(|part| has_drive(part)) {
        return Err(within("chart contains illegally named files", name));
    }
    if first == "Chart.yaml" {
        return Err(refuse("chart yaml not in base directory"));
    }
    if parts.is_empty() {
        return Err(refuse(format!(
            "chart illegally contains content outside the base directory: {name:?}"
        )));
    }
    Ok(parts.join("/"))
}

fn within(text: &str, name: &str) -> Error {
    refuse(format!("{text}: {name:?}"))
}

fn has_drive(part: &str) -> bool {
    let mut bytes = part.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.next() == Some(b':')
        && bytes.next().is_none()
}
