//! The formats that texts may be asked to have, and what is wrong with those that have not.

mod semver;

use helm_functions::{Pattern, Url, dates};
use helm_template::strconv::{quote, quote_char};

use crate::address::decode;
use crate::ip;

type Check = fn(&str) -> Result<(), String>;

const FORMATS: &[(&str, Check)] = &[
    ("regex", |text| Pattern::new(text).map(drop)),
    ("json-pointer", json_pointer),
    ("relative-json-pointer", relative_json_pointer),
    ("uuid", uuid),
    ("duration", duration),
    ("period", period),
    ("ipv4", ipv4),
    ("ipv6", ipv6),
    ("hostname", hostname),
    ("email", email),
    ("date", date),
    ("time", time),
    ("date-time", date_time),
    ("uri", uri),
    ("iri", uri),
    ("uri-reference", uri_reference),
    ("iri-reference", uri_reference),
    ("uri-template", uri_template),
    ("semver", semver::check),
];

/// One of them. Others than these are remarks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format(usize);

impl Format {
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        FORMATS
            .iter()
            .position(|(known, _)| *known == name)
            .map(Self)
    }

    pub(crate) fn name(self) -> &'static str {
        FORMATS.get(self.0).map_or("", |(name, _)| name)
    }

    /// # Errors
    /// Why the text has not this format.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        FORMATS.get(self.0).map_or(Ok(()), |(_, check)| check(text))
    }
}

fn fail<T>(why: &str) -> Result<T, String> {
    Err(why.to_owned())
}

fn within(what: &str, outcome: Result<(), String>) -> Result<(), String> {
    outcome.map_err(|error| format!("{what}: {error}"))
}

fn invalid_character(c: char) -> String {
    format!("invalid character {}", quote_char(c, false))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn json_pointer(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if !text.starts_with('/') {
        return fail("not starting with /");
    }
    for token in text.split('/').skip(1) {
        let mut chars = token.chars();
        while let Some(c) = chars.next() {
            if c == '~' && !matches!(chars.next(), Some('0' | '1')) {
                return fail("~ must be followed by 0 or 1");
            }
        }
    }
    Ok(())
}

fn relative_json_pointer(text: &str) -> Result<(), String> {
    let count = digits(text);
    if count == 0 {
        return fail("must start with non-negative integer");
    }
    if count > 1 && text.starts_with('0') {
        return fail("starts with zero");
    }
    match text.get(count..).unwrap_or_default() {
        "#" => Ok(()),
        rest => json_pointer(rest),
    }
}

fn uuid(text: &str) -> Result<(), String> {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    if groups.len() != LENGTHS.len() {
        return fail("must have 5 elements");
    }
    for (at, (group, length)) in groups.into_iter().zip(LENGTHS).enumerate() {
        if group.len() != length {
            return Err(format!(
                "element {} must be {length} characters long",
                at + 1
            ));
        }
        if let Some(c) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!("non-hex character {}", quote_char(c, false)));
        }
    }
    Ok(())
}

fn duration(text: &str) -> Result<(), String> {
    let Some(text) = text.strip_prefix('P') else {
        return fail("must start with P");
    };
    if text.is_empty() {
        return fail("nothing after P");
    }
    if let Some(weeks) = text.strip_suffix('W') {
        return match weeks {
            "" => fail("no number in week"),
            _ if digits(weeks) < weeks.len() => fail("invalid week"),
            _ => Ok(()),
        };
    }
    for (at, part) in text.split('T').enumerate() {
        if at > 0 && part.is_empty() {
            return fail("no time elements");
        }
        let Some(all) = ["YMD", "HMS"].get(at) else {
            return fail("more than one T");
        };
        elements(part, all)?;
    }
    Ok(())
}

