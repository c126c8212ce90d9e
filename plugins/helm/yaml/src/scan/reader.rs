//! Which characters may be read, and how early a forbidden one is noticed.
//!
//! The original decodes its input in pieces of 512 bytes and refuses a piece as soon as one of its
//! characters is needed. A syntax error in an earlier piece therefore wins over a control
//! character, one in the same piece loses: the fence stands where the bad piece begins.

use super::{Cut, Problem, Scanner, Step};

const PIECE_BYTES: usize = 512;
const CONTROL: &str = "control characters are not allowed";

/// Where reading must stop and why; `usize::MAX` if nowhere. `cut` says why the text ends early.
pub(super) fn fence(bytes: &[u8], start: usize, cut: Option<Cut>) -> (usize, &'static str) {
    let (bad, cut) = match (find_forbidden(bytes, start), cut) {
        (Some(at), _) => {
            let problem = CONTROL;
            (at, Cut { problem, width: 1 })
        }
        (None, Some(cut)) => (bytes.len(), cut),
        (None, None) => return (usize::MAX, ""),
    };
    // The byte order mark belongs to the first piece.
    let mut piece = 0;
    loop {
        let mut next = piece + PIECE_BYTES;
        while next > piece + 1 && bytes.get(next).is_some_and(|b| b & 0xC0 == 0x80) {
            next -= 1;
        }
        if bad < next {
            // A character that the piece holds only in part waits for the next one.
            let is_whole = next - bad >= cut.width;
            let fence = if is_whole { piece } else { bad };
            return (fence.max(start), cut.problem);
        }
        piece = next;
    }
}

fn find_forbidden(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(offset) = bytes
        .get(at..)?
        .iter()
        .position(|b| matches!(b, 0..=0x08 | 0x0B | 0x0C | 0x0E..=0x1F | 0x7F | 0xC2 | 0xEF))
    {
        at += offset;
        let byte = bytes.get(at).copied().unwrap_or(0);
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let last = bytes.get(at + 2).copied().unwrap_or(0);
        let forbidden = match byte {
            0xC2 => (0x80..=0x9F).contains(&next) && next != 0x85,
            0xEF => next == 0xBF && last >= 0xBE,
            _ => true,
        };
        if forbidden {
            return Some(at);
        }
        at += 1;
    }
    None
}

impl Scanner<'_> {
    /// The slow half of `need`: counts what is left before the fence.
    #[cold]
    pub(super) fn need_near_fence(&self, count: usize) -> Step {
        let left = self
            .bytes
            .get(self.mark.pos..self.fence.min(self.bytes.len()))
            .unwrap_or(&[])
            .iter()
            .filter(|b| **b & 0xC0 != 0x80)
            .count();
        if self.fence == usize::MAX || left >= count {
            return Ok(());
        }
        Err(Problem::yaml(0, self.fence_problem))
    }
}
