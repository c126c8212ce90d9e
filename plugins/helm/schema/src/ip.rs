//! IP addresses as Go's `netip` reads them.

use helm_template::strconv::quote;

/// Reads an address; true when it names a zone.
///
/// # Errors
/// `ParseAddr("…"): WHY`.
pub(crate) fn parse(text: &str) -> Result<bool, String> {
    let failed = |(why, at): Failed<'_>| {
        let at = if at.is_empty() {
            String::new()
        } else {
            format!(" (at {})", quote(at.as_bytes()))
        };
        format!("ParseAddr({}): {why}{at}", quote(text.as_bytes()))
    };
    match text.bytes().find(|byte| b".:%".contains(byte)) {
        Some(b'.') => four(text).map(|()| false).map_err(failed),
        Some(b':') => six(text).map_err(failed),
        Some(_) => Err(failed(("missing IPv6 address", ""))),
        None => Err(failed(("unable to parse IP", ""))),
    }
}

type Failed<'a> = (&'static str, &'a str);

/// Four numbers.
fn four(text: &str) -> Result<(), Failed<'_>> {
    let bytes = text.as_bytes();
    let (mut value, mut fields, mut length) = (0, 0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let rest = text.get(at..).unwrap_or_default();
        match byte {
            b'0'..=b'9' => {
                if length == 1 && value == 0 {
                    return Err(("IPv4 field has octet with leading zero", ""));
                }
                value = value * 10 + u32::from(byte - b'0');
                length += 1;
                if value > 255 {
                    return Err(("IPv4 field has value >255", ""));
                }
            }
            b'.' => {
                let before = at.checked_sub(1).and_then(|at| bytes.get(at));
                if matches!(before, None | Some(b'.')) || rest.len() == 1 {
                    return Err(("IPv4 field must have at least one digit", rest));
                }
                if fields == 3 {
                    return Err(("IPv4 address too long", ""));
                }
                (fields, value, length) = (fields + 1, 0, 0);
            }
            _ => return Err(("unexpected character", rest)),
        }
    }
    if fields < 3 {
        return Err(("IPv4 address too short", ""));
    }
    Ok(())
}

fn six(text: &str) -> Result<bool, Failed<'_>> {
    let (mut rest, zone) = match text.split_once('%') {
        Some((_, "")) => return Err(("zone must be a non-empty string", "")),
        Some((address, _)) => (address, true),
        None => (text, false),
    };
    let mut has_gap = None;
    if let Some(tail) = rest.strip_prefix("::") {
        if tail.is_empty() {
            return Ok(zone);
        }
        (has_gap, rest) = (Some(0), tail);
    }
    let mut bytes = 0;
    while bytes < 16 {
        let count = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if count > 4 {
            return Err(("each group must have 4 or less digits", rest));
        }
        if count == 0 {
            return Err((
                "each colon-separated field must have at least one digit",
                rest,
            ));
        }
        if rest.as_bytes().get(count) == Some(&b'.') {
            if has_gap.is_none() && bytes != 12 {
                return Err((
                    "embedded IPv4 address must replace the final 2 fields of the address",
                    rest,
                ));
            }
            if bytes + 4 > 16 {
                return Err((
                    "too many hex fields to fit an embedded IPv4 at the end of the address",
                    rest,
                ));
            }
            four(rest)?;
            (rest, bytes) = ("", bytes + 4);
            break;
        }
        bytes += 2;
        rest = rest.get(count..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let Some(tail) = rest.strip_prefix(':') else {
            return Err(("unexpected character, want colon", rest));
        };
        if tail.is_empty() {
            return Err(("colon must be followed by more characters", rest));
        }
        rest = tail;
        if let Some(tail) = rest.strip_prefix(':') {
            if has_gap.is_some() {
                return Err(("multiple :: in address", rest));
            }
            (has_gap, rest) = (Some(bytes), tail);
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return Err(("trailing garbage after address", rest));
    }
    match (bytes < 16, has_gap) {
        (true, None) => Err(("address string too short", "")),
        (false, Some(_)) => Err(("the :: must expand to at least one field of zeros", "")),
        _ => Ok(zone),
    }
}
