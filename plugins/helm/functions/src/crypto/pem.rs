//! PEM blocks, read leniently as Go does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::codes::decode64;

/// Sort and bytes of one block.
pub(super) struct Block {
    pub(super) sort: String,
    pub(super) bytes: Vec<u8>,
}

/// The first whole block of a text; text around it does not matter.
pub(super) fn decode(text: &str) -> Option<Block> {
    const BEGIN: &str = "-----BEGIN ";
    let mut rest = text;
    loop {
        let start = rest.find(BEGIN)?;
        let at_line_start = start == 0 || rest.get(..start).is_some_and(|t| t.ends_with('\n'));
        rest = rest.get(start + BEGIN.len()..)?;
        if !at_line_start {
            continue;
        }
        let (line, body) = rest.split_once('\n')?;
        let Some(sort) = line.trim_end().strip_suffix("-----") else {
            continue;
        };
        let end = format!("-----END {sort}-----");
        let Some(length) = body.find(&end) else {
            continue;
        };
        // Headers are lines with a colon; the blank line after them is skipped with the blanks.
        let lines = body
            .get(..length)?
            .lines()
            .filter(|line| !line.contains(':'));
        let encoded: Vec<u8> = lines.flat_map(|line| line.trim().bytes()).collect();
        if let Ok(bytes) = decode64(&encoded) {
            return Some(Block {
                sort: sort.to_owned(),
                bytes,
            });
        }
    }
}

/// One block, 64 characters a line.
pub(super) fn encode(sort: &str, bytes: &[u8]) -> String {
    let mut out = format!("-----BEGIN {sort}-----\n");
    let encoded = STANDARD.encode(bytes);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str(&format!("-----END {sort}-----\n"));
    out
}
