//! Bodies in parts, each known by its name and bounded.

use std::collections::BTreeMap;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use multer::{Constraints, Multipart, SizeLimit};
use optikon_core::{Error, FieldError};

use crate::problem::Problem;

/// A part that a body may have, and its largest size in bytes.
pub(crate) type Part = (&'static str, u64);

/// Whether a body comes in parts.
pub(crate) fn is_multipart(headers: &HeaderMap) -> bool {
    crate::negotiate::media_type(headers) == "multipart/form-data"
}

/// Reads a body in parts. A part that is not in `allowed`, or is there twice, is refused by name.
///
/// # Errors
/// 400 for a body that is none, 413 for a part over its size, 422 for another part.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    allowed: &[Part],
) -> Result<BTreeMap<String, Bytes>, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let boundary = kind.and_then(|k| multer::parse_boundary(k).ok());
    let boundary = boundary.ok_or_else(|| {
        Error::Malformed("the Content-Type multipart/form-data names no boundary".into())
    })?;
    // A part more than allowed, so that it can be named; framing on top.
    let whole = allowed.iter().map(|(_, size)| size).sum::<u64>() + (64 << 10);
    let sizes = allowed.iter().fold(
        SizeLimit::new().whole_stream(whole),
        |limit, (name, size)| limit.for_field(*name, *size),
    );
    let constraints = Constraints::new().size_limit(sizes);
    let stream = body.into_data_stream();
    let mut parts = Multipart::with_constraints(stream, boundary, constraints);
    let mut found = BTreeMap::new();
    loop {
        let part = parts.next_field().await.map_err(|e| refused(&e, allowed))?;
        let Some(part) = part else {
            return Ok(found);
        };
        let name = part.name().unwrap_or_default().to_owned();
        if !allowed.iter().any(|(known, _)| *known == name) || found.contains_key(&name) {
            let shown: String = name.escape_debug().take(64).collect();
            let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
            let message = format!("is not one of the parts {}, each once", names.join(", "));
            return Err(Error::Invalid(vec![FieldError::new(shown, message)]).into());
        }
        let bytes = part.bytes().await.map_err(|e| refused(&e, allowed))?;
        found.insert(name, bytes);
    }
}

fn refused(error: &multer::Error, allowed: &[Part]) -> Problem {
    let error = match error {
        multer::Error::FieldSizeExceeded { limit, field_name } => Error::TooLarge {
            what: format!(
                "the part {}",
                field_name.as_deref().unwrap_or_default().escape_debug()
            ),
            limit_bytes: *limit,
        },
        multer::Error::StreamSizeExceeded { .. } => Error::TooLarge {
            what: "the body".into(),
            limit_bytes: allowed.iter().map(|(_, size)| size).sum(),
        },
        _ => {
            Error::Malformed("the body is not the multipart/form-data that it claims to be".into())
        }
    };
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parts(body: &'static str, size: u64) -> Result<BTreeMap<String, Bytes>, String> {
        let kind = "multipart/form-data; boundary=XX";
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
        read(
            &headers,
            Body::from(body),
            &[("chart", size), ("request", 10)],
        )
        .await
        .map_err(|problem| format!("{problem:?}"))
    }

    const TWO: &str = "--XX\r\nContent-Disposition: form-data; name=\"chart\"; filename=\"c.tgz\"\r\n\r\nabc\r\n--XX\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}\r\n--XX--\r\n";

    #[tokio::test]
    async fn parts_are_known_by_name_and_bounded() {
        let found = parts(TWO, 100).await.unwrap();
        assert_eq!(
            (&found["chart"][..], &found["request"][..]),
            (&b"abc"[..], &b"{}"[..])
        );
        assert!(parts(TWO, 2).await.unwrap_err().contains("TooLarge"));
        for (body, word) in [
            (
                "--XX\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\na\r\n--XX--\r\n",
                "Invalid",
            ),
            (
                "--XX\r\nContent-Disposition: form-data; name=\"chart\"\r\n\r\nbroken off",
                "Malformed",
            ),
            ("no parts at all", "Malformed"),
        ] {
            assert!(parts(body, 100).await.unwrap_err().contains(word), "{body}");
        }
        let none =
            HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data".parse().unwrap())]);
        assert!(read(&none, Body::empty(), &[]).await.is_err());
    }
}
