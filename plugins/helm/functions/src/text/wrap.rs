//! Word wrap by bytes, words ending at blanks.

use helm_template::{Error, Functions, Signature, Str, Type};

use super::{COUNTED, find};
use crate::args::{int, text};
use crate::go::check_bytes;

pub(super) fn register(functions: &mut Functions) {
    functions.add("wrap", COUNTED, |_, args| {
        Ok(wrap(text(args, 1)?, int(args, 0)?, b"\n", false)?.into())
    });
    functions.add(
        "wrapWith",
        Signature::fixed(&[Type::Int, Type::Str, Type::Str]),
        |_, args| {
            let separator = match text(args, 1)?.as_bytes() {
                b"" => b"\n",
                other => other,
            };
            Ok(wrap(text(args, 2)?, int(args, 0)?, separator, true)?.into())
        },
    );
}

/// Breaks lines after at most `width` bytes; long words are cut or left long.
fn wrap(whole: &Str, width: i64, separator: &[u8], cut_words: bool) -> Result<Str, Error> {
    let mut left = whole.as_bytes();
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(left.len());
    let mut push = |line: &[u8]| {
        out.extend_from_slice(line);
        out.extend_from_slice(separator);
        check_bytes("wrap", out.len())
    };
    while left.len() > width {
        if let Some(rest) = left.strip_prefix(b" ") {
            left = rest;
            continue;
        }
        let (window, _) = left.split_at(width + 1);
        if let Some(blank) = window.iter().rposition(|b| *b == b' ') {
            push(left.get(..blank).unwrap_or_default())?;
            left = left.get(blank + 1..).unwrap_or_default();
        } else if cut_words {
            let (line, rest) = left.split_at(width);
            push(line)?;
            left = rest;
        } else if let Some(blank) = find(left.get(width..).unwrap_or_default(), b" ") {
            push(left.get(..width + blank).unwrap_or_default())?;
            left = left.get(width + blank + 1..).unwrap_or_default();
        } else {
            break;
        }
    }
    out.extend_from_slice(left);
    Ok(out.into())
}
