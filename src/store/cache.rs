//! The sensors that are asked for often, ready to be sent, so that a reader of a hot one costs no query.
//!
//! What is in here is never wrong, because the writer and the readers agree on who fills it when:
//!
//! * The writer unsettles a sensor before its first statement that changes it. From then on readers ask the database.
//! * After COMMIT, and before anybody is answered, it settles the sensor as it is now; after a rollback it forgets it.
//! * A reader that misses fills the place that it was given *before* it asked the database, and only while nobody has
//!   settled, unsettled or forgotten the sensor since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, GuardResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use super::tail::Tail;
use super::{Record, StoredEvent};
use crate::domain::{Revision, Sensor, SensorId, SensorName, SensorRef};
use crate::failpoint::is_planted;

/// How much memory the representations may take.
const MAX_BYTES: u64 = 64 << 20;
/// What a record takes beside its representation: the entry, its key, its name.
const OVERHEAD_BYTES: u64 = 200;
/// Of a sensor that is kept beside its representation: metadata as a tree can take many times the bytes of its JSON.
const MAX_KEPT_BYTES: usize = 2_048;
/// How many names are remembered.
const MAX_NAMES: usize = 100_000;
const TYPICAL_RECORD_BYTES: u64 = 1_200;

/// The cache; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RecordCache {
    records: Arc<Cache<SensorId, Entry, Weight, DefaultHashBuilder, PinUnsettled>>,
    /// Which sensor had the name when somebody looked. Only a hint: a record tells its name.
    ids: Arc<Cache<SensorName, SensorId>>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// Being changed: the database knows.
    Unsettled,
    Settled(Known),
}

/// A sensor that is in the cache.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub record: Record,
    /// What the record tells, where the writer wrote it and it is small: it need not read its own writing.
    pub sensor: Option<Arc<Sensor>>,
}

impl Known {
    fn is_called(&self, name: Option<&SensorName>) -> bool {
        name.is_none_or(|name| self.record.name == *name)
    }
}

/// What the cache says of a sensor.
pub(super) enum Found<'a> {
    /// This is the sensor.
    Record(Record),
    /// Ask the database, and fill the place.
    Miss(Place<'a>),
    /// Ask the database.
    Unknown,
}

/// Where a record can be put that was read after the place was given out.
pub(super) struct Place<'a> {
    id: SensorId,
    guard: PlaceholderGuard<'a, SensorId, Entry, Weight, DefaultHashBuilder, PinUnsettled>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<SensorId, Entry> for Weight {
    fn weight(&self, _: &SensorId, entry: &Entry) -> u64 {
        OVERHEAD_BYTES
            + match entry {
                Entry::Unsettled => 0,
                // The sensor takes about as much as the representation, which has its links.
                Entry::Settled(Known { record, sensor }) => {
                    record.representation.len() as u64 * (1 + u64::from(sensor.is_some()))
                }
            }
    }
}

/// Keeps what is unsettled in the cache: if it were evicted, a reader could fill the place with what is about to change.
#[derive(Debug, Clone)]
struct PinUnsettled;

impl Lifecycle<SensorId, Entry> for PinUnsettled {
    type RequestState = ();

    fn is_pinned(&self, _: &SensorId, entry: &Entry) -> bool {
        matches!(entry, Entry::Unsettled)
    }

    fn on_evict(&self, (): &mut (), _: SensorId, _: Entry) {}
}

impl RecordCache {
    pub(super) fn new() -> Self {
        let items = usize::try_from(MAX_BYTES / TYPICAL_RECORD_BYTES).unwrap_or(usize::MAX);
        let records = Cache::with(items, MAX_BYTES, Weight, DefaultHashBuilder::default(), PinUnsettled);
        Self {
            records: Arc::new(records),
            ids: Arc::new(Cache::new(MAX_NAMES)),
        }
    }

