//! Base 64 and 32 with Go's tolerance for line ends and Go's places in error texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const ALPHABET32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) fn encode64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn value64(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Decodes padded base 64; unused bits may be anything.
///
/// # Errors
/// `illegal base64 data at input byte N`.
pub(crate) fn decode64(text: &[u8]) -> Result<Vec<u8>, String> {
    let illegal = |at: usize| format!("illegal base64 data at input byte {at}");
    let next_token = |mut at: usize| {
        while text.get(at).is_some_and(|b| is_line_end(*b)) {
            at += 1;
        }
        at
    };
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut have, mut at) = (0u32, 0usize, 0);
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        if let Some(value) = value64(byte) {
            group = group << 6 | value;
            have += 1;
            if have == 4 {
                out.extend(group.to_be_bytes().iter().skip(1));
                (group, have) = (0, 0);
            }
            continue;
        }
        if is_line_end(byte) {
            continue;
        }
        if byte != b'=' || have < 2 {
            return Err(illegal(at - 1));
        }
        if have == 2 {
            at = next_token(at);
            match text.get(at) {
                None => return Err(illegal(text.len())),
                Some(b'=') => at += 1,
                Some(_) => return Err(illegal(at - 1)),
            }
        }
        at = next_token(at);
        if at < text.len() {
            return Err(illegal(at));
        }
        let bytes = (group << (6 * (4 - have))).to_be_bytes();
        out.extend(bytes.iter().skip(1).take(have - 1));
        return Ok(out);
    }
    if have > 0 {
        return Err(illegal(at - have));
    }
    Ok(out)
}

pub(super) fn encode32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let group = chunk.iter().zip(0..).fold(0u64, |group, (byte, at)| {
            group | u64::from(*byte) << (32 - 8 * at)
        });
        let used = (chunk.len() * 8).div_ceil(5);
        for place in 0..8 {
            let index = usize::try_from(group >> (35 - 5 * place) & 31).unwrap_or(0);
            let digit = ALPHABET32.get(index).copied().unwrap_or(b'A');
            out.push(if place < used { char::from(digit) } else { '=' });
        }
    }
    out
}

fn value32(byte: u8) -> Option<u64> {
    Some(u64::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'2'..=b'7' => byte - b'2' + 26,
        _ => return None,
    }))
}

/// Decodes padded base 32 without line ends.
pub(super) fn decode32(text: &[u8]) -> Result<Vec<u8>, String> {
    let source: Vec<u8> = text.iter().copied().filter(|b| !is_line_end(*b)).collect();
    let length = source.len();
    let illegal = |at: usize| format!("illegal base32 data at input byte {at}");
    let mut out = Vec::with_capacity(length / 8 * 5);
    let mut at = 0;
    while at < length {
        let (mut group, mut have) = (0u64, 0usize);
        while have < 8 {
            let Some(byte) = source.get(at).copied() else {
                return Err(illegal(at.saturating_sub(have)));
            };
            at += 1;
            let left = length - at;
            if byte == b'=' && have >= 2 && left < 8 {
                if left + have < 7 {
                    return Err(illegal(length));
                }
                let padding = source.get(at..).unwrap_or_default().iter().take(7 - have);
                if let Some(wrong) = padding.clone().position(|b| *b != b'=') {
                    return Err(illegal((at + wrong).saturating_sub(1)));
                }
                if matches!(have, 3 | 6) {
                    return Err(illegal(at - 1));
                }
                let bytes = (group << (5 * (8 - have)) << 24).to_be_bytes();
                out.extend(bytes.iter().take(have * 5 / 8));
                return Ok(out);
            }
            group = group << 5 | value32(byte).ok_or_else(|| illegal(at - 1))?;
            have += 1;
        }
        out.extend((group << 24).to_be_bytes().iter().take(5));
    }
    Ok(out)
}
