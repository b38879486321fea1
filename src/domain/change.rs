use super::{Fault, MeasuredAt, Properties, Revision, Sensor, SensorId, Status, Timestamp, Unmet};

/// What one write does to one sensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Nothing: the values are what they were. No revision, no event.
    None,
    /// The sensor is new.
    Create(Sensor),
    /// The sensor becomes this, and the event has this form.
    Modify(Sensor, EventForm),
    /// The sensor is deleted.
    Delete,
}

/// What happened to the sensor: the member `event` of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new sensor.
    Created,
    /// A sensor that was there before and is there now.
    Modified,
    /// A sensor that is gone.
    Deleted,
}

impl ChangeKind {
    /// The word in the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

/// How a modification is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventForm {
    /// With the whole new representation, as after a PUT.
    State,
    /// With a merge patch (RFC 7396) from the old representation to the new one, as after a PATCH.
    Changes,
}

/// Why a write is not done, in terms of the sensor. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such sensor.
    NotFound,
    /// The sensor is not in the state that the request demands.
    PreconditionFailed(Unmet),
    /// The list is not in the state that the request demands: its newest revision is this.
    ListPreconditionFailed(Unmet, Revision),
    /// The request has no `If-Match`, and needs one.
    PreconditionRequired,
    /// A JSON Patch does not fit the sensor: why, in words for the person who sent it.
    Conflict(String),
    /// The sensor is inactive, stays so, and the request would change its value.
    Inactive,
    /// The sensor would break these rules.
    Invalid(Vec<Fault>),
    /// The request cannot be used, whatever the sensor is: whoever made it knows why.
    Unusable,
}

/// The place of a change in order and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The revision that the change gets, if there is one.
    pub revision: Revision,
    /// The clock, read once for every change of one commit.
    pub now: Timestamp,
}

impl Moment {
    /// The newest revision there is.
    #[must_use]
    pub fn head(self) -> Revision {
        Revision::new(self.revision.get() - 1)
    }
}

/// A new sensor.
#[must_use]
pub fn create(id: SensorId, properties: Properties, measured_at: MeasuredAt, at: Moment) -> Change {
    let value_is_new = properties.value.is_some();
    Change::Create(Sensor {
        id,
        measured_at: resolve(measured_at, value_is_new, None, at.now),
        properties,
        revision: at.revision,
        created_at: at.now,
        updated_at: at.now,
    })
}

/// `current` with other properties; [`Change::None`] when they are the same.
///
/// # Errors
/// [`Refusal::Inactive`] when the value of a sensor that stays inactive would change.
pub fn revise(
    current: &Sensor,
    properties: Properties,
    measured_at: MeasuredAt,
    form: EventForm,
    at: Moment,
) -> Result<Change, Refusal> {
    let value_changes = properties.value != current.properties.value;
    let stays_inactive = current.properties.status == Status::Inactive && properties.status == Status::Inactive;
    if value_changes && stays_inactive {
        return Err(Refusal::Inactive);
    }
    let measured_at = resolve(measured_at, value_changes, current.measured_at, at.now);
    if properties == current.properties && measured_at == current.measured_at {
        return Ok(Change::None);
    }
    let next = Sensor {
        id: current.id,
        properties,
        measured_at,
        revision: at.revision,
        created_at: current.created_at,
        updated_at: at.now,
    };
    Ok(Change::Modify(next, form))
}

/// The end of `current`, which has to be there.
///
/// # Errors
/// [`Refusal::NotFound`] when it is not.
pub fn delete(current: Option<&Sensor>) -> Result<Change, Refusal> {
    current.map(|_| Change::Delete).ok_or(Refusal::NotFound)
}

fn resolve(
    measured_at: MeasuredAt,
    value_changes: bool,
    before: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    match measured_at {
        MeasuredAt::At(instant) => Some(instant),
        MeasuredAt::NotGiven | MeasuredAt::Removed if value_changes => Some(now),
        MeasuredAt::NotGiven => before,
        MeasuredAt::Removed => None,
    }
}
