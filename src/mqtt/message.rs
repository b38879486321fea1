use paho_mqtt::{Error, Message, MessageBuilder, Properties, PropertyCode};

use super::topics::Topics;
use crate::domain::{Cursor, Epoch};
use crate::events::{SensorState, StoredEvent};
use crate::failpoint::is_planted;
use crate::wire::attributes::AttributesForm;
use crate::wire::presence::Presence;

/// Makes MQTT messages of what the relay publishes, with no higher quality of service than `max_qos`, which the broker told.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) topics: Topics,
    pub(super) epoch: Epoch,
    /// The URL of the service: the `source` of every event.
    pub(super) source: String,
    /// Of events and states: 0, 1 or 2.
    pub(super) qos: i32,
}

const CONTENT_TYPE: &str = "application/json";
/// MQTT 5 §3.3.2.3.2: the payload is UTF-8.
const UTF_8: u8 = 1;

impl Messages {
    /// An event, with the CloudEvents 1.0 attributes as user properties (MQTT binding §3.1, binary mode).
    pub(super) fn event(&self, event: &StoredEvent, max_qos: i32) -> Result<Message, Error> {
        let cursor = Cursor {
            epoch: self.epoch.clone(),
            revision: event.revision,
        };
        let mut properties = json_properties()?;
        let attributes = AttributesForm::new(&cursor, &self.source, event.kind, event.sensor, event.committed_at);
        for (name, value) in attributes.pairs() {
            properties.push_string_pair(PropertyCode::UserProperty, name, value)?;
        }
        let mut payload = event.payload.to_vec();
        if is_planted("bug.payload-made-anew") {
            payload.insert(1, b' ');
        }
        Ok(MessageBuilder::new()
            .topic(self.topics.sensor(event.sensor))
            .payload(payload)
            .qos(self.qos.min(max_qos))
            .properties(properties)
            .finalize())
    }

    /// The presence, retained.
    pub(super) fn presence(&self, presence: &Presence, max_qos: i32) -> Result<Message, Error> {
        Ok(MessageBuilder::new()
            .topic(self.topics.collection())
            .payload(presence.to_json().as_ref())
            .qos(i32::from(Presence::QOS).min(max_qos))
            .retained(true)
            .properties(json_properties()?)
            .finalize())
    }

    /// The state of a sensor, retained; without one an empty message, which makes the broker forget (MQTT 5 §3.3.1.3).
    pub(super) fn state(&self, state: &SensorState, max_qos: i32) -> Result<Message, Error> {
        let message = MessageBuilder::new()
            .topic(self.topics.state(state.sensor))
            .qos(self.qos.min(max_qos))
            .retained(true);
        Ok(match &state.representation {
            Some(json) => message.payload(json.as_ref()).properties(json_properties()?).finalize(),
            None => message.finalize(),
        })
    }

    /// The mark, retained: the text of the cursor.
    pub(super) fn mark(&self, cursor: &Cursor, max_qos: i32) -> Message {
        MessageBuilder::new()
            .topic(self.topics.mark())
            .payload(cursor.to_string())
            .qos(i32::from(Presence::QOS).min(max_qos))
            .retained(true)
            .finalize()
    }
}

fn json_properties() -> Result<Properties, Error> {
    let mut properties = Properties::new();
    properties.push_byte(PropertyCode::PayloadFormatIndicator, UTF_8)?;
    properties.push_string(PropertyCode::ContentType, CONTENT_TYPE)?;
    Ok(properties)
}
