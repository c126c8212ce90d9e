//! Splits a Go layout into literal text and the pieces of the reference date.

/// One piece of the reference date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    /// A numeric offset.
    Offset(Offset),
    /// `.000` (exact) or `.999` (trimmed).
    Fraction {
        trimmed: bool,
        digits: usize,
        separator: u8,
    },
}

/// How an offset is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// `Z` stands for zero.
    pub(super) zulu: bool,
    pub(super) colons: bool,
    pub(super) parts: OffsetParts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OffsetParts {
    Hours,
    Minutes,
    Seconds,
}

/// Longest first where one spelling is a prefix of another.
const OFFSETS: [(&[u8], bool, OffsetParts); 5] = [
    (b"070000", false, OffsetParts::Seconds),
    (b"07:00:00", true, OffsetParts::Seconds),
    (b"0700", false, OffsetParts::Minutes),
    (b"07:00", true, OffsetParts::Minutes),
    (b"07", false, OffsetParts::Hours),
];

/// A literal prefix, then perhaps a piece and what follows it.
pub(super) struct Chunk<'l> {
    pub(super) prefix: &'l [u8],
    pub(super) piece: Option<Piece>,
    /// The piece as written.
    pub(super) text: &'l [u8],
    pub(super) rest: &'l [u8],
}

/// Finds the next piece of the layout.
pub(super) fn next_chunk(layout: &[u8]) -> Chunk<'_> {
    for start in 0..layout.len() {
        let (prefix, tail) = layout.split_at(start);
        if let Some((skip, piece, length)) = piece_at(tail) {
            // `_2006` is a literal underscore and a year.
            let (prefix, tail) = if skip == 0 {
                (prefix, tail)
            } else {
                layout.split_at(start + skip)
            };
            let (text, rest) = tail.split_at(length.min(tail.len()));
            return Chunk {
                prefix,
                piece: Some(piece),
                text,
                rest,
            };
        }
    }
    Chunk {
        prefix: layout,
        piece: None,
        text: &[],
        rest: &[],
    }
}

/// The piece at the start of `text`: bytes before it, itself, its length.
fn piece_at(text: &[u8]) -> Option<(usize, Piece, usize)> {
    let starts = |prefix: &[u8]| text.starts_with(prefix);
    let lower_after = |n: usize| text.get(n).is_some_and(u8::is_ascii_lowercase);
    let found = match text.first()? {
        b'J' if starts(b"January") => (Piece::LongMonth, 7),
        b'J' if starts(b"Jan") && !lower_after(3) => (Piece::Month, 3),
        b'M' if starts(b"Monday") => (Piece::LongWeekDay, 6),
        b'M' if starts(b"Mon") && !lower_after(3) => (Piece::WeekDay, 3),
        b'M' if starts(b"MST") => (Piece::ZoneName, 3),
        b'0' => match text.get(1)? {
            b'1' => (Piece::ZeroMonth, 2),
            b'2' => (Piece::ZeroDay, 2),
            b'3' => (Piece::ZeroHour12, 2),
            b'4' => (Piece::ZeroMinute, 2),
            b'5' => (Piece::ZeroSecond, 2),
            b'6' => (Piece::Year, 2),
            b'0' if starts(b"002") => (Piece::ZeroYearDay, 3),
            _ => return None,
        },
        b'1' if starts(b"15") => (Piece::Hour, 2),
        b'1' => (Piece::NumMonth, 1),
        b'2' if starts(b"2006") => (Piece::LongYear, 4),
        b'2' => (Piece::Day, 1),
        b'_' if starts(b"_2006") => return Some((1, Piece::LongYear, 4)),
        b'_' if starts(b"_2") => (Piece::UnderDay, 2),
        b'_' if starts(b"__2") => (Piece::UnderYearDay, 3),
        b'3' => (Piece::Hour12, 1),
        b'4' => (Piece::Minute, 1),
        b'5' => (Piece::Second, 1),
        b'P' if starts(b"PM") => (Piece::UpperPm, 2),
        b'p' if starts(b"pm") => (Piece::LowerPm, 2),
        lead @ (b'-' | b'Z') => {
            let tail = text.get(1..)?;
            let (spelling, colons, parts) = OFFSETS
                .iter()
                .find(|(spelling, ..)| tail.starts_with(spelling))?;
            let offset = Offset {
                zulu: *lead == b'Z',
                colons: *colons,
                parts: *parts,
            };
            (Piece::Offset(offset), spelling.len() + 1)
        }
        separator @ (b'.' | b',') => {
            let digit = *text.get(1)?;
            if digit != b'0' && digit != b'9' {
                return None;
            }
            let digits = text.iter().skip(1).take_while(|b| **b == digit).count();
            if text.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            let piece = Piece::Fraction {
                trimmed: digit == b'9',
                digits,
                separator: *separator,
            };
            (piece, digits + 1)
        }
        _ => return None,
    };
    Some((0, found.0, found.1))
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// The name at a place, its first `limit` letters.
pub(super) fn name<'n>(names: &[&'n str], index: usize, limit: usize) -> &'n str {
    let name = names.get(index).copied().unwrap_or("");
    name.get(..limit).unwrap_or(name)
}
