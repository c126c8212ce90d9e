//! An address that charts are fetched from.

use std::fmt;

use url::Url;

/// Longer ones name nothing that people type or indexes list.
const MAX_BYTES: usize = 2_048;

/// An `https` address without user info or fragment, normalised: what is compared is what is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(Url);

impl Link {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// One line that says what is wrong with it; the text itself is not repeated, it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_text(text)?;
        Self::checked(Url::parse(text).map_err(|error| format!("is no address: {error}"))?)
    }

    /// An address that this one refers to: absolute, or relative to it.
    ///
    /// # Errors
    /// As [`Link::parse`].
    pub fn join(&self, reference: &str) -> Result<Self, String> {
        check_text(reference)?;
        let joined = self.0.join(reference);
        Self::checked(joined.map_err(|error| format!("is no address: {error}"))?)
    }

    /// A file or folder below this address, whether or not that ends in a slash.
    ///
    /// # Errors
    /// As [`Link::parse`].
    pub fn below(&self, path: &str) -> Result<Self, String> {
        let mut base = self.0.clone();
        base.set_query(None);
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Self(base).join(path)
    }

    fn checked(mut url: Url) -> Result<Self, String> {
        if url.scheme() != "https" {
            return Err(format!(
                "has the scheme \"{}\", only https is allowed",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain user info".into());
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host".into());
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// `host` or `host:port`, where the port is not 443; IPv6 in brackets, names in lower case.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The path, `/` first, percent-encoded.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The query, empty where there is none, percent-encoded.
    pub fn query(&self) -> &str {
        self.0.query().unwrap_or_default()
    }

    /// The same with something behind its path.
    #[must_use]
    pub fn with_suffix(mut self, suffix: &str) -> Self {
        self.0.set_path(&format!("{}{suffix}", self.0.path()));
        self
    }

    /// The same with one more query parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.0.query_pairs_mut().append_pair(name, value);
        self
    }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes"));
    }
    // The parser would drop some of these in silence.
    if text
        .bytes()
        .any(|b| b.is_ascii_control() || matches!(b, b' ' | b'\\'))
    {
        return Err("contains a space, a control character or a backslash".into());
    }
    Ok(())
}

impl fmt::Display for Link {
    /// Without the query, which may hold a signature that opens a store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_is_an_address() {
        for bad in [
            "http://a/x",
            "file:///etc/passwd",
            "https://u:hunter2@a/x",
            "https://",
            "https://a/\nx",
            "https://a\\@b/",
            "a/b",
            "",
        ] {
            let why = Link::parse(bad).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
        let link = Link::parse("HTTPS://Charts.Example:443/a/../b?q=1#f").unwrap();
        assert_eq!(link.authority(), "charts.example");
        assert_eq!((link.path(), link.query()), ("/b", "q=1"));
        assert_eq!(link.to_string(), "https://charts.example/b");
    }

    #[test]
    fn references_are_resolved_and_checked_again() {
        let base = Link::parse("https://a:8443/charts").unwrap();
        let below = |path: &str| base.below(path).map(|l| l.to_string());
        assert_eq!(
            below("index.yaml").unwrap(),
            "https://a:8443/charts/index.yaml"
        );
        assert_eq!(
            below("web-1.tgz").unwrap(),
            "https://a:8443/charts/web-1.tgz"
        );
        assert_eq!(below("https://b/x.tgz").unwrap(), "https://b/x.tgz");
        assert!(below("http://b/x.tgz").is_err());
        assert_eq!(base.join("/v2/").unwrap().to_string(), "https://a:8443/v2/");
        let asked = base.with_parameter("scope", "a b&c");
        assert_eq!(asked.query(), "scope=a+b%26c");
    }
}
