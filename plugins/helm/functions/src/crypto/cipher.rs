//! AES-256 in CBC mode with a random first block, base 64 around it.

use std::rc::Rc;

use aes::Aes256;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use helm_template::{Error, Functions, Signature, Type, Value};

use crate::args::text;
use crate::codes::decode64;
use crate::environment::Environment;

const BLOCK: usize = 16;

/// The password cut or filled with zeros to a key.
fn key(password: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    for (slot, byte) in key.iter_mut().zip(password) {
        *slot = *byte;
    }
    key
}

pub(super) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    let two = Signature::fixed(&[Type::Str, Type::Str]);
    let own = Rc::clone(environment);
    functions.add("encryptAES", two, move |_, args| {
        let plain = text(args, 1)?.as_bytes();
        if plain.is_empty() {
            return Ok("".into());
        }
        let mut iv = [0; BLOCK];
        own.random(&mut iv)?;
        let cipher =
            cbc::Encryptor::<Aes256>::new(&key(text(args, 0)?.as_bytes()).into(), &iv.into());
        let encrypted = cipher.encrypt_padded_vec_mut::<Pkcs7>(plain);
        Ok(STANDARD.encode([&iv, encrypted.as_slice()].concat()).into())
    });
    functions.add("decryptAES", two, |_, args| {
        decrypt(text(args, 0)?.as_bytes(), text(args, 1)?.as_bytes())
    });
}

fn decrypt(password: &[u8], encoded: &[u8]) -> Result<Value, Error> {
    if encoded.is_empty() {
        return Ok("".into());
    }
    let crypt = decode64(encoded).map_err(Error::new)?;
    let Some((iv, crypt)) = crypt.split_first_chunk::<BLOCK>() else {
        let capacity = encoded.len() / 4 * 3;
        return Err(Error::new(format!(
            "runtime error: slice bounds out of range [:16] with capacity {capacity}"
        )));
    };
    if crypt.len() % BLOCK != 0 {
        return Err(Error::new("crypto/cipher: input not full blocks"));
    }
    let cipher = cbc::Decryptor::<Aes256>::new(&key(password).into(), &(*iv).into());
    let mut plain = cipher
        .decrypt_padded_vec_mut::<NoPadding>(crypt)
        .map_err(|_| Error::new("crypto/cipher: input not full blocks"))?;
    let Some(padding) = plain.last().copied() else {
        return Err(Error::new("runtime error: index out of range [-1]"));
    };
    let padding = usize::from(padding);
    match plain.len().checked_sub(padding) {
        Some(length) => plain.truncate(length),
        None => {
            let beyond = padding - plain.len();
            return Err(Error::new(format!(
                "runtime error: slice bounds out of range [:-{beyond}]"
            )));
        }
    }
    Ok(Value::Str(plain.into()))
}
