//! URLs taken apart and put together as Go's `net/url` does.

mod escape;
mod host;
mod url;

use helm_template::{Error, Functions, Map, Signature, Str, Type, Value};

use crate::args::{map, text};
pub use url::Url;
use url::UserInfo;

pub(crate) fn register(functions: &mut Functions) {
    functions.add("urlParse", Signature::fixed(&[Type::Str]), |_, args| {
        let url = Url::parse(text(args, 0)?.as_bytes())
            .map_err(|error| Error::new(format!("unable to parse url: {error}")))?;
        let hostname = url.hostname().to_vec();
        let user = url.user.as_ref().map_or_else(Vec::new, UserInfo::print);
        let entries = [
            ("scheme", url.scheme),
            ("host", url.host),
            ("hostname", hostname),
            ("path", url.path),
            ("query", url.query),
            ("opaque", url.opaque),
            ("fragment", url.fragment),
            ("userinfo", user),
        ];
        Ok(Value::map(
            entries.map(|(key, value)| (key, Value::Str(value.into()))),
        ))
    });
    functions.add("urlJoin", Signature::fixed(&[Type::Dict]), |_, args| {
        let parts = map(args, 0)?;
        let mut url = Url {
            scheme: part(parts, "scheme")?,
            host: part(parts, "host")?,
            path: part(parts, "path")?,
            query: part(parts, "query")?,
            opaque: part(parts, "opaque")?,
            fragment: part(parts, "fragment")?,
            ..Url::default()
        };
        let user = part(parts, "userinfo")?;
        if !user.is_empty() {
            let probe = [b"proto://", user.as_slice(), b"@host"].concat();
            url.user = Url::parse(&probe)
                .map_err(|error| Error::new(format!("unable to parse userinfo in dict: {error}")))?
                .user;
        }
        Ok(Value::Str(url.print().into()))
    });
}

fn part(parts: &Map, key: &str) -> Result<Vec<u8>, Error> {
    match parts.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Str(text)) => Ok(Str::as_bytes(&text).to_vec()),
        Some(Value::Nil) => Err(Error::new(crate::go::NIL_DEREFERENCE)),
        Some(other) => Err(Error::new(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            other.kind().name()
        ))),
    }
}
