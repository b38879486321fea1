use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Number;

use super::{BoundingBox, Circle, Label, Revision, SensorId, SensorName, Status, Timestamp};

/// A page of sensors that is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// Which sensors are listed.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Where the page begins or ends; `None` is the beginning of the list.
    pub start: Option<Start>,
    /// How many sensors it has at most.
    pub limit: u32,
    /// Whether to count all sensors that match the filter.
    pub count: bool,
}

/// What a sensor has to be to be listed: all of this.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Its name.
    pub name: Option<NamePattern>,
    /// Its kind.
    pub kind: Option<Label>,
    /// Its unit.
    pub unit: Option<Label>,
    /// Its status.
    pub status: Option<Status>,
    /// Members of its metadata, each a text, or a number or boolean as it is written in JSON.
    pub metadata: BTreeMap<String, String>,
    /// Its value is a number of at least this.
    pub value_min: Option<f64>,
    /// Its value is a number of at most this.
    pub value_max: Option<f64>,
    /// It was changed last at this instant or later.
    pub updated_since: Option<Timestamp>,
    /// Its location is within these edges, or on one of them.
    pub bbox: Option<BoundingBox>,
    /// Its location is at most the radius away from the middle.
    pub near: Option<Circle>,
}

impl Filter {
    /// The longest key and the longest value of metadata that are looked for, in characters. Members that are longer, lists
    /// and objects are found by other filters alone.
    pub const MAX_METADATA_CHARS: usize = 256;
    /// The most members of metadata that are looked for at once.
    pub const MAX_METADATA_MEMBERS: usize = 8;
}

/// A name, or with an asterisk at the end what names begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// This name.
    Exact(SensorName),
    /// Every name that begins so.
    Prefix(String),
}

impl FromStr for NamePattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix('*') {
            None => text.parse().map(Self::Exact),
            Some(prefix) if SensorName::can_begin(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => Err("must be a name, or the beginning of one and an asterisk, e.g. boiler-*"),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// An order of sensors: two are never equal in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// What is compared.
    pub by: SortKey,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// What sensors are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// The id, which never changes.
    #[default]
    Id,
    /// The name, by its bytes.
    Name,
    /// The instant of creation, then the id.
    CreatedAt,
    /// The instant of the last change, then the revision.
    UpdatedAt,
    /// The value, then the id. Sensors whose value is no number have no place in this order.
    Value,
}

const SORT_KEYS: [(SortKey, &str); 5] = [
    (SortKey::Id, "id"),
    (SortKey::Name, "name"),
    (SortKey::CreatedAt, "created_at"),
    (SortKey::UpdatedAt, "updated_at"),
    (SortKey::Value, "value"),
];

impl SortKey {
    const fn as_str(self) -> &'static str {
        SORT_KEYS[self as usize].1
    }
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let found = SORT_KEYS.iter().find(|(_, known)| *known == name);
        let (by, _) =
            *found.ok_or("one of id, name, created_at, updated_at, value, with a - before it for descending")?;
        Ok(Self { by, descending })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.descending { "-" } else { "" };
        write!(f, "{sign}{}", self.by.as_str())
    }
}

/// The place of a sensor in an order, whether the sensor is still there or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// In [`SortKey::Id`].
    Id(SensorId),
    /// In [`SortKey::Name`].
    Name(SensorName),
    /// In [`SortKey::CreatedAt`].
    CreatedAt(Timestamp, SensorId),
    /// In [`SortKey::UpdatedAt`].
    UpdatedAt(Timestamp, Revision),
    /// In [`SortKey::Value`].
    Value(f64, SensorId),
}

impl Position {
    /// The order in which this is a place.
    #[must_use]
    pub const fn sort_key(&self) -> SortKey {
        match self {
            Self::Id(_) => SortKey::Id,
            Self::Name(_) => SortKey::Name,
            Self::CreatedAt(..) => SortKey::CreatedAt,
            Self::UpdatedAt(..) => SortKey::UpdatedAt,
            Self::Value(..) => SortKey::Value,
        }
    }
}

/// Where a page begins or ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// It has what follows this place.
    After(Position),
    /// It has what leads up to this place.
    Before(Position),
}

