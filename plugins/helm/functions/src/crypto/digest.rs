//! Digests as lower case hexadecimal.

use helm_template::{Functions, Signature, Type};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::args::text;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn register(functions: &mut Functions) {
    let digests: [(&'static str, fn(&[u8]) -> String); 4] = [
        ("sha1sum", |bytes| hex(&Sha1::digest(bytes))),
        ("sha256sum", |bytes| hex(&Sha256::digest(bytes))),
        ("sha512sum", |bytes| hex(&Sha512::digest(bytes))),
        ("adler32sum", |bytes| {
            adler2::adler32_slice(bytes).to_string()
        }),
    ];
    for (name, digest) in digests {
        functions.add(name, Signature::fixed(&[Type::Str]), move |_, args| {
            Ok(digest(text(args, 0)?.as_bytes()).into())
        });
    }
}
