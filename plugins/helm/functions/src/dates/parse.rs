//! Reads an instant with a layout, with Go's tolerance and Go's error texts.

use super::civil::{days_before, days_in, is_leap, to_seconds};
use super::layout::{DAYS, MONTHS, Piece, next_chunk};
use super::pieces::{
    is_digit, lookup, nanoseconds, numeric_offset, signed, skip, split, three_digits, two_digits,
    zone_length,
};
use super::{Time, Zone};

/// Why a text is not a date of the layout, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Quotes as Go's `time` package does: bytes that are not printable ASCII as `\xNN`.
pub(super) fn quote(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=0x7f => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Why one piece did not fit.
pub(super) enum Bad {
    Text,
    Range(&'static str),
}

pub(super) type Step<'v, T> = Result<(T, &'v [u8]), Bad>;

/// What has been read so far.
#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: u32,
    pm: bool,
    am: bool,
    utc: bool,
    offset: Option<i32>,
    zone_name: Vec<u8>,
}

impl Fields {
    /// Reads one piece; hands back what follows it.
    fn read<'v>(&mut self, piece: Piece, text: &'v [u8], layout: &[u8]) -> Result<&'v [u8], Bad> {
        let within = |value: i64, low: i64, high: i64, name: &'static str| {
            if (low..=high).contains(&value) {
                Ok(value)
            } else {
                Err(Bad::Range(name))
            }
        };
        let rest = match piece {
            Piece::Year => {
                let (taken, rest) = split(text, 2)?;
                let year = signed(taken)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
                rest
            }
            Piece::LongYear => {
                let (taken, rest) = split(text, 4)?;
                if !is_digit(taken, 0) {
                    return Err(Bad::Text);
                }
                self.year = signed(taken)?;
                rest
            }
            Piece::Month | Piece::LongMonth => {
                let limit = if piece == Piece::Month { 3 } else { 9 };
                let (month, rest) = lookup(&MONTHS, limit, text)?;
                self.month = Some(month + 1);
                rest
            }
            Piece::NumMonth | Piece::ZeroMonth => {
                let (month, rest) = two_digits(text, piece == Piece::ZeroMonth)?;
                self.month = Some(within(month, 1, 12, "month")?);
                rest
            }
            Piece::WeekDay => lookup(&DAYS, 3, text)?.1,
            Piece::LongWeekDay => lookup(&DAYS, 9, text)?.1,
            Piece::Day | Piece::UnderDay | Piece::ZeroDay => {
                let padded = piece == Piece::UnderDay;
                let text = text.strip_prefix(b" ").filter(|_| padded).unwrap_or(text);
                let (day, rest) = two_digits(text, piece == Piece::ZeroDay)?;
                self.day = Some(day);
                rest
            }
            Piece::UnderYearDay | Piece::ZeroYearDay => {
                let mut text = text;
                if piece == Piece::UnderYearDay {
                    text = text.strip_prefix(b" ").unwrap_or(text);
                    text = text.strip_prefix(b" ").unwrap_or(text);
                }
                let (day, rest) = three_digits(text, piece == Piece::ZeroYearDay)?;
                self.year_day = Some(day);
                rest
            }
            Piece::Hour => {
                let (hour, rest) = two_digits(text, false)?;
                self.hour = within(hour, 0, 23, "hour")?;
                rest
            }
            Piece::Hour12 | Piece::ZeroHour12 => {
                let (hour, rest) = two_digits(text, piece == Piece::ZeroHour12)?;
                self.hour = within(hour, 0, 12, "hour")?;
                rest
            }
            Piece::Minute | Piece::ZeroMinute => {
                let (minute, rest) = two_digits(text, piece == Piece::ZeroMinute)?;
                self.minute = within(minute, 0, 59, "minute")?;
                rest
            }
            Piece::Second | Piece::ZeroSecond => {
                let (second, rest) = two_digits(text, piece == Piece::ZeroSecond)?;
                self.second = within(second, 0, 59, "second")?;
                self.fraction_without_layout(rest, layout)?
            }
            Piece::UpperPm | Piece::LowerPm => {
                let (taken, rest) = split(text, 2)?;
                match (piece, taken) {
                    (Piece::UpperPm, b"PM") | (Piece::LowerPm, b"pm") => self.pm = true,
                    (Piece::UpperPm, b"AM") | (Piece::LowerPm, b"am") => self.am = true,
                    _ => return Err(Bad::Text),
                }
                rest
            }
            Piece::Offset(kind) if kind.zulu && text.first() == Some(&b'Z') => {
                self.utc = true;
                split(text, 1)?.1
            }
            Piece::Offset(kind) => {
                let (offset, rest) = numeric_offset(kind, text)?;
                self.offset = Some(offset);
                rest
            }
            Piece::ZoneName => {
                if let Some(rest) = text.strip_prefix(b"UTC") {
                    self.utc = true;
                    return Ok(rest);
                }
                let (name, rest) = split(text, zone_length(text).ok_or(Bad::Text)?)?;
                self.zone_name = name.to_vec();
                rest
            }
            Piece::Fraction {
                trimmed: false,
                digits,
                ..
            } => {
                let (taken, rest) = split(text, digits + 1)?;
                self.nanos = nanoseconds(taken)?;
                rest
            }
            Piece::Fraction { .. } => self.fraction(text)?,
        };
        Ok(rest)
    }

    /// A fraction where the layout has none after the seconds.
    fn fraction_without_layout<'v>(
        &mut self,
        text: &'v [u8],
        layout: &[u8],
    ) -> Result<&'v [u8], Bad> {
        if matches!(next_chunk(layout).piece, Some(Piece::Fraction { .. })) {
            return Ok(text);
        }
        self.fraction(text)
    }

    /// An optional fraction of any length.
    fn fraction<'v>(&mut self, text: &'v [u8]) -> Result<&'v [u8], Bad> {
        if !matches!(text.first(), Some(b'.' | b',')) || !is_digit(text, 1) {
            return Ok(text);
        }
        let count = text
            .iter()
            .skip(1)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let (taken, rest) = split(text, count + 1)?;
        self.nanos = nanoseconds(taken)?;
        Ok(rest)
    }

    /// Month and day from whatever was given; the error is Go's message.
    fn date(&self) -> Result<(i64, i64), &'static str> {
        let Some(mut year_day) = self.year_day else {
            return Ok((self.month.unwrap_or(1), self.day.unwrap_or(1)));
        };
        let mut found = None;
        if is_leap(self.year) {
            if year_day == 31 + 29 {
                found = Some((2, 29));
            } else if year_day > 31 + 29 {
                year_day -= 1;
            }
        }
        if !(1..=365).contains(&year_day) {
            return Err(": day-of-year out of range");
        }
        let (month, day) = found.unwrap_or_else(|| {
            let guess = (year_day - 1) / 31 + 1;
            let month = if days_before(guess + 1) < year_day {
                guess + 1
            } else {
                guess
            };
            (month, year_day - days_before(month))
        });
        if self.month.is_some_and(|seen| seen != month) {
            return Err(": day-of-year does not match month");
        }
        if self.day.is_some_and(|seen| seen != day) {
            return Err(": day-of-year does not match day");
        }
        Ok((month, day))
    }

    fn finish(self) -> Result<Time, &'static str> {
        let hour = match (self.pm, self.am, self.hour) {
            (true, _, hour) if hour < 12 => hour + 12,
            (false, true, 12) => 0,
            (_, _, hour) => hour,
        };
        let (month, day) = self.date()?;
        if day < 1 || day > days_in(month, self.year) {
            return Err(": day out of range");
        }
        let seconds = to_seconds((self.year, month, day), (hour, self.minute, self.second));
        let name = String::from_utf8_lossy(&self.zone_name).into_owned();
        let (offset, zone) = if self.utc {
            (0, Zone::Utc)
        } else if let Some(offset) = self.offset {
            // The local zone is UTC: it is used when it fits.
            let local = offset == 0 && (name.is_empty() || name == "UTC");
            (
                offset,
                if local {
                    Zone::Local
                } else {
                    Zone::Fixed(name, offset)
                },
            )
        } else if name.is_empty() {
            (0, Zone::Local)
        } else {
            let hours = name
                .strip_prefix("GMT")
                .filter(|hours| !hours.is_empty())
                .and_then(|hours| signed(hours.as_bytes()).ok())
                .and_then(|hours| i32::try_from(hours).ok())
                .unwrap_or(0);
            // An abbreviation alone says nothing about the offset: the clock stays UTC's.
            (0, Zone::Fixed(name, hours * 3_600))
        };
        Ok(Time {
            seconds: seconds - i64::from(offset),
            nanos: self.nanos,
            zone,
        })
    }
}

