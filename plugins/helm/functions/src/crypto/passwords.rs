//! `bcrypt`, `htpasswd` and the Master Password algorithm of `derivePassword`.

use std::rc::Rc;

use blowfish::Blowfish;
use helm_template::{Context, Error, Functions, Signature, Str, Type, Value};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::EXPENSIVE;
use crate::args::{any, text};
use crate::environment::Environment;

const BCRYPT_COST: u32 = 10;
const BCRYPT_MAX_BYTES: usize = 72;
const BCRYPT_DIGITS: &[u8; 64] =
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub(super) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    let own = Rc::clone(environment);
    functions.add(
        "bcrypt",
        Signature::fixed(&[Type::Str]),
        move |context, args| {
            Ok(bcrypt_text(context, own.as_ref(), text(args, 0)?.as_bytes())?.into())
        },
    );
    let own = Rc::clone(environment);
    let two = Signature::fixed(&[Type::Str, Type::Str]);
    functions.add("htpasswd", two, move |context, args| {
        let user = text(args, 0)?;
        if user.as_bytes().contains(&b':') {
            return Ok(Value::Str(
                [b"invalid username: ", user.as_bytes()].concat().into(),
            ));
        }
        let hash = bcrypt_text(context, own.as_ref(), text(args, 1)?.as_bytes())?;
        Ok(Value::Str(
            [user.as_bytes(), b":", hash.as_bytes()].concat().into(),
        ))
    });
    let five = Signature::fixed(&[Type::Any, Type::Str, Type::Str, Type::Str, Type::Str]);
    functions.add("derivePassword", five, |context, args| {
        let counter = any(args, 0)?;
        let number = counter
            .as_signed()
            .and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| {
            let found = counter.type_name();
            Error::new(format!(
                "wrong type for value; expected uint32; got {found}"
            ))
        })?;
        context.charge(EXPENSIVE)?;
        derive(
            number,
            text(args, 1)?,
            text(args, 2)?,
            text(args, 3)?,
            text(args, 4)?,
        )
    });
}

/// The hash in its usual form, or sprig's text about a password that is too long.
fn bcrypt_text(
    context: &mut dyn Context,
    environment: &dyn Environment,
    password: &[u8],
) -> Result<String, Error> {
    if password.len() > BCRYPT_MAX_BYTES {
        return Ok("failed to encrypt string with bcrypt: \
                   bcrypt: password length exceeds 72 bytes"
            .to_owned());
    }
    context.charge(EXPENSIVE)?;
    let mut salt = [0; 16];
    environment.random(&mut salt)?;
    let mut key = password.to_vec();
    key.push(0);
    key.truncate(BCRYPT_MAX_BYTES);
    let digest = digits(bcrypt_digest(&salt, &key).get(..23).unwrap_or_default());
    Ok(format!("$2a${BCRYPT_COST:02}${}{digest}", digits(&salt)))
}

/// Blowfish set up from salt and key `2^cost` times, then run over a fixed text. The last of the 24
/// bytes is never written down.
fn bcrypt_digest(salt: &[u8], key: &[u8]) -> Vec<u8> {
    const TEXT: [[u32; 2]; 3] = [
        [0x4f72_7068, 0x6561_6e42],
        [0x6568_6f6c, 0x6465_7253],
        [0x6372_7944, 0x6f75_6274],
    ];
    let mut state = <Blowfish>::bc_init_state();
    state.salted_expand_key(salt, key);
    for _ in 0..1u32 << BCRYPT_COST {
        state.bc_expand_key(key);
        state.bc_expand_key(salt);
    }
    let encrypted = TEXT.map(|block| (0..64).fold(block, |block, _| state.bc_encrypt(block)));
    encrypted
        .as_flattened()
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect()
}

/// Base 64 with an alphabet of its own and no padding.
fn digits(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().zip(0..).fold(0u32, |group, (byte, at)| {
            group | u32::from(*byte) << (16 - 8 * at)
        });
        for place in 0..=chunk.len() {
            let index = usize::try_from(group >> (18 - 6 * place) & 63).unwrap_or(0);
            out.push(char::from(
                BCRYPT_DIGITS.get(index).copied().unwrap_or(b'.'),
            ));
        }
    }
    out
}

/// The shapes of a sort of password; each letter stands for a class of characters.
fn shapes(sort: &[u8]) -> Option<&'static [&'static str]> {
    Some(match sort {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

fn characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// A text with its length before it, in four bytes.
fn counted(text: &Str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn derive(
    counter: u32,
    sort: &Str,
    password: &Str,
    user: &Str,
    site: &Str,
) -> Result<Value, Error> {
    const SEED: &[u8] = b"com.lyndir.masterpassword";
    let Some(shapes) = shapes(sort.as_bytes()) else {
        let text = [b"cannot find password template ", sort.as_bytes()].concat();
        return Ok(Value::Str(text.into()));
    };
    let failed =
        |what: &dyn std::fmt::Display| Error::new(format!("failed to derive password: {what}"));
    // 2^15 rounds, blocks of 8, two lanes: 32 MiB, as the algorithm fixes them.
    let params = scrypt::Params::new(15, 8, 2, 64).map_err(|error| failed(&error))?;
    let salt = [SEED, counted(user).as_slice()].concat();
    let mut key = [0; 64];
    scrypt::scrypt(password.as_bytes(), &salt, &params, &mut key)
        .map_err(|error| failed(&error))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| failed(&error))?;
    mac.update(SEED);
    mac.update(&counted(site));
    mac.update(&counter.to_be_bytes());
    let seed = mac.finalize().into_bytes();
    let mut seed = seed.iter().map(|byte| usize::from(*byte));
    let first = seed.next().unwrap_or(0);
    let shape = shapes.get(first % shapes.len()).copied().unwrap_or("");
    let password = shape.bytes().zip(seed).map(|(class, byte)| {
        let characters = characters(class);
        char::from(
            characters
                .get(byte % characters.len())
                .copied()
                .unwrap_or(b'?'),
        )
    });
    Ok(password.collect::<String>().into())
}
