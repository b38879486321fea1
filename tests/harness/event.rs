use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A change event as it came over the wire.
#[derive(Debug, Clone)]
pub struct Event {
    pub kind: String,
    pub sensor: String,
    pub epoch: String,
    pub revision: i64,
    pub previous: Option<i64>,
    /// The exact text of the member.
    pub state: Option<String>,
    pub changes: Option<Value>,
    /// The batch that it is part of.
    pub batch: Option<Value>,
}

impl Event {
    /// Reads a payload, which has to have the members of the contract in the order of the contract and no other.
    #[track_caller]
    pub fn read(payload: &[u8]) -> Self {
        let text = std::str::from_utf8(payload).expect("a UTF-8 payload");
        let members = members_of(text);
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        let member = |name: &str| {
            members
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, raw)| raw.clone())
        };
        let string = |name: &str| -> String {
            serde_json::from_str(&member(name).unwrap_or_default())
                .unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
        };
        let number = |name: &str| member(name).map(|raw| raw.parse().expect("an integer"));
        let kind = string("event");
        let expected: &[&[&str]] = match kind.as_str() {
            "created" => &[&["event", "sensor", "epoch", "revision", "state"]],
            "modified" => &[
                &["event", "sensor", "epoch", "revision", "previous", "changes"],
                &["event", "sensor", "epoch", "revision", "previous", "state"],
            ],
            "deleted" => &[&["event", "sensor", "epoch", "revision", "previous"]],
            _ => panic!("unknown event: {text}"),
        };
        let alone = names.strip_suffix(&["batch"]).unwrap_or(&names);
        assert!(expected.contains(&alone), "envelope: {text}");
        Self {
            kind,
            sensor: string("sensor"),
            epoch: string("epoch"),
            revision: number("revision").expect("a revision"),
            previous: number("previous"),
            state: member("state"),
            batch: member("batch").map(|raw| serde_json::from_str(&raw).expect("JSON")),
            changes: member("changes").map(|raw| serde_json::from_str(&raw).expect("JSON")),
        }
    }
}

/// What a microservice keeps: every sensor by its id, made of events alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    pub sensors: BTreeMap<String, Value>,
    pub revision: i64,
}

impl Mirror {
    /// Applies the next event, which has to be the next.
    #[track_caller]
    pub fn apply(&mut self, event: &Event) {
        assert_eq!(event.revision, self.revision + 1, "revisions are dense: {event:?}");
        self.revision = event.revision;
        let held = self.sensors.get(&event.sensor);
        let held_revision = held.map(|sensor| sensor["revision"].as_i64().expect("a revision"));
        assert_eq!(event.previous, held_revision, "previous is what was before: {event:?}");
        let next = match (&event.state, &event.changes) {
            (Some(state), _) => Some(serde_json::from_str(state).expect("JSON")),
            (None, Some(changes)) => Some(merge(held.expect("a sensor to change"), changes)),
            (None, None) => None,
        };
        match next {
            Some(sensor) => self.sensors.insert(event.sensor.clone(), sensor),
            None => self.sensors.remove(&event.sensor),
        };
    }

    /// Asserts that the list holds these sensors, each once, and no other.
    #[track_caller]
    pub fn assert_equals(&self, list: &[Value]) {
        let count = list.len();
        let listed: BTreeMap<_, _> = list
            .iter()
            .map(|sensor| (sensor["id"].as_str().expect("an id").to_owned(), sensor.clone()))
            .collect();
        assert_eq!(listed.len(), count, "each sensor once");
        assert_eq!(self.sensors, listed, "the mirror equals the list");
    }
}

/// A JSON merge patch applied by the algorithm of RFC 7396 §2, written down here once more on purpose.
pub fn merge(target: &Value, patch: &Value) -> Value {
    let Value::Object(members) = patch else {
        return patch.clone();
    };
    let mut result = target.as_object().cloned().unwrap_or_default();
    for (name, value) in members {
        if value.is_null() {
            result.remove(name);
        } else {
            let before = result.get(name).cloned().unwrap_or(Value::Null);
            result.insert(name.clone(), merge(&before, value));
        }
    }
    Value::Object(result)
}

/// The members of a JSON object in the order of the text, each with the exact text of its value.
#[track_caller]
pub fn members_of(text: &str) -> Vec<(String, String)> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, String)>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
                members.push((name, raw.get().to_owned()));
            }
            Ok(members)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members);
    members.unwrap_or_else(|error| panic!("{error}: {text}"))
}
