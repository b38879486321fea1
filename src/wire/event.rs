//! The change event: the message on `sensors/{id}`, and what the log over HTTP returns, byte for byte.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::representation::SensorForm;
use crate::domain::{ChangeKind, Epoch, Revision, SensorId};

/// A change of one sensor.
///
/// The order of the members is the order in which they are written. `created` carries `state`; `modified` carries `state`
/// after a PUT of the sensor, and `changes` after a PATCH or a PUT of its value; `deleted` carries neither.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventForm<'a> {
    /// What happened.
    #[schema(schema_with = names)]
    pub event: &'static str,
    /// The id of the sensor.
    #[schema(format = "uuid", example = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")]
    pub sensor: String,
    /// The life of the store that the revision belongs to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    pub epoch: &'a str,
    /// The number of the change: one more than that of the event before.
    #[schema(minimum = 1, example = 43)]
    pub revision: i64,
    /// The revision that the sensor had before. `created` has none, because the sensor is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, nullable = false, example = 42)]
    pub previous: Option<i64>,
    /// The representation at `revision`, byte for byte as a GET returns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = SensorForm, nullable = false)]
    pub state: Option<&'a RawValue>,
    /// A merge patch (RFC 7396) that turns the representation at `previous` into that at `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = HashMap<String, serde_json::Value>, nullable = false, example = json!({"value": 21.7, "revision": 43}))]
    pub changes: Option<&'a Map<String, Json>>,
    /// The batch that the change belongs to, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub batch: Option<BatchForm<'a>>,
}

fn names() -> Object {
    let kinds = [ChangeKind::Created, ChangeKind::Modified, ChangeKind::Deleted];
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(kinds.map(ChangeKind::as_str)))
        .description(Some("What happened."))
        .examples(["modified"])
        .build()
}

/// The place of an event in a batch. Its events have contiguous revisions. An operation that changes nothing has no event and
/// is not counted.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = BatchPlace)]
pub struct BatchForm<'a> {
    /// The same for all events of the batch.
    #[schema(format = "uuid", example = "01936f0e-8a10-7c3e-b1f5-4d2a9e6c0b11")]
    pub id: &'a str,
    /// The number of the event in the batch, the first being 0.
    #[schema(minimum = 0, maximum = 499, example = 0)]
    pub index: usize,
    /// How many events the batch has.
    #[schema(minimum = 1, maximum = 500, example = 2)]
    pub count: usize,
}

/// What an event carries beside its head.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// The representation, as [`super::representation::representation`] wrote it.
    State(&'a str),
    /// The difference of two representations.
    Changes(&'a Map<String, Json>),
    /// Nothing: the sensor is gone.
    Gone,
}

/// The bytes of an event.
///
/// # Errors
/// When the state is not JSON, which nothing here could make it.
pub fn payload(
    kind: ChangeKind,
    sensor: SensorId,
    epoch: &Epoch,
    revision: Revision,
    previous: Option<Revision>,
    body: Body<'_>,
) -> serde_json::Result<String> {
    let (state, changes) = match body {
        Body::State(state) => (Some(serde_json::from_str(state)?), None),
        Body::Changes(changes) => (None, Some(changes)),
        Body::Gone => (None, None),
    };
    serde_json::to_string(&EventForm {
        event: kind.as_str(),
        sensor: sensor.to_string(),
        epoch: epoch.as_str(),
        revision: revision.get(),
        previous: previous.map(Revision::get),
        state,
        changes,
        batch: None,
    })
}

/// The bytes of an event, from those that it would have alone, as part of a batch.
///
/// # Errors
/// Never in practice: a batch is text and numbers.
pub fn in_batch(payload: &str, batch: BatchForm<'_>) -> serde_json::Result<String> {
    let members = payload.strip_suffix('}').unwrap_or(payload);
    let batch = serde_json::to_string(&batch)?;
    Ok(format!(r#"{members},"batch":{batch}}}"#))
}
