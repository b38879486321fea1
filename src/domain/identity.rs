use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The identity of a sensor, which never changes: a UUID, in the 36-character hyphenated form of RFC 9562 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorId(Uuid);

impl SensorId {
    /// An id from a UUID of any version.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for SensorId {
    type Err = &'static str;

    /// Takes the hyphenated form alone, in either case; `Uuid` itself would also take braces, `urn:uuid:` and no hyphens.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HYPHENATED_LENGTH: usize = 36;
        Uuid::try_parse(text)
            .ok()
            .filter(|_| text.len() == HYPHENATED_LENGTH)
            .map(Self)
            .ok_or("an id is a UUID of 36 characters, e.g. 01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")
    }
}

impl fmt::Display for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The unique name of a sensor: 1-64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit, never UUID-shaped, so that it
/// can stand in a URL where an id can, and is safe as an MQTT topic level.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorName(String);

impl SensorName {
    /// The longest name, in bytes and characters alike.
    pub const MAX_LENGTH: usize = 64;
    /// The rule as a regular expression (ECMA 262), for the documents; it cannot say "never UUID-shaped".
    pub const PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether some name begins with `prefix`: that is so when it is a name itself, or a UUID, which is no name but becomes one
    /// when more follows.
    #[must_use]
    pub fn can_begin(prefix: &str) -> bool {
        prefix.parse::<SensorRef>().is_ok()
    }
}

impl FromStr for SensorName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > Self::MAX_LENGTH || !text.bytes().all(allowed) {
            return Err("a name is 1 to 64 characters of A-Z a-z 0-9 . _ - and starts with a letter or digit");
        }
        if SensorId::from_str(text).is_ok() {
            return Err("a name must not look like a UUID: /sensors/{name} and /sensors/{id} share their place");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a request addresses a sensor: the last segment of `/sensors/{id or name}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SensorRef {
    /// By its UUID.
    Id(SensorId),
    /// By its unique name.
    Name(SensorName),
}

impl FromStr for SensorRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        SensorId::from_str(text)
            .map(Self::Id)
            .or_else(|_| SensorName::from_str(text).map(Self::Name))
    }
}

impl fmt::Display for SensorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";

    #[test]
    fn a_segment_is_an_id_or_a_name_and_never_both() {
        assert!(matches!(UUID.parse(), Ok(SensorRef::Id(_))));
        assert!(matches!(UUID.to_uppercase().parse(), Ok(SensorRef::Id(_))));
        assert!(matches!("boiler-temp".parse(), Ok(SensorRef::Name(_))));
        assert!(UUID.parse::<SensorName>().is_err());
        let without_hyphens = UUID.replace('-', "");
        assert!(matches!(without_hyphens.parse(), Ok(SensorRef::Name(_))));
    }

    #[test]
    fn what_could_break_a_topic_or_a_path_is_no_name() {
        let too_long = "x".repeat(65);
        for text in [
            "", ".", "..", "-a", "_a", "a/b", "+", "#", "$SYS", "a b", "a\0", "é", &too_long,
        ] {
            assert!(text.parse::<SensorRef>().is_err(), "{text:?}");
        }
        assert!("x".repeat(64).parse::<SensorName>().is_ok());
    }
}
