//! Numbers by their exact value, however they are written.

use std::cmp::Ordering;

use num_bigint::BigUint;

/// Beyond it, Go's fractions take no number.
const MAX_EXPONENT: i64 = 1_000_000;

/// `0.DIGITS * 10^point`; the digits neither begin nor end with 0, and zero has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// Reads a number of JSON; none where Go's fractions take it for too large.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let shift = i64::try_from(fraction.len()).ok()?;
        if exponent.saturating_sub(shift).abs() > MAX_EXPONENT {
            return None;
        }
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let begun = digits.trim_start_matches('0');
        let leading = i64::try_from(digits.len() - begun.len()).ok()?;
        let digits = begun.trim_end_matches('0').as_bytes().to_vec();
        let point = i64::try_from(whole.len()).ok()? + exponent - leading;
        Some(Self {
            is_negative: is_negative && !digits.is_empty(),
            point: if digits.is_empty() { 0 } else { point },
            digits,
        })
    }

    fn places(&self) -> i64 {
        i64::try_from(self.digits.len()).unwrap_or(i64::MAX)
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.places() <= self.point
    }

    fn size(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => (self.point, &self.digits).cmp(&(other.point, &other.digits)),
        }
    }

    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.size(other),
            (true, true) => other.size(self),
        }
    }

    /// Whether it is a whole multiple of another, which is not zero.
    pub(crate) fn is_multiple_of(&self, other: &Self) -> bool {
        let whole = |number: &Self| BigUint::parse_bytes(&number.digits, 10).unwrap_or_default();
        if self.digits.is_empty() {
            return true;
        }
        let (own, others) = (whole(self), whole(other));
        if others == BigUint::ZERO {
            return false;
        }
        let shift = (self.point - self.places()) - (other.point - other.places());
        if shift < 0 {
            // Its digits end with no 0, so ten divides it nowhere.
            return false;
        }
        let tens = BigUint::from(10_u8).modpow(&BigUint::from(shift.unsigned_abs()), &others);
        (own * tens) % others == BigUint::ZERO
    }

    /// As an integer, at the nearest bound where it is beyond.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        if !self.is_integer() {
            return None;
        }
        let zeros = usize::try_from(self.point - self.places()).unwrap_or(0);
        let bound = if self.is_negative { i64::MIN } else { i64::MAX };
        if self.point > 20 {
            return Some(bound);
        }
        let digits = std::str::from_utf8(&self.digits).unwrap_or_default();
        let sign = if self.is_negative { "-" } else { "" };
        Some(
            format!("{sign}0{digits}{}", "0".repeat(zeros))
                .parse()
                .unwrap_or(bound),
        )
    }

    pub(crate) fn to_f64(&self) -> f64 {
        let digits = std::str::from_utf8(&self.digits).unwrap_or_default();
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}0.{digits}0e{}", self.point)
            .parse()
            .unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;
    use std::cmp::Ordering;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_their_value() {
        assert_eq!(decimal("1.50e2"), decimal("150"));
        assert_eq!(decimal("-0.0"), decimal("0"));
        assert_eq!(decimal("-0.5").cmp(&decimal("0.1")), Ordering::Less);
        assert_eq!(decimal("10").cmp(&decimal("9.99")), Ordering::Greater);
        assert_eq!(decimal("0").cmp(&decimal("0.001")), Ordering::Less);
        assert!(decimal("1e3").is_integer() && !decimal("1e-3").is_integer());
        assert_eq!(decimal("-1.2e3").to_i64(), Some(-1200));
        assert!((decimal("123.25").to_f64() - 123.25).abs() < f64::EPSILON);
        assert!(Decimal::parse("1e1000001").is_none());
    }

    #[test]
    fn multiples_are_exact() {
        for (number, of, is) in [
            ("0.3", "0.1", true),
            ("0.35", "0.1", false),
            ("100", "7", false),
            ("4.5", "1.5", true),
            ("1e300", "3", false),
            ("25", "100", false),
            ("0", "5", true),
            ("12", "0.5", true),
        ] {
            assert_eq!(
                decimal(number).is_multiple_of(&decimal(of)),
                is,
                "{number} {of}"
            );
        }
    }
}
