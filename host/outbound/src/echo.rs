//! A reply that holds the credential it was asked with goes to nobody: a member that repeats request
//! headers would otherwise hand our token to a plugin.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memmem;
use optikon_core::words::Credential;

/// Shorter texts stand in replies by chance, and guard nothing.
const MIN_BYTES: usize = 8;

/// Looks for one credential.
///
/// It keeps the texts alone: a prepared search of each would take ten times their memory, for every member.
pub(crate) struct EchoGuard(Box<[Box<[u8]>]>);

impl std::fmt::Debug for EchoGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EchoGuard(..)")
    }
}

impl EchoGuard {
    pub(crate) fn new(credential: Option<&Credential>) -> Self {
        let mut needles: Vec<Vec<u8>> = Vec::new();
        match credential {
            None => {}
            Some(Credential::Token(token)) => spellings(token.expose().as_bytes(), &mut needles),
            Some(Credential::Basic { username, password }) => {
                let pair = format!("{username}:{}", password.expose());
                spellings(pair.as_bytes(), &mut needles);
                spellings(password.expose().as_bytes(), &mut needles);
            }
            Some(Credential::ClientCertificate { key, .. }) => {
                // A whole line from the middle: the first ones are alike in many keys.
                let lines: Vec<&str> = key
                    .expose()
                    .lines()
                    .filter(|line| !line.starts_with("-----") && !line.trim().is_empty())
                    .collect();
                if let Some(line) = lines.get(lines.len() / 2) {
                    spellings(line.trim().as_bytes(), &mut needles);
                }
            }
        }
        needles.retain(|needle| needle.len() >= MIN_BYTES);
        needles.sort();
        needles.dedup();
        Self(needles.into_iter().map(Vec::into_boxed_slice).collect())
    }

    /// Whether the credential stands in `bytes`, plain or in base64.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        let is_in = |needle: &[u8]| memmem::find(bytes, needle).is_some();
        self.0.iter().any(|needle| is_in(needle))
    }
}

/// The text itself and what is left of it inside any base64 text around it, whatever stands before.
fn spellings(secret: &[u8], needles: &mut Vec<Vec<u8>>) {
    if secret.len() < MIN_BYTES {
        return;
    }
    needles.push(secret.to_vec());
    for (pad, skip) in [(0, 0), (1, 2), (2, 3)] {
        let mut padded = vec![0; pad];
        padded.extend_from_slice(secret);
        // The last group depends on what follows, unless it is whole.
        let whole = padded.len() / 3 * 3;
        let encoded = STANDARD.encode(padded.get(..whole).unwrap_or_default());
        let inner = encoded.as_bytes().get(skip..).unwrap_or_default();
        let url_safe = inner.iter().map(|b| match b {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        });
        needles.push(url_safe.collect());
        needles.push(inner.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use optikon_core::words::Secret;

    #[test]
    fn a_token_is_found_in_every_spelling() {
        let guard = EchoGuard::new(Some(&Credential::Token(Secret::new(
            "s3cr3t-t0ken>?>?".into(),
        ))));
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}s3cr3t-t0ken>?>? and more");
            assert!(guard.is_in(text.as_bytes()), "{text}");
            let encoded = STANDARD.encode(&text);
            assert!(guard.is_in(encoded.as_bytes()), "{before}");
            let url = encoded.replace('+', "-").replace('/', "_");
            assert!(guard.is_in(url.as_bytes()), "{before}");
        }
        assert!(!guard.is_in(b"s3cr3t-t0kem"));
        assert!(!format!("{guard:?}").contains("s3cr3t"));
    }

    #[test]
    fn short_or_absent_credentials_drop_nothing() {
        assert!(!EchoGuard::new(None).is_in(b"anything"));
        let short = Credential::Token(Secret::new("abc".into()));
        assert!(!EchoGuard::new(Some(&short)).is_in(b"abc"));
    }
}
