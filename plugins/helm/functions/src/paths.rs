//! Slash paths. The `os` twins are the same functions, as Helm's results must not depend on a machine.

use helm_template::{Functions, Signature, Str, Type};

use crate::args::text;

const ONE: Signature = Signature::fixed(&[Type::Str]);

pub(crate) fn register(functions: &mut Functions) {
    let mapped: [([&'static str; 2], fn(&Str) -> Str); 4] = [
        (["base", "osBase"], base),
        (["dir", "osDir"], dir),
        (["clean", "osClean"], clean),
        (["ext", "osExt"], ext),
    ];
    for (names, body) in mapped {
        for name in names {
            functions.add(name, ONE, move |_, args| Ok(body(text(args, 0)?).into()));
        }
    }
    for name in ["isAbs", "osIsAbs"] {
        functions.add(name, ONE, |_, args| {
            Ok(text(args, 0)?.as_bytes().starts_with(b"/").into())
        });
    }
}

/// The last part; `.` for an empty path, `/` for nothing but slashes.
fn base(path: &Str) -> Str {
    if path.is_empty() {
        return ".".into();
    }
    let bytes = path.as_bytes();
    let end = bytes
        .iter()
        .rposition(|b| *b != b'/')
        .map_or(0, |last| last + 1);
    let start = bytes
        .iter()
        .take(end)
        .rposition(|b| *b == b'/')
        .map_or(0, |slash| slash + 1);
    if end == 0 {
        "/".into()
    } else {
        path.slice(start..end)
    }
}

/// Everything before the last slash, cleaned.
fn dir(path: &Str) -> Str {
    let end = path
        .as_bytes()
        .iter()
        .rposition(|b| *b == b'/')
        .map_or(0, |slash| slash + 1);
    clean(&path.slice(0..end))
}

/// From the last dot of the last part on.
fn ext(path: &Str) -> Str {
    let bytes = path.as_bytes();
    match bytes.iter().rposition(|b| matches!(b, b'.' | b'/')) {
        Some(dot) if bytes.get(dot) == Some(&b'.') => path.slice(dot..path.len()),
        _ => Str::default(),
    }
}

/// The shortest path that means the same.
fn clean(path: &Str) -> Str {
    let rooted = path.as_bytes().starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.as_bytes().split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat().into(),
        (false, true) => ".".into(),
        (false, false) => joined.into(),
    }
}
