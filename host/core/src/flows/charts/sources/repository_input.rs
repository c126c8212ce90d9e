//! What callers say of a repository, checked.

use serde::Deserialize;
use x509_parser::pem::Pem;

use super::repositories::{CredentialKind, Repository, RepositoryKind};
use crate::{
    error::{Error, FieldError, Result},
    words::{ClusterName, Link},
};

const MAX_TOKEN_HOSTS: usize = 8;
const MAX_CA_BYTES: usize = 256 << 10;
const MAX_SECRET_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Input {
    url: String,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    token_hosts: Vec<String>,
    /// As it is shown; `none` drops what is sealed.
    #[serde(default)]
    credential: Option<CredentialKind>,
}

/// What a request says of the credential.
pub(super) enum Given {
    /// This one.
    Secret(String),
    /// Nothing was said of it.
    Kept,
    /// There is to be none.
    Nothing,
}

/// What serde says of the shape, without the values that it would quote.
pub(super) fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("unknown field") || text.starts_with("missing field") {
        text
    } else {
        "must be an object with url, ca, username, password, token and tokenHosts, each a text (tokenHosts a list), and credential \"none\"".into()
    }
}

/// A request as a repository without its times, or every field that is wrong.
pub(super) fn check(name: &str, input: Input) -> Result<(Repository, Link, Given)> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| problems.push(FieldError::new(field, message));
    if !name.parse::<ClusterName>().is_ok_and(|n| n.is_label()) {
        wrong("name", ClusterName::label_rule().into());
    }
    let (kind, text) = match input.url.strip_prefix("oci://") {
        Some(rest) => (RepositoryKind::Oci, format!("https://{rest}")),
        None => (RepositoryKind::Index, input.url),
    };
    let link = Link::parse(&text).and_then(|link| {
        if link.query().is_empty() {
            Ok(link)
        } else {
            Err("must not contain a query".into())
        }
    });
    let link = match link {
        Ok(link) => Some(link),
        Err(why) => {
            wrong(
                "url",
                format!("{why}; give https://host/path or oci://host/path"),
            );
            None
        }
    };
    if let Some(ca) = &input.ca {
        let mut blocks = Pem::iter_from_buffer(ca.as_bytes()).peekable();
        let is_fine = ca.len() <= MAX_CA_BYTES
            && blocks.peek().is_some()
            && blocks.all(|b| b.is_ok_and(|b| b.parse_x509().is_ok()));
        if !is_fine {
            wrong("ca", "must be certificates in PEM, at most 256 KiB".into());
        }
    }
    let mut hosts = Vec::new();
    if input.token_hosts.len() > MAX_TOKEN_HOSTS {
        wrong("tokenHosts", format!("at most {MAX_TOKEN_HOSTS}"));
    }
    for (i, host) in input.token_hosts.iter().enumerate() {
        match Link::parse(&format!("https://{host}")) {
            Ok(link) if link.path() == "/" && link.query().is_empty() => {
                hosts.push(link.authority())
            }
            _ => wrong(
                &format!("tokenHosts[{i}]"),
                "must be host or host:port".into(),
            ),
        }
    }
    let is_word = |text: &str| {
        (1..=MAX_SECRET_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    let (credential, given) = match (&input.username, input.password, input.token) {
        (None, None, None) if input.credential == Some(CredentialKind::None) => {
            (CredentialKind::None, Given::Nothing)
        }
        (None, None, None) => (CredentialKind::None, Given::Kept),
        (Some(user), Some(password), None) => {
            if !is_word(user) || user.contains(':') {
                wrong("username", "must be visible text without ':'".into());
            }
            if !is_word(&password) {
                wrong("password", "must be visible text, at most 16 KiB".into());
            }
            (CredentialKind::Basic, Given::Secret(password))
        }
        (None, None, Some(token)) => {
            if !is_word(&token) || !token.bytes().all(|b| b.is_ascii_graphic()) {
                wrong(
                    "token",
                    "must be visible ASCII without spaces, at most 16 KiB".into(),
                );
            }
            (CredentialKind::Token, Given::Secret(token))
        }
        // What GET shows may be sent back as it is.
        (Some(_), None, None) if input.credential == Some(CredentialKind::Basic) => {
            (CredentialKind::None, Given::Kept)
        }
        (_, _, Some(_)) => {
            wrong("token", "excludes username and password".into());
            (CredentialKind::None, Given::Nothing)
        }
        (Some(_), None, _) => {
            wrong("password", "is missing".into());
            (CredentialKind::None, Given::Nothing)
        }
        (None, Some(_), _) => {
            wrong("username", "is missing".into());
            (CredentialKind::None, Given::Nothing)
        }
    };
    let Some(link) = link.filter(|_| problems.is_empty()) else {
        return Err(Error::Invalid(problems));
    };
    let scheme = match kind {
        RepositoryKind::Index => "https",
        RepositoryKind::Oci => "oci",
    };
    let path = link.path().trim_end_matches('/');
    let repository = Repository {
        name: name.to_owned(),
        url: format!("{scheme}://{}{path}", link.authority()),
        kind,
        credential,
        username: input
            .username
            .filter(|_| credential == CredentialKind::Basic),
        ca: input.ca,
        token_hosts: hosts,
        updated: String::new(),
        updated_by: String::new(),
    };
    Ok((repository, link, given))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wrong(name: &str, body: Value) -> Vec<String> {
        match check(name, serde_json::from_value(body).ok().unwrap()) {
            Err(Error::Invalid(fields)) => fields.into_iter().map(|f| f.field).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        for (name, body, fields) in [
            ("stable", json!({"url": "https://a/x/"}), &[][..]),
            (
                "stable",
                json!({"url": "oci://a:5000/x", "username": "u", "password": "p"}),
                &[],
            ),
            ("Stable", json!({"url": "http://a"}), &["name", "url"]),
            ("s", json!({"url": "https://u:p@a"}), &["url"]),
            ("s", json!({"url": "https://a?x=1"}), &["url"]),
            (
                "s",
                json!({"url": "https://a", "username": "u"}),
                &["password"],
            ),
            (
                "s",
                json!({"url": "https://a", "password": "p"}),
                &["username"],
            ),
            (
                "s",
                json!({"url": "https://a", "token": "t", "username": "u", "password": "p"}),
                &["token"],
            ),
            (
                "s",
                json!({"url": "https://a", "username": "u:x", "password": "p\n"}),
                &["username", "password"],
            ),
            (
                "s",
                json!({"url": "https://a", "token": "a b", "ca": "PEM"}),
                &["ca", "token"],
            ),
            (
                "s",
                json!({"url": "https://a", "tokenHosts": ["b/x", "c:1"]}),
                &["tokenHosts[0]"],
            ),
        ] {
            assert_eq!(wrong(name, body.clone()), fields, "{name} {body}");
        }
    }

    #[test]
    fn a_wrong_shape_is_told_without_its_values() {
        let body = json!({"url": "https://a", "token": {"s3cret": 1}});
        let error = serde_json::from_value::<Input>(body).err().unwrap();
        assert!(!unquoted(&error).contains("s3cret"));
    }
}
