use super::{Label, Location, Metadata, Revision, SensorId, SensorName, Timestamp, Value};

/// A sensor as it is at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Its identity, for ever.
    pub id: SensorId,
    /// What clients decide.
    pub properties: Properties,
    /// When the value was measured; unset until there is a value.
    pub measured_at: Option<Timestamp>,
    /// The change that made it what it is.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it became what it is.
    pub updated_at: Timestamp,
}

/// The members of a sensor that clients write, all but `measured_at`, which has a rule of its own ([`MeasuredAt`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Properties {
    /// Unique among all sensors.
    pub name: SensorName,
    /// What is measured, e.g. `temperature`.
    pub kind: Option<Label>,
    /// The unit of `value`: a UCUM or SenML (RFC 8428 §12.1) code, e.g. `Cel`.
    pub unit: Option<Label>,
    /// What was last reported.
    pub value: Option<Value>,
    /// Whether it reports.
    pub status: Status,
    /// Where it is.
    pub location: Option<Location>,
    /// Anything else.
    pub metadata: Option<Metadata>,
}

impl Properties {
    /// Whether all but the value is the same.
    #[must_use]
    pub fn differ_in_value_alone(&self, other: &Self) -> bool {
        let Self {
            name,
            kind,
            unit,
            value: _,
            status,
            location,
            metadata,
        } = self;
        let described = (name, kind, unit, status, location, metadata);
        described
            == (
                &other.name,
                &other.kind,
                &other.unit,
                &other.status,
                &other.location,
                &other.metadata,
            )
    }
}

/// Whether a sensor reports: while it stays inactive its value does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// It reports.
    #[default]
    Active,
    /// It does not.
    Inactive,
}

impl Status {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// What a request says of `measured_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasuredAt {
    /// Nothing: now when the value changes, kept when it does not.
    NotGiven,
    /// A patch that unsets it: removed, unless the value changes.
    Removed,
    /// This instant.
    At(Timestamp),
}
