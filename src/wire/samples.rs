//! Sensors for tests of their forms.

use super::{input, json};
use crate::domain::{Revision, Sensor, Timestamp};

const SECOND_MS: i64 = 1_795_348_800_000;

/// A sensor in all that it can be, one revision each.
pub fn sensors() -> Vec<Sensor> {
    let bodies = [
        r#"{"name": "a"}"#,
        r#"{"name": "b", "kind": "temperature", "unit": "Cel", "value": 21.5}"#,
        r#"{"name": "b", "kind": "humidity", "value": true, "status": "inactive"}"#,
        r#"{"name": "c", "value": "on \"top\"", "location": {"type": "Point", "coordinates": [1, 2.5]}}"#,
        r#"{"name": "c", "location": {"type": "Point", "coordinates": [1, 2.5, 3]}, "metadata": {"a": {"b": 1, "c": 2}}}"#,
        r#"{"name": "c", "metadata": {"a": {"b": 1, "d": [1]}, "e": "\u00e9"}}"#,
    ];
    let sensors = bodies.iter().zip(1..).map(|(body, revision)| {
        let draft = input::creation(json::parse(body.as_bytes()).unwrap()).unwrap();
        let now = Timestamp::from_unix_ms(SECOND_MS + revision).unwrap();
        Sensor {
            id: "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90".parse().unwrap(),
            measured_at: draft.properties.value.is_some().then_some(now),
            properties: draft.properties,
            revision: Revision::new(revision),
            created_at: Timestamp::from_unix_ms(SECOND_MS).unwrap(),
            updated_at: now,
        }
    });
    sensors.collect()
}