/// Numbers with their units, which come in this order.
fn elements(mut text: &str, all: &str) -> Result<(), String> {
    let mut units = all;
    while !text.is_empty() {
        let count = digits(text);
        if count == 0 {
            return fail("missing number");
        }
        let Some(unit) = text.as_bytes().get(count).copied().map(char::from) else {
            return fail("missing unit");
        };
        let Some((_, rest)) = units.split_once(unit) else {
            let which = if all.contains(unit) {
                " out of order"
            } else {
                ""
            };
            let invalid = if which.is_empty() { "invalid " } else { "" };
            return Err(format!("{invalid}unit {}{which}", quote_char(unit, false)));
        };
        units = rest;
        text = text.get(count + 1..).unwrap_or_default();
    }
    Ok(())
}

/// `strconv.Atoi`.
fn number(text: &str) -> Result<i64, String> {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    let why = if plain.is_empty() || digits(plain) < plain.len() {
        "invalid syntax"
    } else {
        match text.parse() {
            Ok(number) => return Ok(number),
            Err(_) => "value out of range",
        }
    };
    Err(format!(
        "strconv.Atoi: parsing {}: {why}",
        quote(text.as_bytes())
    ))
}

fn ipv4(text: &str) -> Result<(), String> {
    let groups: Vec<&str> = text.split('.').collect();
    if groups.len() != 4 {
        return fail("expected four decimals");
    }
    for group in groups {
        if group.len() > 1 && group.starts_with('0') {
            return fail("leading zeros");
        }
        if !(0..=255).contains(&number(group)?) {
            return fail("decimal must be between 0 and 255");
        }
    }
    Ok(())
}

fn ipv6(text: &str) -> Result<(), String> {
    if !text.contains(':') {
        return fail("missing colon");
    }
    if ip::parse(text)? {
        return fail("zone id is not a part of ipv6 address");
    }
    Ok(())
}

fn hostname(text: &str) -> Result<(), String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 {
        return fail("more than 253 characters long");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return fail("label must be 1 to 63 characters long");
        }
        if label.starts_with('-') {
            return fail("label starts with hyphen");
        }
        if label.ends_with('-') {
            return fail("label ends with hyphen");
        }
        let is_wrong = |c: &char| !c.is_ascii_alphanumeric() && *c != '-';
        if let Some(c) = label.chars().find(is_wrong) {
            return Err(invalid_character(c));
        }
    }
    Ok(())
}

fn email(text: &str) -> Result<(), String> {
    if text.len() > 254 {
        return fail("more than 255 characters long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return fail("missing @");
    };
    if local.len() > 64 {
        return fail("local part more than 64 characters long");
    }
    local_part(local)?;
    let inner = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        None => within("invalid domain", hostname(domain)),
        Some(address) => match address.strip_prefix("IPv6:") {
            Some(address) => within("invalid ipv6 address", ipv6(address)),
            None => within("invalid ipv4 address", ipv4(address)),
        },
    }
}

fn local_part(text: &str) -> Result<(), String> {
    let inner = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    if let Some(inner) = inner {
        return if inner.contains(['\\', '"']) {
            fail("backslash and quote are not allowed within quoted local part")
        } else {
            Ok(())
        };
    }
    if text.starts_with('.') {
        return fail("starts with dot");
    }
    if text.ends_with('.') {
        return fail("ends with dot");
    }
    if text.contains("..") {
        return fail("consecutive dots");
    }
    let is_wrong = |c: &char| !c.is_ascii_alphanumeric() && !".!#$%&'*+-/=?^_`{|}~".contains(*c);
    text.chars()
        .find(is_wrong)
        .map_or(Ok(()), |c| Err(invalid_character(c)))
}

