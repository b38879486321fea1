use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::complaint::{Complaints, Rule};
use crate::harness::{Event, merge};

/// The log as it was read, and what it adds up to.
#[derive(Clone, Default)]
pub struct History {
    pub epoch: Option<String>,
    /// Of every event from 1 on.
    pub prints: Vec<u64>,
    /// What the events made.
    pub sensors: BTreeMap<String, State>,
}

/// A sensor as it is at one revision.
#[derive(Debug, Clone)]
pub struct State {
    pub revision: i64,
    pub json: Arc<Value>,
    /// The exact text, where an event or an answer has told it.
    pub text: Option<String>,
}

/// An event and what it did.
#[derive(Debug)]
pub struct Fact {
    pub event: Event,
    pub before: Option<State>,
    pub after: Option<State>,
}

/// Tells texts apart; two different ones are equal once in 2^64.
pub fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl History {
    /// The revision of the last event.
    pub fn head(&self) -> i64 {
        i64::try_from(self.prints.len()).expect("few events")
    }

    /// Appends the next event; `None` when it cannot be the next.
    pub fn append(&mut self, text: &str, complaints: &mut Complaints) -> Option<Fact> {
        let event = Event::read(text.as_bytes());
        let next = self.head() + 1;
        let epoch = self.epoch.get_or_insert_with(|| event.epoch.clone());
        complaints.unless(*epoch == event.epoch, Rule::RevisionsAreDense, || {
            format!("another epoch than {epoch}: {text}")
        });
        if event.revision != next {
            complaints.add(Rule::RevisionsAreDense, format!("{next} is missing before {text}"));
            return None;
        }
        self.prints.push(fingerprint(text));
        let before = self.sensors.remove(&event.sensor);
        let held = before.as_ref().map(|state| state.revision);
        complaints.unless(event.previous == held, Rule::RevisionsAreDense, || {
            format!("the sensor was at {held:?}: {text}")
        });
        let json = match (&event.state, &event.changes, &before) {
            (Some(state), ..) => Some(serde_json::from_str(state).expect("JSON")),
            (None, Some(changes), Some(before)) => Some(merge(&before.json, changes)),
            (None, Some(_), None) => {
                complaints.add(Rule::StateIsFold, format!("it changes nothing that is there: {text}"));
                None
            }
            (None, None, _) => None,
        };
        let after = json.map(|json| State {
            revision: next,
            json: Arc::new(json),
            text: event.state.clone(),
        });
        if let Some(after) = &after {
            complaints.unless(after.json["revision"] == next, Rule::StateIsFold, || {
                format!("the revision inside is {}: {text}", after.json["revision"])
            });
            self.sensors.insert(event.sensor.clone(), after.clone());
        }
        Some(Fact { event, before, after })
    }

    /// Remembers the exact text of a state, if it still is the state.
    pub fn learn(&mut self, sensor: &str, state: State) {
        let held = self.sensors.get_mut(sensor);
        if let Some(held) = held.filter(|held| held.revision == state.revision) {
            held.text = state.text;
        }
    }
}

impl State {
    /// Compares with what the service says, given as its exact text; keeps the text, so that the next is compared with it.
    pub fn compare(&mut self, told: &str, by: &str, complaints: &mut Complaints) {
        let revision = self.revision;
        let Ok(json) = serde_json::from_str::<Value>(told) else {
            complaints.add(Rule::StateIsFold, format!("{by} at {revision}: no JSON: {told}"));
            return;
        };
        complaints.unless(json == *self.json, Rule::StateIsFold, || {
            format!("{by} at {revision}\n  tells    {json}\n  expected {}", self.json)
        });
        let text = self.text.get_or_insert_with(|| told.to_owned());
        complaints.unless(text == told, Rule::EventIsState, || {
            format!("{by} at {revision}\n  tells    {told}\n  expected {text}")
        });
    }
}
