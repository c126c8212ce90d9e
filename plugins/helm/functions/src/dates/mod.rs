//! Instants, layouts, zones and durations as Go's `time` package has them.
//!
//! Layouts are Go's reference date (`Mon Jan 2 15:04:05 MST 2006`). Zones come from a bundled
//! database; the local zone is always UTC, as no machine's setting may show in a rendering.

mod civil;
pub mod duration;
mod format;
mod layout;
mod parse;
mod pieces;
mod zone;

pub use civil::Civil;
pub use parse::{ParseError, parse};
pub use zone::Zone;

/// A point in time, and the zone it is shown in.
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
    /// The zone in which it is printed.
    pub zone: Zone,
}

/// Seconds from 1970 back to year 1, which is where Go's zero time is.
const ZERO_SECONDS: i64 = -62_135_596_800;

impl Time {
    /// Go's zero time: 1 January of year 1, UTC.
    pub fn zero() -> Self {
        Self {
            seconds: ZERO_SECONDS,
            nanos: 0,
            zone: Zone::Utc,
        }
    }

    /// An instant in the local zone.
    pub fn unix(seconds: i64, nanos: u32) -> Self {
        Self {
            seconds,
            nanos,
            zone: Zone::Local,
        }
    }

    /// From nanoseconds since 1970, in the local zone.
    pub fn from_unix_nanos(nanos: i128) -> Self {
        let seconds = nanos.div_euclid(1_000_000_000);
        let rest = nanos.rem_euclid(1_000_000_000);
        Self::unix(
            i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX }),
            u32::try_from(rest).unwrap_or(0),
        )
    }

    /// Is it Go's zero time?
    pub fn is_zero(&self) -> bool {
        self.seconds == ZERO_SECONDS && self.nanos == 0
    }

    /// The same instant, shown in another zone.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self {
            zone,
            ..self.clone()
        }
    }

    /// Moves by nanoseconds, forward or back.
    #[must_use]
    pub fn add(&self, nanos: i64) -> Self {
        let total = i128::from(self.nanos) + i128::from(nanos);
        let carry = total.div_euclid(1_000_000_000);
        Self {
            seconds: self.seconds.wrapping_add(i64::try_from(carry).unwrap_or(0)),
            nanos: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
            zone: self.zone.clone(),
        }
    }

    /// Nanoseconds from `earlier` to this, held at the ends of 64 bits as Go does.
    pub fn since(&self, earlier: &Self) -> i64 {
        let seconds = i128::from(self.seconds) - i128::from(earlier.seconds);
        let nanos = i128::from(self.nanos) - i128::from(earlier.nanos);
        let total = seconds * 1_000_000_000 + nanos;
        i64::try_from(total).unwrap_or(if total < 0 { i64::MIN } else { i64::MAX })
    }

    /// Calendar fields in its zone.
    pub fn civil(&self) -> Civil {
        let (_, offset) = self.zone.at(self.seconds);
        Civil::from_seconds(self.seconds.wrapping_add(i64::from(offset)))
    }

    /// Prints with a Go layout.
    pub fn format(&self, layout: &[u8]) -> Vec<u8> {
        format::format(self, layout)
    }
}

/// As Go's `%v` prints a time without a monotonic clock reading.
impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.format(b"2006-01-02 15:04:05.999999999 -0700 MST");
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Time {
    /// Moves by calendar units; a day beyond its month runs on into the next, as in Go.
    #[must_use]
    pub fn add_date(&self, from: &Civil, years: i64, months: i64, days: i64) -> Self {
        // Beyond this no second of 64 bits is left.
        const LIMIT: i64 = 100_000_000_000;
        let within = |value: i64| value.clamp(-LIMIT, LIMIT);
        let month = i64::from(from.month) - 1 + within(months);
        let year = from.year + within(years) + month.div_euclid(12);
        let clock = (
            i64::from(from.hour),
            i64::from(from.minute),
            i64::from(from.second),
        );
        let first = civil::to_seconds((year, month.rem_euclid(12) + 1, 1), clock);
        let days = i64::from(from.day) - 1 + within(days);
        let wall = first.saturating_add(days * 86_400);
        let (_, offset) = self.zone.at(wall);
        let seconds = wall.saturating_sub(i64::from(offset));
        Self {
            seconds,
            nanos: self.nanos,
            zone: self.zone.clone(),
        }
    }
}
