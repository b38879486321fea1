use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::documents::{self, Event, SensorPage};
use super::state::{Gaps, State, Step};
use crate::domain::{Revision, SensorId};
use crate::wire::merge_patch::diff;

const EPOCH: &str = "k3f7q2vt";
const SENSORS: u8 = 6;
const PAGE_SIZE: usize = 2;

/// What a writer does to one of the sensors.
#[derive(Debug, Clone, Copy)]
enum Write {
    Put(u8),
    Patch(u8, u8),
    Delete(u8),
}

/// A store as the mirror sees it from outside, with all that it ever was.
#[derive(Default)]
struct Store {
    log: Vec<Json>,
    /// The sensors at each revision, from 0 on.
    history: Vec<BTreeMap<SensorId, Json>>,
}

impl Store {
    fn new() -> Self {
        Self {
            log: Vec::new(),
            history: vec![BTreeMap::new()],
        }
    }

    fn revision(&self) -> usize {
        self.log.len()
    }

    fn now(&self) -> &BTreeMap<SensorId, Json> {
        &self.history[self.revision()]
    }

    fn write(&mut self, write: Write) {
        let (Write::Put(number) | Write::Patch(number, _) | Write::Delete(number)) = write;
        let id: SensorId = format!("01936f0e-7c1b-7d61-9d0e-00000000000{number}").parse().unwrap();
        let mut sensors = self.now().clone();
        let held = sensors.get(&id).cloned();
        let revision = self.revision() + 1;
        let mut event = json!({"sensor": id.to_string(), "epoch": EPOCH, "revision": revision});
        event["event"] = json!(if held.is_some() { "modified" } else { "created" });
        if let Some(held) = &held {
            event["previous"] = held["revision"].clone();
        }
        match (write, held) {
            (Write::Put(_), _) => {
                let state = json!({"id": id.to_string(), "revision": revision});
                event["state"] = state.clone();
                sensors.insert(id, state);
            }
            (Write::Patch(_, member), Some(held)) => {
                let mut next = held.clone();
                next["revision"] = json!(revision);
                next[format!("m{member}")] = json!(revision);
                let changes = diff(held.as_object().unwrap(), next.as_object().unwrap());
                event["changes"] = Json::Object(changes);
                sensors.insert(id, next);
            }
            (Write::Delete(_), Some(_)) => {
                event["event"] = json!("deleted");
                sensors.remove(&id);
            }
            (Write::Patch(..) | Write::Delete(_), None) => return,
        }
        self.log.push(event);
        self.history.push(sensors);
    }

    fn page(&self, after: Option<SensorId>) -> SensorPage {
        let later = self
            .now()
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| **id > after));
        let items: Vec<_> = later.take(PAGE_SIZE).map(|(_, sensor)| sensor).collect();
        let page = json!({"epoch": EPOCH, "revision": self.revision(), "items": items, "links": []});
        documents::read(page.to_string().as_bytes()).unwrap()
    }

    /// The event of a revision, from 1 on.
    fn event(&self, revision: usize) -> Event {
        documents::read(self.log[revision - 1].to_string().as_bytes()).unwrap()
    }

    /// Reads all pages, with some writes after each.
    fn read_list(&mut self, writes: &mut impl Iterator<Item = Vec<Write>>) -> State {
        let mut page = self.page(None);
        let mut last = last_id(&page);
        let mut state = State::new(page, Gaps::Detected);
        while let Some(after) = last {
            for write in writes.next().unwrap_or_default() {
                self.write(write);
            }
            page = self.page(Some(after));
            last = last_id(&page);
            state.add(page).unwrap();
        }
        state
    }
}

fn last_id(page: &SensorPage) -> Option<SensorId> {
    Some(page.items.last()?["id"].as_str()?.parse().unwrap())
}

fn held(state: &State) -> BTreeMap<SensorId, Json> {
    let sensors = state.sensors().iter();
    sensors.map(|(id, sensor)| (*id, Json::clone(sensor))).collect()
}

fn revision_of(state: &State) -> usize {
    state.revision().get().try_into().unwrap()
}

fn some_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        (0..SENSORS).prop_map(Write::Put),
        (0..SENSORS, 0..3_u8).prop_map(|(sensor, member)| Write::Patch(sensor, member)),
        (0..SENSORS).prop_map(Write::Delete),
    ]
}

fn some_writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec(some_write(), 0..12)
}

