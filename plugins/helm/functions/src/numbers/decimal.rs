//! Decimals of any length, as shopspring's library computes: division to sixteen places.

use helm_template::Error;
use num_bigint::{BigInt, Sign};

/// Places of a quotient.
const DIVISION_PLACES: i64 = 16;

/// Beyond this the digits of an aligned sum would fill the memory.
const MAX_EXPONENT_GAP: i64 = 100_000;

/// `value * 10^exponent`.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    value: BigInt,
    exponent: i64,
}

fn ten_to(power: i64) -> Result<BigInt, Error> {
    if power > MAX_EXPONENT_GAP {
        return Err(Error::new("decimal has too many digits"));
    }
    Ok(BigInt::from(10).pow(u32::try_from(power).unwrap_or(0)))
}

impl Decimal {
    /// The shortest decimal that reads back as this float.
    ///
    /// # Errors
    /// For NaN and infinities.
    pub(super) fn from_float(float: f64) -> Result<Self, Error> {
        if !float.is_finite() {
            let name = if float.is_nan() {
                "NaN"
            } else if float > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            return Err(Error::new(format!("Cannot create a Decimal from {name}")));
        }
        let text = helm_template::strconv::format_float(float, 'e', None);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = mantissa
            .split_once('.')
            .map_or(0, |(_, digits)| digits.len());
        let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
        let exponent: i64 = exponent.parse().unwrap_or(0);
        Ok(Self {
            value: digits.parse().unwrap_or_default(),
            exponent: exponent - i64::try_from(fraction).unwrap_or(0),
        })
    }

    /// The nearest float.
    pub(super) fn to_float(&self) -> f64 {
        format!("{}e{}", self.value, self.exponent)
            .parse()
            .unwrap_or(0.0)
    }

    /// Both values at the smaller exponent.
    fn aligned(&self, other: &Self) -> Result<(BigInt, BigInt, i64), Error> {
        let exponent = self.exponent.min(other.exponent);
        let at = |one: &Self| Ok::<_, Error>(&one.value * ten_to(one.exponent - exponent)?);
        Ok((at(self)?, at(other)?, exponent))
    }

    pub(super) fn add(&self, other: &Self) -> Result<Self, Error> {
        let (a, b, exponent) = self.aligned(other)?;
        Ok(Self {
            value: a + b,
            exponent,
        })
    }

    pub(super) fn sub(&self, other: &Self) -> Result<Self, Error> {
        let (a, b, exponent) = self.aligned(other)?;
        Ok(Self {
            value: a - b,
            exponent,
        })
    }

    pub(super) fn mul(&self, other: &Self) -> Result<Self, Error> {
        let value = &self.value * &other.value;
        Ok(Self {
            value,
            exponent: self.exponent.saturating_add(other.exponent),
        })
    }

    /// Rounds halves away from zero.
    pub(super) fn div(&self, other: &Self) -> Result<Self, Error> {
        if other.value.sign() == Sign::NoSign {
            return Err(Error::new("decimal division by 0"));
        }
        let shift = self.exponent - other.exponent + DIVISION_PLACES;
        let (a, b) = if shift < 0 {
            (self.value.clone(), &other.value * ten_to(-shift)?)
        } else {
            (&self.value * ten_to(shift)?, other.value.clone())
        };
        let quotient = &a / &b;
        let rest = &a % &b;
        let away = rest.magnitude() * 2u8 >= *b.magnitude();
        let negative = (a.sign() == Sign::Minus) != (b.sign() == Sign::Minus);
        let value = match (away, negative) {
            (false, _) => quotient,
            (true, true) => quotient - 1,
            (true, false) => quotient + 1,
        };
        Ok(Self {
            value,
            exponent: -DIVISION_PLACES,
        })
    }
}
