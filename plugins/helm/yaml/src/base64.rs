//! The base64 of `!!binary`: Go's standard decoder, which skips line breaks and insists on padding.

/// The bytes; `None` if the text is not base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut group = [0_u8; 4];
    let mut filled = 0;
    let mut padding = 0;
    for byte in text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')) {
        // Only the last two of the last group may be padding.
        let is_over = padding > 0 && filled == 0;
        let value = match (byte, padding) {
            _ if is_over => return None,
            (b'=', _) if filled >= 2 => {
                padding += 1;
                0
            }
            (b'A'..=b'Z', 0) => byte - b'A',
            (b'a'..=b'z', 0) => byte - b'a' + 26,
            (b'0'..=b'9', 0) => byte - b'0' + 52,
            (b'+', 0) => 62,
            (b'/', 0) => 63,
            _ => return None,
        };
        *group.get_mut(filled)? = value;
        filled += 1;
        if filled == 4 {
            let [a, b, c, d] = group;
            let three = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
            bytes.extend(three.iter().take(3 - padding));
            filled = 0;
        }
    }
    (filled == 0).then_some(bytes)
}

/// Bytes as Go's JSON writer puts them: each one that is no character becomes U+FFFD.
pub(crate) fn go_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    text
}
