//! One URL: reading and printing.

use super::escape::{Part, escape, unescape};
use super::host;
use crate::go::quote;

/// Name and password, unescaped.
#[derive(Debug, Clone, Default)]
pub(super) struct UserInfo {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl UserInfo {
    /// Escaped, as it stands before the `@`.
    pub(super) fn print(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Part::User);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend(escape(password, Part::User));
        }
        out
    }
}

/// A URL's parts, unescaped but for the query.
#[derive(Debug, Clone, Default)]
pub struct Url {
    pub(super) scheme: Vec<u8>,
    pub(super) opaque: Vec<u8>,
    pub(super) user: Option<UserInfo>,
    pub(super) host: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) query: Vec<u8>,
    pub(super) fragment: Vec<u8>,
    /// The path as it was written, where escaping it again would write it otherwise.
    pub(super) raw_path: Vec<u8>,
}

fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == separator) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// The scheme and what follows its colon.
fn scheme(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    for (byte, at) in text.iter().zip(0..) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => {
                let (scheme, rest) = text.split_at(at);
                return Ok((scheme, rest.get(1..).unwrap_or_default()));
            }
            _ => break,
        }
    }
    Ok((b"", text))
}

impl Url {
    /// Reads a URL or a reference relative to one.
    ///
    /// # Errors
    /// `parse "…": REASON`.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let (main, fragment) = cut(text, b'#');
        let named = |url: &[u8], reason: String| format!("parse {}: {reason}", quote(url));
        let mut url = Self::without_fragment(main).map_err(|reason| named(main, reason))?;
        let fragment = fragment.unwrap_or_default();
        url.fragment = unescape(fragment, Part::Fragment).map_err(|reason| named(text, reason))?;
        Ok(url)
    }

    fn without_fragment(text: &[u8]) -> Result<Self, String> {
        if text.iter().any(|b| *b < b' ' || *b == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Self::default();
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, rest) = scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (mut rest, query) = cut(rest, b'?');
        url.query = query.unwrap_or_default().to_vec();
        if !rest.starts_with(b"/") {
            if !scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let has_host = !scheme.is_empty() || !rest.starts_with(b"///");
        if let Some(tail) = rest.strip_prefix(b"//").filter(|_| has_host) {
            let end = tail.iter().position(|b| *b == b'/').unwrap_or(tail.len());
            let (authority, path) = tail.split_at(end);
            rest = path;
            url.authority(authority)?;
        }
        url.set_path(rest)?;
        Ok(url)
    }

    fn authority(&mut self, authority: &[u8]) -> Result<(), String> {
        let Some(at) = authority.iter().rposition(|b| *b == b'@') else {
            self.host = host::parse(&self.scheme, authority)?;
            return Ok(());
        };
        let (user, rest) = authority.split_at(at);
        self.host = host::parse(&self.scheme, rest.get(1..).unwrap_or_default())?;
        let valid = |b: &u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(b);
        if !user.iter().all(valid) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = cut(user, b':');
        self.user = Some(UserInfo {
            name: unescape(name, Part::User)?,
            password: password
                .map(|text| unescape(text, Part::User))
                .transpose()?,
        });
        Ok(())
    }

    fn set_path(&mut self, path: &[u8]) -> Result<(), String> {
        self.path = unescape(path, Part::Path)?;
        self.raw_path = if escape(&self.path, Part::Path) == path {
            Vec::new()
        } else {
            path.to_vec()
        };
        Ok(())
    }

    /// The scheme in lower case; empty for a relative one.
    pub fn scheme(&self) -> &[u8] {
        &self.scheme
    }

    /// The host with its port and brackets.
    pub fn host(&self) -> &[u8] {
        &self.host
    }

    /// The host without its port and brackets.
    pub fn hostname(&self) -> &[u8] {
        host::name(&self.host)
    }

    /// The path, unescaped.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path as it was written, where escaping it again would write it otherwise; else empty.
    pub fn raw_path(&self) -> &[u8] {
        &self.raw_path
    }

    /// The path as it is printed.
    fn escaped_path(&self) -> Vec<u8> {
        let is_valid = |byte: &u8| {
            b"!$&'()*+,;=:@[]%".contains(byte) || !super::escape::is_escaped(*byte, Part::Path)
        };
        if !self.raw_path.is_empty() && self.raw_path.iter().all(is_valid) {
            return self.raw_path.clone();
        }
        if self.path == b"*" {
            return b"*".to_vec();
        }
        escape(&self.path, Part::Path)
    }

    /// Where a reference leads from here.
    #[must_use]
    pub fn resolve(&self, reference: &Self) -> Self {
        let mut url = reference.clone();
        if reference.scheme.is_empty() {
            url.scheme.clone_from(&self.scheme);
        }
        let mut follow = |base: &[u8], path: &[u8]| {
            // Both come from paths that were read, so their escapes are right.
            let _ = url.set_path(&merged(base, path));
        };
        let is_complete =
            !reference.scheme.is_empty() || !reference.host.is_empty() || reference.user.is_some();
        if is_complete {
            follow(&reference.escaped_path(), b"");
            return url;
        }
        let has_own_path = !reference.path.is_empty();
        if !has_own_path && !self.opaque.is_empty() {
            // A base without hierarchy stays what it is.
            let mut base = self.clone();
            if !reference.query.is_empty() {
                base.query.clone_from(&reference.query);
            }
            base.fragment.clone_from(&reference.fragment);
            return base;
        }
        follow(&self.escaped_path(), &reference.escaped_path());
        if !has_own_path && reference.query.is_empty() {
            url.query.clone_from(&self.query);
        }
        url.host.clone_from(&self.host);
        url.user.clone_from(&self.user);
        if !self.opaque.is_empty() {
            url.opaque.clone_from(&self.opaque);
        }
        url
    }

    /// Puts the parts together, escaping what needs it.
    pub fn print(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.print_hierarchy(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn print_hierarchy(&self, out: &mut Vec<u8>) {
        let has_user = self.user.is_some();
        let has_authority = !self.scheme.is_empty() || !self.host.is_empty() || has_user;
        if has_authority && (!self.host.is_empty() || !self.path.is_empty() || has_user) {
            out.extend_from_slice(b"//");
            if let Some(user) = &self.user {
                out.extend(user.print());
                out.push(b'@');
            }
            out.extend(escape(&self.host, Part::Host));
        }
        let path = self.escaped_path();
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        // A colon in the first segment would read as a scheme.
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

/// A path that is relative to a base, its dots resolved.
fn merged(base: &[u8], path: &[u8]) -> Vec<u8> {
    let full = match path.first() {
        None => base.to_vec(),
        Some(b'/') => path.to_vec(),
        Some(_) => {
            let end = base.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
            [base.get(..end).unwrap_or_default(), path].concat()
        }
    };
    if full.is_empty() {
        return full;
    }
    let mut out = b"/".to_vec();
    let mut is_first = true;
    let mut last: &[u8] = b"";
    for part in full.split(|b| *b == b'/') {
        last = part;
        match part {
            b"." => is_first = false,
            b".." => {
                let slash = out.iter().skip(1).rposition(|b| *b == b'/');
                out.truncate(slash.map_or(1, |at| at + 1));
                is_first = out.len() == 1;
            }
            _ => {
                if !is_first {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
                is_first = false;
            }
        }
    }
    if matches!(last, b"." | b"..") {
        out.push(b'/');
    }
    // It began with one slash already.
    if out.get(1) == Some(&b'/') {
        out.remove(0);
    }
    out
}
