//! Addresses of schemas, and pointers within them.

use helm_functions::Url;
use helm_template::strconv::quote;

/// An address without its fragment, and the fragment.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) fragment: String,
}

impl Address {
    /// Whether the fragment is a pointer; otherwise it is an anchor.
    pub(crate) fn is_pointer(&self) -> bool {
        is_pointer(&self.fragment)
    }

    pub(crate) fn print(&self) -> String {
        place(&self.url, &self.fragment)
    }
}

pub(crate) fn is_pointer(fragment: &str) -> bool {
    fragment.is_empty() || fragment.starts_with('/')
}

/// What stands before the `#` and after it.
pub(crate) fn split(address: &str) -> (&str, &str) {
    address.split_once('#').unwrap_or((address, ""))
}

/// As [`split`], with escapes of the fragment resolved.
///
/// # Errors
/// An escape that is none.
pub(crate) fn split_decoded(address: &str) -> Result<(&str, String), String> {
    let (url, fragment) = split(address);
    let fragment = decode(fragment).map_err(|error| unparsed(address, &error))?;
    Ok((url, fragment))
}

fn unparsed(address: &str, error: &str) -> String {
    format!("error in parsing {}: {error}", quote(address.as_bytes()))
}

/// Where a reference leads from a base.
///
/// # Errors
/// One of them is no address.
pub(crate) fn join(base: &str, reference: &str) -> Result<Address, String> {
    let parse = |text: &str| Url::parse(text.as_bytes()).map_err(|error| unparsed(text, &error));
    let base = parse(base)?;
    let (reference, fragment) = split_decoded(reference)?;
    let resolved = base.resolve(&parse(reference)?);
    Ok(Address {
        url: String::from_utf8_lossy(&resolved.print()).into_owned(),
        fragment,
    })
}

/// `PathUnescape`.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        if *byte != b'%' {
            out.push(*byte);
            rest = tail;
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let value = digit(1)
            .zip(digit(2))
            .and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        let Some(value) = value else {
            let shown = rest.get(..rest.len().min(3)).unwrap_or_default();
            return Err(format!("invalid URL escape {}", quote(shown)));
        };
        out.push(value);
        rest = rest.get(3..).unwrap_or_default();
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// `PathEscape`, but for slashes.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b'=' | b':' | b'@' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A place as errors name it.
pub(crate) fn place(url: &str, pointer: &str) -> String {
    format!("{url}#{}", encode(pointer))
}

/// A token as it stands in a pointer.
pub(crate) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// A token of a pointer; none where an escape is none.
pub(crate) fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '~') {
            (c, false) => c,
            _ => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
        });
    }
    Some(out)
}

/// A pointer one token further.
pub(crate) fn below(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", escape(token))
}

#[cfg(test)]
mod tests {
    use super::{join, unescape};

    #[test]
    fn references_are_resolved_from_their_base() {
        for (base, reference, url, fragment) in [
            (
                "file:///values.schema.json",
                "#/definitions/a%20b",
                "file:///values.schema.json",
                "/definitions/a b",
            ),
            (
                "file:///values.schema.json",
                "other.json#x",
                "file:///other.json",
                "x",
            ),
            (
                "https://example.com/a/b.json",
                "../c.json",
                "https://example.com/c.json",
                "",
            ),
            ("https://example.com/a/b.json", "urn:x:y#z", "urn:x:y", "z"),
            ("urn:example:root", "#/a", "urn:example:root", "/a"),
        ] {
            let joined = join(base, reference).unwrap();
            assert_eq!(
                (joined.url.as_str(), joined.fragment.as_str()),
                (url, fragment)
            );
        }
        assert_eq!(
            join("file:///a", "#%zz").unwrap_err(),
            "error in parsing \"#%zz\": invalid URL escape \"%zz\""
        );
    }

    #[test]
    fn a_tilde_needs_its_digit() {
        assert_eq!(unescape("a~1b~0").as_deref(), Some("a/b~"));
        assert_eq!(unescape("a~2"), None);
    }
}
