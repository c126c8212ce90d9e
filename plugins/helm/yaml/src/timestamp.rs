//! Recognises the dates that go-yaml takes for timestamps. Nothing is computed with them: they
//! stay text, but text that looks like one is quoted when written.

/// Whether the text is a date, or a date with a time, in one of the four layouts of go-yaml.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits != 4 || bytes.get(4) != Some(&b'-') {
        return false;
    }
    let year = text
        .get(..4)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut rest = Rest(bytes.get(5..).unwrap_or(&[]));
    rest.date(year).is_some() && (rest.0.is_empty() || rest.time().is_some())
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn date(&mut self, year: u32) -> Option<()> {
        let month = self.number(1, 12)?;
        self.literal(b'-')?;
        let day = self.number(1, 31)?;
        let is_leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (day <= days).then_some(())
    }

    /// `T` or `t` and a time with a zone, or blanks and a time without.
    fn time(&mut self) -> Option<()> {
        let zoned = match self.0.first()? {
            b'T' | b't' => {
                self.0 = self.0.get(1..)?;
                true
            }
            b' ' => {
                while let Some((b' ', rest)) = self.0.split_first() {
                    self.0 = rest;
                }
                false
            }
            _ => return None,
        };
        self.number(0, 23)?;
        self.literal(b':')?;
        self.number(0, 59)?;
        self.literal(b':')?;
        self.number(0, 59)?;
        self.fraction();
        if zoned {
            self.zone()?;
        }
        self.0.is_empty().then_some(())
    }

    fn fraction(&mut self) {
        if let [b'.' | b',', digit, ..] = self.0
            && digit.is_ascii_digit()
        {
            let digits = self.0.iter().skip(1);
            let length = 1 + digits.take_while(|b| b.is_ascii_digit()).count();
            self.0 = self.0.get(length..).unwrap_or(&[]);
        }
    }

    fn zone(&mut self) -> Option<()> {
        if self.0 == b"Z" {
            self.0 = &[];
            return Some(());
        }
        let [b'+' | b'-', h1, h2, b':', m1, m2] = self.0 else {
            return None;
        };
        let two = |high: &u8, low: &u8| {
            let digits = [
                char::from(*high).to_digit(10)?,
                char::from(*low).to_digit(10)?,
            ];
            Some(digits[0] * 10 + digits[1])
        };
        let fits = two(h1, h2)? <= 24 && two(m1, m2)? <= 60;
        self.0 = &[];
        fits.then_some(())
    }

    /// One digit or two.
    fn number(&mut self, least: u32, most: u32) -> Option<u32> {
        let length = self.0.iter().take(2).take_while(|b| b.is_ascii_digit());
        let length = length.count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.0 = rest;
        (least..=most).contains(&value).then_some(value)
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == byte).then_some(())
    }
}
