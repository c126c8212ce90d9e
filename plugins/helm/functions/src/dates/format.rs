//! Prints an instant with a layout.

use super::layout::{DAYS, MONTHS, Offset, OffsetParts, Piece, name, next_chunk};
use super::{Civil, Time};

/// A fraction piece may be 4095 digits long in a layout; an instant has nine.
const NANO_DIGITS: usize = 9;

pub(super) fn format(time: &Time, mut layout: &[u8]) -> Vec<u8> {
    let (zone_name, offset) = time.zone.at(time.seconds);
    let civil = Civil::from_seconds(time.seconds.wrapping_add(i64::from(offset)));
    let mut out = Vec::with_capacity(layout.len() + 10);
    while !layout.is_empty() {
        let chunk = next_chunk(layout);
        out.extend_from_slice(chunk.prefix);
        let Some(piece) = chunk.piece else {
            break;
        };
        layout = chunk.rest;
        match piece {
            Piece::ZoneName if zone_name.is_empty() => {
                let plain = Offset {
                    zulu: false,
                    colons: false,
                    parts: OffsetParts::Minutes,
                };
                push_offset(&mut out, plain, offset);
            }
            Piece::ZoneName => out.extend_from_slice(zone_name.as_bytes()),
            Piece::Offset(kind) => push_offset(&mut out, kind, offset),
            Piece::Fraction {
                trimmed,
                digits,
                separator,
            } => {
                push_fraction(&mut out, time.nanos, trimmed, digits, separator);
            }
            other => push_field(&mut out, other, &civil),
        }
    }
    out
}

fn push_number(out: &mut Vec<u8>, value: i64, width: usize) {
    if value < 0 {
        out.push(b'-');
    }
    let digits = value.unsigned_abs().to_string();
    out.extend(std::iter::repeat_n(
        b'0',
        width.saturating_sub(digits.len()),
    ));
    out.extend_from_slice(digits.as_bytes());
}

fn push_field(out: &mut Vec<u8>, piece: Piece, civil: &Civil) {
    let hour12 = match i64::from(civil.hour) % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match piece {
        Piece::LongMonth => name(&MONTHS, usize::from(civil.month).saturating_sub(1), 9),
        Piece::Month => name(&MONTHS, usize::from(civil.month).saturating_sub(1), 3),
        Piece::LongWeekDay => name(&DAYS, usize::from(civil.weekday), 9),
        Piece::WeekDay => name(&DAYS, usize::from(civil.weekday), 3),
        Piece::UpperPm => {
            if civil.hour >= 12 {
                "PM"
            } else {
                "AM"
            }
        }
        Piece::LowerPm => {
            if civil.hour >= 12 {
                "pm"
            } else {
                "am"
            }
        }
        _ => "",
    };
    out.extend_from_slice(text.as_bytes());
    let (value, width) = match piece {
        Piece::Year => (civil.year.abs() % 100, 2),
        Piece::LongYear => (civil.year, 4),
        Piece::NumMonth => (i64::from(civil.month), 0),
        Piece::ZeroMonth => (i64::from(civil.month), 2),
        Piece::Day => (i64::from(civil.day), 0),
        Piece::ZeroDay => (i64::from(civil.day), 2),
        Piece::UnderDay => {
            out.extend(std::iter::repeat_n(b' ', usize::from(civil.day < 10)));
            (i64::from(civil.day), 0)
        }
        Piece::ZeroYearDay => (i64::from(civil.year_day), 3),
        Piece::UnderYearDay => {
            let blanks = usize::from(civil.year_day < 100) + usize::from(civil.year_day < 10);
            out.extend(std::iter::repeat_n(b' ', blanks));
            (i64::from(civil.year_day), 0)
        }
        Piece::Hour => (i64::from(civil.hour), 2),
        Piece::Hour12 => (hour12, 0),
        Piece::ZeroHour12 => (hour12, 2),
        Piece::Minute => (i64::from(civil.minute), 0),
        Piece::ZeroMinute => (i64::from(civil.minute), 2),
        Piece::Second => (i64::from(civil.second), 0),
        Piece::ZeroSecond => (i64::from(civil.second), 2),
        _ => return,
    };
    push_number(out, value, width);
}

fn push_offset(out: &mut Vec<u8>, kind: Offset, offset: i32) {
    if kind.zulu && offset == 0 {
        out.push(b'Z');
        return;
    }
    let minutes = i64::from(offset) / 60;
    // An offset of some seconds west has zero minutes and hence a plus, as in Go.
    let seconds = i64::from(if minutes < 0 { -offset } else { offset });
    out.push(if minutes < 0 { b'-' } else { b'+' });
    let minutes = minutes.abs();
    push_number(out, minutes / 60, 2);
    if kind.colons {
        out.push(b':');
    }
    if kind.parts != OffsetParts::Hours {
        push_number(out, minutes % 60, 2);
    }
    if kind.parts == OffsetParts::Seconds {
        if kind.colons {
            out.push(b':');
        }
        push_number(out, seconds % 60, 2);
    }
}

fn push_fraction(out: &mut Vec<u8>, nanos: u32, trimmed: bool, digits: usize, separator: u8) {
    // The digit count has twelve bits in Go, and one bit above them for a comma.
    let digits = digits & 0xfff;
    if trimmed && (digits == 0 || nanos == 0) {
        return;
    }
    let all = format!("{nanos:09}");
    let mut text = all.get(..digits.min(NANO_DIGITS)).unwrap_or(&all);
    if trimmed {
        text = text.trim_end_matches('0');
        if text.is_empty() {
            // Go trims zeros of the whole output, then the separator.
            return;
        }
    }
    out.push(separator);
    out.extend_from_slice(text.as_bytes());
}
