//! Random text: letters, digits, bytes, UUIDs, shuffled runes.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use helm_template::{Error, Functions, Signature, Type};

use crate::args::{int, text};
use crate::environment::{Environment, random_below};
use crate::go::{check_bytes, runes};

pub(super) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    let alphabets: [(&'static str, fn(u8) -> bool); 4] = [
        ("randAlphaNum", |byte| byte.is_ascii_alphanumeric()),
        ("randAlpha", |byte| byte.is_ascii_alphabetic()),
        ("randNumeric", |byte| byte.is_ascii_digit()),
        ("randAscii", |byte| matches!(byte, b' '..=b'~')),
    ];
    for (name, admits) in alphabets {
        let own = Rc::clone(environment);
        functions.add(name, Signature::fixed(&[Type::Int]), move |_, args| {
            // A negative length is an error that sprig throws away.
            let count = usize::try_from(int(args, 0)?).unwrap_or(0);
            check_bytes(name, count)?;
            Ok(random_text(own.as_ref(), count, admits)?.into())
        });
    }
    let own = Rc::clone(environment);
    functions.add(
        "randBytes",
        Signature::fixed(&[Type::Int]),
        move |_, args| {
            let count = usize::try_from(int(args, 0)?)
                .map_err(|_| Error::new("runtime error: makeslice: len out of range"))?;
            check_bytes("randBytes", count)?;
            let mut bytes = vec![0; count];
            if count > 0 {
                own.random(&mut bytes)?;
            }
            Ok(STANDARD.encode(bytes).into())
        },
    );
    let own = Rc::clone(environment);
    functions.add("uuidv4", Signature::fixed(&[]), move |_, _| {
        let mut bytes = [0; 16];
        own.random(&mut bytes)?;
        let mut number = u128::from_be_bytes(bytes);
        // Version 4, variant 1.
        number = number & !(0xf << 76) | 4 << 76;
        number = number & !(0b11 << 62) | 0b10 << 62;
        let hex = format!("{number:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        let parts = [
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32),
        ];
        Ok(parts.join("-").into())
    });
    let own = Rc::clone(environment);
    functions.add(
        "shuffle",
        Signature::fixed(&[Type::Str]),
        move |context, args| {
            let mut left: Vec<char> = runes(text(args, 0)?.as_bytes()).collect();
            context.charge(u64::try_from(left.len() / 4).unwrap_or(u64::MAX))?;
            let mut out = String::with_capacity(left.len());
            while left.len() > 1 {
                let place = random_below(own.as_ref(), u64::try_from(left.len()).unwrap_or(1))?;
                out.push(left.swap_remove(usize::try_from(place).unwrap_or(0)));
            }
            out.extend(left);
            Ok(out.into())
        },
    );
}

/// Bytes of an ASCII alphabet, all equally likely: what is outside is thrown away.
fn random_text(
    environment: &dyn Environment,
    count: usize,
    admits: fn(u8) -> bool,
) -> Result<String, Error> {
    let mut out = String::with_capacity(count);
    let mut buffer = [0; 256];
    // Ten of 128 values are digits; this many draws without enough of them are a broken source.
    let draws = count / 4 + 64;
    for _ in 0..draws {
        if out.len() == count {
            break;
        }
        environment.random(&mut buffer)?;
        let kept = buffer
            .iter()
            .map(|byte| byte & 0x7f)
            .filter(|byte| admits(*byte));
        out.extend(kept.take(count - out.len()).map(char::from));
    }
    if out.len() < count {
        return Err(Error::new("the source of randomness repeats itself"));
    }
    Ok(out)
}
