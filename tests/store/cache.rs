//! Reads that cost no query are never older than what anybody has been told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use sensorcast::clock::Clock;
use sensorcast::domain::{Listing, SensorRef};
use sensorcast::store::{Outcome, Record, Store, WriteError};

use super::fixture::{Hands, name, open, remove, set_value};

const SENSORS: usize = 3;
const WRITERS: i64 = 4;
const WRITES_EACH: i64 = 1_500;
const NOON_MS: i64 = 1_795_348_800_000;

/// The newest revision of each sensor that somebody has seen: from here on nobody may be shown an older one.
#[derive(Clone)]
struct Seen(Arc<[AtomicI64; SENSORS]>);

impl Seen {
    fn by_now(&self, number: usize) -> i64 {
        self.0[number].load(Ordering::SeqCst)
    }

    fn note(&self, number: usize, revision: i64) {
        self.0[number].fetch_max(revision, Ordering::SeqCst);
    }
}

/// The first ten sensors.
fn ten() -> Listing {
    Listing {
        limit: 10,
        ..Listing::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_reads_an_older_state_than_somebody_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Clock = Hands::at(NOON_MS).clock();
    let store = open(&folder.path().join("store.db"), clock, 1, 100).await;
    let seen = Seen(Arc::default());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(read(store.clone(), seen.clone(), Arc::clone(&stop))))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), seen.clone(), writer)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 100, "too few reads to prove anything");
    }
    store.close().await;
}

/// Changes sensors, deletes some, and reads each of its own writes.
async fn write(store: Store, seen: Seen, writer: i64) {
    for round in 0..WRITES_EACH {
        let number = usize::try_from(round + writer).unwrap() % SENSORS;
        let deletes = round % 50 == 49;
        let outcome = if deletes {
            remove(&store, number).await
        } else {
            set_value(&store, number, writer * WRITES_EACH + round).await
        };
        let revision = match outcome {
            Ok(Outcome::Created(record) | Outcome::Modified(record) | Outcome::Unchanged(record)) => record.revision,
            Ok(Outcome::Deleted(_, revision)) => revision,
            // Another writer was faster.
            Err(WriteError::Refused { .. }) if deletes => continue,
            Err(error) => panic!("{error}"),
        };
        seen.note(number, revision.get());
        look(&store, &seen, number, &name(number)).await;
    }
}

/// Looks at the sensors by every door until it is told to stop; gives how often.
async fn read(store: Store, seen: Seen, stop: Arc<AtomicBool>) -> u64 {
    let mut reads = 0;
    while !stop.load(Ordering::SeqCst) {
        for record in store.list(&ten()).await.unwrap().records {
            // What the list shows has been seen, too.
            let number = number_of(&record);
            seen.note(number, record.revision.get());
            look(&store, &seen, number, &SensorRef::Id(record.id)).await;
            look(&store, &seen, number, &name(number)).await;
            reads += 2;
        }
    }
    reads
}

async fn look(store: &Store, seen: &Seen, number: usize, sensor: &SensorRef) {
    let at_least = seen.by_now(number);
    if let Some(record) = store.get(sensor).await.unwrap() {
        let shown: serde_json::Value = serde_json::from_slice(&record.representation).unwrap();
        assert_eq!(shown["revision"], record.revision.get());
        assert_eq!(number_of(&record), number);
        let revision = record.revision.get();
        assert!(
            revision >= at_least,
            "{sensor} was shown at {revision} after somebody had seen {at_least}"
        );
        seen.note(number, revision);
    }
}

fn number_of(record: &Record) -> usize {
    record.name.as_str()[1..].parse().unwrap()
}
