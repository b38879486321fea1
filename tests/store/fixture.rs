use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sensorcast::clock::Clock;
use sensorcast::domain::{
    EventForm, MeasuredAt, Properties, Revision, SensorId, SensorRef, Status, Timestamp, Value, create, delete, revise,
};
use sensorcast::store::{Options, Outcome, Retention, Store, WriteError};
use sensorcast::wire::link::LinkBase;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    pub fn at(unix_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(unix_ms)))
    }

    pub fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_unix_ms(now.load(Ordering::Relaxed)).expect("an instant"))
    }

    pub fn move_by_hours(&self, hours: i64) {
        self.0.fetch_add(hours * 3_600_000, Ordering::Relaxed);
    }
}

pub async fn open(path: &Path, clock: Clock, hours: u32, min_events: u64) -> Store {
    let options = Options {
        path: path.to_owned(),
        links: LinkBase::new("http://localhost:8000", "mqtt://localhost", ""),
        clock,
        retention: Retention { hours, min_events },
        write_queue_max: 1024,
    };
    Store::open(options).await.expect("a store")
}

pub fn name(number: usize) -> SensorRef {
    format!("s{number}").parse().expect("a name")
}

/// Sets the value of the sensor `s{number}`, which is made when there is none.
pub async fn set_value(store: &Store, number: usize, value: i64) -> Result<Outcome, WriteError> {
    let target = name(number);
    let SensorRef::Name(sensor_name) = target.clone() else {
        panic!("a name");
    };
    let id: SensorId = format!("00000000-0000-7000-8000-{number:012}").parse().expect("an id");
    let decide = move |current: Option<&_>, moment| {
        let properties = Properties {
            name: sensor_name,
            kind: None,
            unit: None,
            value: Some(Value::Number(value.into())),
            status: Status::Active,
            location: None,
            metadata: None,
        };
        match current {
            None => Ok(create(id, properties, MeasuredAt::NotGiven, moment)),
            Some(current) => revise(current, properties, MeasuredAt::NotGiven, EventForm::Changes, moment),
        }
    };
    store.write_once(target, Box::new(decide), None).await
}

/// Deletes the sensor `s{number}`.
pub async fn remove(store: &Store, number: usize) -> Result<Outcome, WriteError> {
    store
        .write_once(name(number), Box::new(|current, _| delete(current)), None)
        .await
}

/// Makes `count` changes of `sensors` sensors, `at_once` at a time, as fast as the store takes them. No value is written twice, or
/// a writer could draw the one that its sensor has already, which is no change.
pub async fn change(store: &Store, count: i64, sensors: usize, at_once: usize) {
    let first = head(store).get();
    let done = Arc::new(AtomicI64::new(0));
    let writers = (0..at_once).map(|writer| {
        let (store, done) = (store.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            loop {
                let number = done.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let outcome = set_value(&store, writer % sensors, first + number).await;
                assert!(
                    matches!(outcome, Ok(Outcome::Created(_) | Outcome::Modified(_))),
                    "{outcome:?}"
                );
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
}

pub fn head(store: &Store) -> Revision {
    *store.head().borrow()
}
