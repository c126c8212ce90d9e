//! The little of DER that keys and certificates need.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const TRUE: &[u8] = &[0x01, 0x01, 0xff];
pub(super) const NULL: &[u8] = &[0x05, 0x00];

/// A tag, the length, the content.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        out.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        let significant = bytes.get(zeros..).unwrap_or_default();
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
        out.extend_from_slice(significant);
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of parts that are already encoded.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// A number that is not negative, from its bytes.
pub(super) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    match significant.first() {
        None => tlv(INTEGER, &[0]),
        Some(first) if *first >= 0x80 => tlv(INTEGER, &[&[0], significant].concat()),
        Some(_) => tlv(INTEGER, significant),
    }
}

/// One element: tag, content, what follows.
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    pub(super) content: &'d [u8],
    /// Tag and length included.
    pub(super) whole: &'d [u8],
}

/// Takes one element off the front.
pub(super) fn take<'d>(input: &mut &'d [u8]) -> Option<Element<'d>> {
    let whole = *input;
    let (tag, rest) = whole.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if *first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, tail) = rest.split_at_checked(count)?;
        length = bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = tail;
    }
    let (content, tail) = rest.split_at_checked(length)?;
    *input = tail;
    let whole = whole.get(..whole.len() - tail.len())?;
    Some(Element {
        tag: *tag,
        content,
        whole,
    })
}

/// Takes one element that must have this tag.
pub(super) fn expect<'d>(input: &mut &'d [u8], tag: u8) -> Option<Element<'d>> {
    take(input).filter(|element| element.tag == tag)
}
