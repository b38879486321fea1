//! The CloudEvents attributes of an event: the user properties of its MQTT 5 message.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{ChangeKind, Cursor, SensorId, Timestamp};

/// The CloudEvents 1.0 attributes of an event, in binary mode (MQTT binding §3.1): user properties of the message.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EventAttributes)]
pub struct AttributesForm {
    /// The version of the specification of these attributes.
    #[schema(pattern = "^1\\.0$", example = "1.0")]
    pub specversion: &'static str,
    /// The cursor `{epoch}.{revision}`: the same for a repeated message, and for no other.
    #[schema(pattern = "^[a-z2-7]{8}\\.[1-9][0-9]*$", example = "k3f7q2vt.43")]
    pub id: String,
    /// The URL of the service.
    #[schema(format = "uri", example = "http://localhost:8000")]
    pub source: String,
    /// `sensorcast.sensor.` and what happened.
    #[serde(rename = "type")]
    #[schema(
        pattern = "^sensorcast\\.sensor\\.(created|modified|deleted)$",
        example = "sensorcast.sensor.modified"
    )]
    pub event_type: String,
    /// The id of the sensor.
    #[schema(format = "uuid", example = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")]
    pub subject: String,
    /// When the change was committed: RFC 3339, UTC, milliseconds.
    #[schema(format = "date-time", example = "2026-11-22T11:00:00.123Z")]
    pub time: String,
}

/// What `type` starts with. CloudEvents advises a reverse DNS name; the project owns no domain, so it claims none.
const TYPE_PREFIX: &str = "sensorcast.sensor.";

impl AttributesForm {
    /// The attributes of one event of the service at `source`.
    #[must_use]
    pub fn new(cursor: &Cursor, source: &str, kind: ChangeKind, sensor: SensorId, committed_at: Timestamp) -> Self {
        Self {
            specversion: "1.0",
            id: cursor.to_string(),
            source: source.to_owned(),
            event_type: format!("{TYPE_PREFIX}{}", kind.as_str()),
            subject: sensor.to_string(),
            time: committed_at.to_string(),
        }
    }

    /// Name and value of each, in the order in which they are sent.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("specversion", self.specversion),
            ("id", &self.id),
            ("source", &self.source),
            ("type", &self.event_type),
            ("subject", &self.subject),
            ("time", &self.time),
        ]
    }
}
