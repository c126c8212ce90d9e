//! The clock and the call's deadline as a parameter, and the dates of HTTP.

/// What a look needs to know of time.
pub trait Time {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
    /// Until the gateway gives up; none for no limit.
    fn remaining_ms(&self) -> Option<u64>;
}

/// Unix seconds of `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers may send today.
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let mut part = |most: u64| clock.next()?.ok().filter(|part| *part <= most);
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    if words.next() != Some("GMT") || !(1970..=9999).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March here, so that a leap day is the last of its year.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let days = 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// How far the member's clock is ahead, in milliseconds. A `Date` has whole seconds, so less than a second says nothing and
/// is 0.
pub fn skew_ms(date: &str, asked_ms: u64, answered_ms: u64) -> Option<i64> {
    let theirs = i64::try_from(http_date(date)?.saturating_mul(1000)).ok()? + 500;
    let ours = i64::try_from(asked_ms.midpoint(answered_ms)).ok()?;
    let slack = 1000 + i64::try_from(answered_ms.saturating_sub(asked_ms) / 2).ok()?;
    let skew = theirs - ours;
    Some(if skew.abs() <= slack { 0 } else { skew })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_dates_that_servers_send() {
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Thu, 29 Feb 2024 23:59:59 GMT"),
            Some(1_709_251_199)
        );
        for bad in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 99999999999999999999 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 99:49:37 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
        ] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_skew_below_what_the_header_can_tell_is_none() {
        let date = "Thu, 01 Jan 1970 00:01:40 GMT";
        assert_eq!(skew_ms(date, 100_000, 100_020), Some(0));
        assert_eq!(skew_ms(date, 99_400, 99_400), Some(1_100));
        assert_eq!(skew_ms(date, 160_500, 160_500), Some(-60_000));
        assert_eq!(skew_ms(date, 97_000, 104_000), Some(0));
    }
}
