//! Zones: UTC, the local one (which is UTC), fixed offsets, and names of the zone database.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Where an instant is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Zone {
    /// Coordinated universal time.
    Utc,
    /// The local zone: UTC everywhere.
    Local,
    /// An offset read from a text, with the abbreviation that stood there, if any.
    Fixed(String, i32),
    /// A zone of the database.
    Named(TimeZone),
}

impl Zone {
    /// Finds a zone as Go does: `""` and `UTC`, `Local`, else an exact name of the database.
    pub fn load(name: &str) -> Option<Self> {
        match name {
            "" | "UTC" => return Some(Self::Utc),
            "Local" => return Some(Self::Local),
            _ => {}
        }
        let zone = TimeZone::get(name).ok()?;
        // The database ignores case; a file system does not.
        (zone.iana_name() == Some(name)).then_some(Self::Named(zone))
    }

    /// Abbreviation and seconds east of UTC at an instant.
    pub fn at(&self, unix_seconds: i64) -> (String, i32) {
        match self {
            Self::Utc | Self::Local => ("UTC".to_owned(), 0),
            Self::Fixed(name, offset) => (name.clone(), *offset),
            Self::Named(zone) => {
                let seconds =
                    unix_seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
                let Ok(at) = Timestamp::from_second(seconds) else {
                    return ("UTC".to_owned(), 0);
                };
                let info = zone.to_offset_info(at);
                (info.abbreviation().to_owned(), info.offset().seconds())
            }
        }
    }

    /// Is summer time in force at an instant?
    pub fn is_summer(&self, unix_seconds: i64) -> bool {
        let Self::Named(zone) = self else {
            return false;
        };
        Timestamp::from_second(unix_seconds).is_ok_and(|at| zone.to_offset_info(at).dst().is_dst())
    }

    /// What `Location().String()` says.
    pub fn name(&self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Local => "Local".to_owned(),
            Self::Fixed(name, _) => name.clone(),
            Self::Named(zone) => zone.iana_name().unwrap_or_default().to_owned(),
        }
    }
}