    /// What is known of the sensor.
    pub(super) fn find(&self, sensor: &SensorRef) -> Found<'_> {
        let Some((id, name)) = self.id_of(sensor) else {
            return Found::Unknown;
        };
        // Who comes second does not wait for who came first: two queries are better than one behind the other.
        match self.records.get_value_or_guard(&id, Some(Duration::ZERO)) {
            GuardResult::Value(Entry::Settled(known)) if known.is_called(name) => Found::Record(known.record),
            GuardResult::Value(_) | GuardResult::Timeout => Found::Unknown,
            GuardResult::Guard(guard) => Found::Miss(Place { id, guard }),
        }
    }

    /// The sensor, if it is here.
    pub(super) fn settled(&self, sensor: &SensorRef) -> Option<Known> {
        let (id, name) = self.id_of(sensor)?;
        match self.records.get(&id)? {
            Entry::Settled(known) if known.is_called(name) => Some(known),
            _ => None,
        }
    }

    /// The id that the sensor has or had, and the name that it has to have.
    fn id_of<'a>(&self, sensor: &'a SensorRef) -> Option<(SensorId, Option<&'a SensorName>)> {
        match sensor {
            SensorRef::Id(id) => Some((*id, None)),
            SensorRef::Name(name) => Some((self.ids.get(name)?, Some(name))),
        }
    }

    /// Remembers which sensor has the name.
    pub(super) fn note_name(&self, record: &Record) {
        self.ids.insert(record.name.clone(), record.id);
    }
}

/// The writer's side: what the running transaction has written, for those who read without a query.
pub(super) struct Changes {
    cache: RecordCache,
    tail: Tail,
    /// What the changed sensors are now; `None` when they are gone.
    sensors: HashMap<SensorId, Option<Known>>,
    events: Vec<StoredEvent>,
}

impl Changes {
    pub(super) fn new(cache: RecordCache, tail: Tail) -> Self {
        Self {
            cache,
            tail,
            sensors: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// The sensor as it is, unless this transaction has changed it.
    pub(super) fn unchanged(&self, sensor: &SensorRef) -> Option<Known> {
        self.cache.settled(sensor)
    }

    /// The sensor is about to be written.
    pub(super) fn unsettle(&mut self, id: SensorId) {
        if !is_planted("bug.decide-before-transaction") {
            self.cache.records.insert(id, Entry::Unsettled);
        }
        self.sensors.insert(id, None);
    }

    /// The sensor has become this, once it is committed.
    pub(super) fn becomes(&mut self, record: Record, sensor: Sensor) {
        let id = record.id;
        let is_small = record.representation.len() <= MAX_KEPT_BYTES;
        let sensor = is_small.then(|| Arc::new(sensor));
        let known = Known { record, sensor };
        if is_planted("bug.cache-before-commit") {
            self.cache.records.insert(id, Entry::Settled(known.clone()));
        }
        self.sensors.insert(id, Some(known));
    }

    /// The event is in the log, once it is committed.
    pub(super) fn append(&mut self, event: StoredEvent) {
        if is_planted("bug.tail-before-commit") {
            return self.tail.extend(std::iter::once(event));
        }
        self.events.push(event);
    }

    /// The log begins with this event now.
    pub(super) fn pruned(&self, oldest: Option<Revision>) {
        self.tail.prune(oldest);
    }

    /// What was written of the sensor is taken back, while the transaction goes on: the next reader finds out what is there.
    pub(super) fn take_back(&mut self, id: SensorId) {
        self.sensors.insert(id, None);
    }

    /// What was written is committed.
    pub(super) fn settle(&mut self) {
        self.tail.extend(self.events.drain(..));
        for (id, known) in self.sensors.drain() {
            match known {
                Some(known) => self.cache.records.insert(id, Entry::Settled(known)),
                None => drop(self.cache.records.remove(&id)),
            }
        }
    }

    /// What was written is taken back: the next reader finds out what is there.
    pub(super) fn forget(&mut self) {
        self.events.clear();
        for (id, _) in self.sensors.drain() {
            self.cache.records.remove(&id);
        }
    }
}

impl Place<'_> {
    /// Fills the place, unless the sensor was written since it was given out, or it is that of another one, which had the name.
    pub(super) fn fill(self, record: &Record) {
        if record.id != self.id {
            return;
        }
        // Refused is fine: the writer knows better.
        let _ = self.guard.insert(Entry::Settled(Known {
            record: record.clone(),
            sensor: None,
        }));
    }
}