/// Reads `value` with a Go layout; without a zone in it, it is local time.
///
/// # Errors
/// `parsing time "…" as "…": cannot parse "…" as "…"`, and range errors.
pub fn parse(layout: &[u8], value: &[u8]) -> Result<Time, ParseError> {
    let cannot = |found: &[u8], wanted: &[u8]| {
        ParseError(format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(value),
            quote(layout),
            quote(found),
            quote(wanted)
        ))
    };
    let message = |text: &str| ParseError(format!("parsing time {}{text}", quote(value)));
    let mut fields = Fields::default();
    let (mut rest_layout, mut rest) = (layout, value);
    loop {
        let chunk = next_chunk(rest_layout);
        rest = skip(rest, chunk.prefix).map_err(|left| cannot(left, chunk.prefix))?;
        let Some(piece) = chunk.piece else {
            if !rest.is_empty() {
                return Err(message(&format!(": extra text: {}", quote(rest))));
            }
            break;
        };
        rest_layout = chunk.rest;
        let held = rest;
        rest = fields
            .read(piece, rest, rest_layout)
            .map_err(|bad| match bad {
                Bad::Text => cannot(held, chunk.text),
                Bad::Range(name) => message(&format!(": {name} out of range")),
            })?;
    }
    fields.finish().map_err(message)
}
