use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};

/// An instant in UTC with millisecond precision; written as RFC 3339 with three decimals and `Z`.
///
/// Instants are for people: order never comes from them, only from revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// An instant from milliseconds since 1970-01-01T00:00:00Z; `None` outside the years that RFC 3339 can write.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Option<Self> {
        let instant = DateTime::from_timestamp_millis(unix_ms)?;
        (0..=9999)
            .contains(&chrono::Datelike::year(&instant))
            .then_some(Self(instant))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0.timestamp_millis()
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    /// Takes RFC 3339 with any offset and any number of decimals; what is finer than a millisecond is cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|instant| Self::from_unix_ms(instant.timestamp_millis()))
            .ok_or("must be an RFC 3339 instant, e.g. 2026-11-22T11:00:00.000Z")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_utc_with_milliseconds() {
        let instant: Timestamp = "2026-11-22T12:00:00.1239+01:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-11-22T11:00:00.123Z");
    }

    #[test]
    fn years_have_four_digits() {
        for text in ["0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"] {
            let instant: Timestamp = text.parse().unwrap();
            assert_eq!(instant.to_string(), text);
            let beyond = instant.unix_ms() + instant.unix_ms().signum();
            assert_eq!(Timestamp::from_unix_ms(beyond), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_rfc_3339_instant_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T11:00:00",
            "1795345200",
            "2026-02-30T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