fn date(text: &str) -> Result<(), String> {
    dates::parse(b"2006-01-02", text.as_bytes())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Two numbers around a colon.
fn pair(text: &str, of: &str) -> Result<(i64, i64), String> {
    let (one, other) = text.split_once(':').unwrap_or((text, ""));
    let read = |text: &str| {
        let number = number(text).map_err(|_| format!("invalid hour/min{of}"))?;
        if number < 0 {
            return Err(format!("non-positive hour/min{of}"));
        }
        Ok(number)
    };
    Ok((read(one)?, read(other)?))
}

/// Up to the seconds, which may be a leap second's.
fn time(text: &str) -> Result<(), String> {
    if text.len() < 9 {
        return fail("less than 9 characters long");
    }
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return fail("missing colon in correct place");
    }
    let Some((clock, rest)) = text.split_at_checked(8) else {
        return fail("invalid hour/min/sec");
    };
    let mut parts = [0; 3];
    for (part, text) in parts.iter_mut().zip(clock.splitn(3, ':')) {
        *part = number(text).map_err(|_| "invalid hour/min/sec".to_owned())?;
        if *part < 0 {
            return fail("non-positive hour/min/sec");
        }
    }
    let [hour, minute, second] = parts;
    if hour > 23 || minute > 59 || second > 60 {
        return fail("hour/min/sec out of range");
    }
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => match digits(fraction) {
            0 => return fail("no digits in second fraction"),
            count => fraction.get(count..).unwrap_or_default(),
        },
    };
    let minutes = hour * 60 + minute + offset(zone)?;
    let minutes = if minutes < 0 {
        minutes + 24 * 60
    } else {
        minutes
    };
    if second >= 60 && minutes != 23 * 60 + 59 {
        return fail("invalid leap second");
    }
    Ok(())
}

/// Minutes from the local time to UTC.
fn offset(zone: &str) -> Result<i64, String> {
    if zone == "z" || zone == "Z" {
        return Ok(0);
    }
    if zone.len() != 6 {
        return fail("offset must be 6 characters long");
    }
    let sign = match zone.as_bytes().first() {
        Some(b'+') => -1,
        Some(b'-') => 1,
        _ => return fail("offset must begin with plus/minus"),
    };
    let zone = zone.get(1..).unwrap_or_default();
    if zone.as_bytes().get(2) != Some(&b':') {
        return fail("missing colon in offset in correct place");
    }
    let (hours, minutes) = pair(zone, " in offset")?;
    if hours > 23 || minutes > 59 {
        return fail("hour/min in offset out of range");
    }
    Ok(sign * (hours * 60 + minutes))
}

fn date_time(text: &str) -> Result<(), String> {
    if text.len() < 20 {
        return fail("less than 20 characters long");
    }
    if !matches!(text.as_bytes().get(10), Some(b't' | b'T')) {
        return fail("11th character must be t or T");
    }
    within(
        "invalid date element",
        date(text.get(..10).unwrap_or_default()),
    )?;
    within(
        "invalid time element",
        time(text.get(11..).unwrap_or_default()),
    )
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.as_bytes())?;
    let name = String::from_utf8_lossy(url.hostname()).into_owned();
    if name.contains(':') {
        if !url.host().contains(&b'[') || !url.host().contains(&b']') {
            return fail("ipv6 address not enclosed in brackets");
        }
        within("invalid ipv6 address", ipv6(&name))?;
    }
    Ok(url)
}

fn uri(text: &str) -> Result<(), String> {
    if url(text)?.scheme().is_empty() {
        return fail("relative url");
    }
    Ok(())
}

fn uri_reference(text: &str) -> Result<(), String> {
    if text.contains('\\') {
        return fail("contains \\");
    }
    url(text).map(drop)
}

fn uri_template(text: &str) -> Result<(), String> {
    let url = url(text)?;
    for token in String::from_utf8_lossy(url.raw_path()).split('/') {
        let token = decode(token).map_err(|error| format!("percent decode failed: {error}"))?;
        let mut is_open = false;
        for brace in token.chars().filter(|c| matches!(c, '{' | '}')) {
            if is_open == (brace == '{') {
                return fail("nested curly braces");
            }
            is_open = !is_open;
        }
        if is_open {
            return fail("no matching closing brace");
        }
    }
    Ok(())
}

fn period(text: &str) -> Result<(), String> {
    let Some((start, end)) = text.split_once('/') else {
        return fail("missing slash");
    };
    if start.starts_with('P') {
        within("invalid start duration", duration(start))?;
        return within("invalid end date-time", date_time(end));
    }
    within("invalid start date-time", date_time(start))?;
    if end.starts_with('P') {
        within("invalid end duration", duration(end))
    } else {
        within("invalid end date-time", date_time(end))
    }
}