impl Start {
    /// The place.
    #[must_use]
    pub const fn position(&self) -> &Position {
        match self {
            Self::After(position) | Self::Before(position) => position,
        }
    }
}

impl FromStr for Start {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (before, place) = text
            .strip_prefix("before~")
            .map_or((false, text), |place| (true, place));
        let position = place.parse()?;
        Ok(if before {
            Self::Before(position)
        } else {
            Self::After(position)
        })
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(position) => position.fmt(f),
            Self::Before(position) => write!(f, "before~{position}"),
        }
    }
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read_position(text).ok_or("take it from the next or prev link of a page")
    }
}

fn read_position(text: &str) -> Option<Position> {
    let mut parts = text.split('~');
    let (key, first, second) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let instant = || Timestamp::from_unix_ms(first.parse().ok()?);
    let id = || second?.parse::<SensorId>().ok();
    let position = match (key, second) {
        ("id", None) => Position::Id(first.parse().ok()?),
        ("name", None) => Position::Name(first.parse().ok()?),
        ("created_at", _) => Position::CreatedAt(instant()?, id()?),
        ("updated_at", Some(revision)) => Position::UpdatedAt(instant()?, Revision::new(revision.parse().ok()?)),
        ("value", _) => Position::Value(finite_number(first)?, id()?),
        _ => return None,
    };
    Some(position)
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~", self.sort_key().as_str())?;
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::CreatedAt(at, id) => write!(f, "{}~{id}", at.unix_ms()),
            Self::UpdatedAt(at, revision) => write!(f, "{}~{revision}", at.unix_ms()),
            Self::Value(value, id) => write!(f, "{}~{id}", number_text(*value)),
        }
    }
}

/// A number as JSON writes it (RFC 8259 §6), when a double can hold it.
#[must_use]
pub fn finite_number(text: &str) -> Option<f64> {
    // Rust would also take a sign in front, `inf` and a dot at either end.
    let is_json = serde_json::from_str::<Number>(text).is_ok() && !text.contains(char::is_whitespace);
    text.parse().ok().filter(|number: &f64| is_json && number.is_finite())
}

/// A finite number in its shortest form, from which [`finite_number`] makes the same number.
#[must_use]
pub fn number_text(number: f64) -> String {
    let number = Number::from_f64(number).unwrap_or_else(|| 0.into());
    super::canonical_number(&number).unwrap_or(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_written_in_the_same_words() {
        for text in ["boiler-temp", "boiler-*", "0*", "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90*"] {
            assert_eq!(text.parse::<NamePattern>().unwrap().to_string(), text);
        }
        for text in ["id", "-id", "name", "-created_at", "updated_at", "-value"] {
            assert_eq!(text.parse::<Order>().unwrap().to_string(), text);
        }
        for text in [
            "id~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
            "before~name~s1",
            "created_at~1795345200000~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
            "updated_at~-1~42",
            "before~value~-0.30000000000000004~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
            "value~1e+300~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
        ] {
            assert_eq!(text.parse::<Start>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_says_nothing_here_is_refused() {
        for text in [
            "",
            "*",
            "a*b",
            "**",
            "a**",
            ".*",
            "a b",
            "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
        ] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
        for text in ["", "-", "--name", "+name", "Name", "kind", "name,id"] {
            assert!(text.parse::<Order>().is_err(), "{text}");
        }
        for text in [
            "",
            "id",
            "id~",
            "id~s1",
            "id~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90~",
            "before~",
            "before~before~name~a",
            "name~a~b",
            "created_at~1",
            "updated_at~1~",
            "value~NaN~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
            "value~+1~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
            "colour~red",
        ] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_reads_back_exactly() {
        for number in [
            0.1 + 0.2,
            f64::MAX,
            f64::MIN_POSITIVE,
            -5e-324,
            21.0,
            9_007_199_254_740_993.0,
        ] {
            assert_eq!(finite_number(&number_text(number)), Some(number));
        }
        for text in ["", " 1", "1 ", "+1", ".5", "5.", "inf", "NaN", "1e999", "0x1", "01"] {
            assert_eq!(finite_number(text), None, "{text}");
        }
    }
}