proptest! {
    #[test]
    fn pages_read_while_sensors_change_and_the_events_after_the_first_give_the_store_at_every_revision(
        before in some_writes(),
        between in prop::collection::vec(some_writes(), 8),
        after in some_writes(),
    ) {
        let mut store = Store::new();
        for write in before {
            store.write(write);
        }
        let mut state = store.read_list(&mut between.into_iter());
        for write in after {
            store.write(write);
        }
        loop {
            let revision = revision_of(&state);
            if state.is_settled() {
                prop_assert_eq!(held(&state), store.history[revision].clone());
            }
            if revision == store.revision() {
                break;
            }
            prop_assert_eq!(state.apply(store.event(revision + 1)), Step::Applied);
        }
        prop_assert!(state.is_settled());
    }

    #[test]
    fn whatever_is_lost_repeated_or_late_never_makes_a_wrong_state(
        before in some_writes(),
        after in prop::collection::vec(some_write(), 1..40),
        arrivals in prop::collection::vec(0..40_usize, 0..80),
    ) {
        let mut store = Store::new();
        for write in before {
            store.write(write);
        }
        let mut state = store.read_list(&mut std::iter::empty());
        for write in after {
            store.write(write);
        }
        for arrival in arrivals {
            let here = revision_of(&state);
            if arrival == 0 || arrival > store.revision() {
                continue;
            }
            let expected = match arrival {
                old if old <= here => Step::Repeat,
                next if next == here + 1 => Step::Applied,
                _ => Step::Gap,
            };
            prop_assert_eq!(state.apply(store.event(arrival)), expected);
            prop_assert_eq!(held(&state), store.history[revision_of(&state)].clone());
        }
    }
}

/// A mirror of one sensor at revision 1.
fn mirror_of_one() -> (Store, State) {
    let mut store = Store::new();
    store.write(Write::Put(1));
    let state = store.read_list(&mut std::iter::empty());
    (store, state)
}

#[test]
fn an_event_of_another_epoch_changes_nothing() {
    let (mut store, mut state) = mirror_of_one();
    store.write(Write::Delete(1));
    store.log[1]["epoch"] = json!("aaaaaaaa");
    assert_eq!(state.apply(store.event(2)), Step::Foreign);
    assert_eq!(state.revision(), Revision::new(1));
}

#[test]
fn an_event_that_does_not_fit_to_what_is_held_is_a_contradiction() {
    let (mut store, state) = mirror_of_one();
    store.write(Write::Patch(1, 0));
    for (member, wrong) in [
        ("previous", json!(7)),
        ("sensor", json!("01936f0e-7c1b-7d61-9d0e-000000000009")),
    ] {
        let mut event = store.log[1].clone();
        event[member] = wrong;
        let event = documents::read(event.to_string().as_bytes()).unwrap();
        let mut state = state.clone();
        assert_eq!(state.apply(event), Step::Contradiction, "{member}");
        assert_eq!(held(&state), store.history[1]);
    }
}

#[test]
fn a_page_of_another_store_is_refused() {
    let (store, mut state) = mirror_of_one();
    let mut foreign = store.page(None);
    foreign.epoch = "aaaaaaaa".parse().unwrap();
    assert!(state.add(foreign).is_err());
    let mut older = store.page(None);
    older.revision = Revision::ZERO;
    assert!(state.add(older).is_err());
}

#[test]
fn without_gap_detection_a_lost_event_makes_a_wrong_state_in_silence() {
    let mut store = Store::new();
    store.write(Write::Put(1));
    let mut state = State::new(store.page(None), Gaps::Ignored);
    store.write(Write::Patch(1, 0));
    store.write(Write::Patch(1, 1));
    assert_eq!(state.apply(store.event(3)), Step::Applied);
    assert_ne!(held(&state), store.history[3]);
}

#[test]
fn members_that_are_not_known_are_passed_over() {
    let event = json!({"event": "deleted", "sensor": "01936f0e-7c1b-7d61-9d0e-000000000001", "epoch": EPOCH,
        "revision": 2, "previous": 1, "new": {"in": "2027"}});
    assert!(documents::read::<Event>(event.to_string().as_bytes()).is_ok());
    for bad in [
        "",
        "{}",
        "[]",
        "\u{0}",
        r#"{"event":"deleted","sensor":"x","epoch":"k3f7q2vt","revision":2}"#,
    ] {
        assert!(documents::read::<Event>(bad.as_bytes()).is_err(), "{bad:?}");
    }
}
