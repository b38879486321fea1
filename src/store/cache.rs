//! The sensors that are asked for often, so that a reader of a hot one costs no query.
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
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter, unsync};

use super::StoredEvent;
use super::packed::Packed;
use super::tail::Tail;
use crate::domain::{Revision, Sensor, SensorId, SensorName, SensorRef};
use crate::failpoint::is_planted;
use crate::wire::stored;

/// How much memory the sensors may take: a million that are described in some hundred bytes.
const MAX_BYTES: u64 = 288 << 20;
/// What a sensor takes beside its packed bytes: the entry with its key, its place in the index, and the allocation.
const OVERHEAD_BYTES: u64 = 112;
/// How many names are remembered.
const MAX_NAMES: usize = 100_000;
const TYPICAL_BYTES: u64 = 280;
/// How many sensors the writer remembers as it wrote them.
const MAX_WRITTEN: usize = 4_096;
/// The largest document of those: metadata as a tree can take many times the bytes of its JSON.
const MAX_WRITTEN_BYTES: usize = 2_048;

/// The cache; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SensorCache {
    sensors: Arc<Cache<SensorId, Entry, Weight, DefaultHashBuilder, PinUnsettled>>,
    /// Which sensor had the name when somebody looked. Only a hint: a sensor tells its name.
    ids: Arc<Cache<SensorName, SensorId>>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// Being changed: the database knows.
    Unsettled,
    Settled(Packed),
}

/// What the cache says of a sensor.
pub(super) enum Found<'a> {
    /// This is the sensor, and its id.
    Packed(SensorId, Packed),
    /// Ask the database, and fill the place.
    Miss(Place<'a>),
    /// Ask the database.
    Unknown,
}

/// Where a sensor can be put that was read after the place was given out.
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
                Entry::Settled(packed) => packed.len() as u64,
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

impl SensorCache {
    pub(super) fn new() -> Self {
        let items = usize::try_from(MAX_BYTES / TYPICAL_BYTES).unwrap_or(usize::MAX);
        let sensors = Cache::with(items, MAX_BYTES, Weight, DefaultHashBuilder::default(), PinUnsettled);
        Self {
            sensors: Arc::new(sensors),
            ids: Arc::new(Cache::new(MAX_NAMES)),
        }
    }

    /// What is known of the sensor.
    pub(super) fn find(&self, sensor: &SensorRef) -> Found<'_> {
        let Some((id, name)) = self.id_of(sensor) else {
            return Found::Unknown;
        };
        // Who comes second does not wait for who came first: two queries are better than one behind the other.
        match self.sensors.get_value_or_guard(&id, Some(Duration::ZERO)) {
            GuardResult::Value(Entry::Settled(packed)) if is_called(&packed, name) => Found::Packed(id, packed),
            GuardResult::Value(_) | GuardResult::Timeout => Found::Unknown,
            GuardResult::Guard(guard) => Found::Miss(Place { id, guard }),
        }
    }

    /// The sensor and its id, if it is here.
    pub(super) fn settled(&self, sensor: &SensorRef) -> Option<(SensorId, Packed)> {
        let (id, name) = self.id_of(sensor)?;
        match self.sensors.get(&id)? {
            Entry::Settled(packed) if is_called(&packed, name) => Some((id, packed)),
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
    pub(super) fn note_name(&self, name: &SensorName, id: SensorId) {
        self.ids.insert(name.clone(), id);
    }
}

fn is_called(packed: &Packed, name: Option<&SensorName>) -> bool {
    name.is_none_or(|name| packed.is_called(name))
}

/// The writer's side: what the running transaction has written, for those who read without a query.
pub(super) struct Changes {
    cache: SensorCache,
    tail: Tail,
    /// What the changed sensors are now; `None` when they are gone.
    sensors: HashMap<SensorId, Option<Settled>>,
    events: Vec<StoredEvent>,
    /// What was written last, so that the writer need not read its own writing.
    written: unsync::Cache<SensorId, Arc<Sensor>>,
}

/// What a sensor is, once it is committed.
struct Settled {
    packed: Packed,
    /// The same as it was written, unless that is large.
    sensor: Option<Arc<Sensor>>,
}

impl Changes {
    pub(super) fn new(cache: SensorCache, tail: Tail) -> Self {
        Self {
            cache,
            tail,
            sensors: HashMap::new(),
            events: Vec::new(),
            written: unsync::Cache::new(MAX_WRITTEN),
        }
    }

    /// The sensor as it is, where it is in memory and this transaction has not changed it.
    pub(super) fn unchanged(&self, sensor: &SensorRef) -> Option<Arc<Sensor>> {
        let (id, packed) = self.cache.settled(sensor)?;
        // It may be an older version, left here because a later one was too large to remember.
        let written = self.written.get(&id);
        if let Some(written) = written.filter(|written| written.revision == packed.version.revision) {
            return Some(Arc::clone(written));
        }
        let document = packed.document(id).ok()?;
        stored::read(document.as_bytes()).ok().map(Arc::new)
    }

    /// Remembers which sensor has the name, so that the next write by it finds what is in memory.
    pub(super) fn note_name(&self, name: &SensorName, id: SensorId) {
        self.cache.note_name(name, id);
    }

    /// The sensor is about to be written.
    pub(super) fn unsettle(&mut self, id: SensorId) {
        if !is_planted("bug.decide-before-transaction") {
            self.cache.sensors.insert(id, Entry::Unsettled);
        }
        self.sensors.insert(id, None);
    }

    /// The sensor will be this once the transaction is committed.
    pub(super) fn becomes(&mut self, packed: Option<Packed>, document: &str, sensor: Sensor) {
        let id = sensor.id;
        let Some(packed) = packed else { return };
        if is_planted("bug.cache-before-commit") {
            self.cache.sensors.insert(id, Entry::Settled(packed.clone()));
        }
        let sensor = (document.len() <= MAX_WRITTEN_BYTES).then(|| Arc::new(sensor));
        self.sensors.insert(id, Some(Settled { packed, sensor }));
    }

    /// The event will be in the log once the transaction is committed.
    pub(super) fn append(&mut self, event: StoredEvent) {
        if is_planted("bug.tail-before-commit") {
            return self.tail.extend(std::iter::once(event), || ());
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

    /// What was written is committed. `announce` tells of the new head.
    pub(super) fn settle(&mut self, announce: impl FnOnce()) {
        self.tail.extend(self.events.drain(..), announce);
        for (id, known) in self.sensors.drain() {
            match known {
                Some(Settled { packed, sensor }) => {
                    self.cache.sensors.insert(id, Entry::Settled(packed));
                    if let Some(sensor) = sensor {
                        self.written.insert(id, sensor);
                    }
                }
                None => drop(self.cache.sensors.remove(&id)),
            }
        }
    }

    /// What was written is taken back: the next reader finds out what is there.
    pub(super) fn forget(&mut self) {
        self.events.clear();
        for (id, _) in self.sensors.drain() {
            self.cache.sensors.remove(&id);
        }
    }
}

impl Place<'_> {
    /// Fills the place; does nothing when the sensor was written since the place was given out, or the place is that of the sensor that
    /// had the name before.
    pub(super) fn fill(self, id: SensorId, packed: Packed) {
        if id == self.id {
            // Refused is fine: the writer knows better.
            let _ = self.guard.insert(Entry::Settled(packed));
        }
    }
}
