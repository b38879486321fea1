use thiserror::Error;
use tokio::sync::watch;

use crate::domain::{ChangeKind, Cursor, Epoch, Revision, SensorId};
use crate::store::{Store, StoreError, StoredEvent};

/// The log for everybody who reads it by cursor: pages, long polls and streams.
///
/// A reader reads from its cursor to the head and then waits for the head to move. Nothing reaches it that is not in the
/// log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    store: Store,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is kept.
    Oldest,
    /// With the next event that happens.
    Now,
    /// With the event after this one.
    After(Cursor),
}

/// Which events; the default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those of one sensor.
    pub sensor: Option<SensorId>,
    /// Those of these kinds.
    pub kinds: Option<Vec<ChangeKind>>,
    /// Those of sensors whose name begins so, before or after the change: a sensor that is renamed is seen to leave.
    pub name_prefix: Option<String>,
}

/// How much is given out at once: it ends after `events`, or after the one with which their messages have `bytes`, whichever is first.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Events, at least 1.
    pub events: usize,
    /// Bytes of their messages, at least 1: an event always fits.
    pub bytes: usize,
}

/// Why there is nothing to read.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The events after the cursor are no longer kept, or it belongs to another life of the store.
    #[error("the events after the cursor are no longer kept")]
    Gone {
        /// The oldest event that is kept; the next one to come when the log is empty.
        oldest: Revision,
    },
    /// The cursor is after the newest event.
    #[error("the cursor is newer than the newest event, {head}")]
    Future {
        /// That event.
        head: Revision,
    },
    /// The store is closed or fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A position in the log that moves forward as it is read.
#[derive(Debug)]
pub struct Reader {
    feed: Feed,
    selection: Selection,
    position: Revision,
    /// Whether the first event is wherever the log begins, which pruning moves.
    floats: bool,
    head: watch::Receiver<Revision>,
}

struct Batch {
    events: Vec<StoredEvent>,
    /// Everything up to here was looked at.
    reached: Revision,
}

/// Events that one read of the log looks at when not all of them are wanted.
const MAX_LOOKED_AT: usize = 1_000;
/// Reads of the log for one page, so that a filter that nothing passes does not keep a request busy.
const MAX_READS: usize = 10;

impl Feed {
    /// The log of `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// A reader of the events of `selection`.
    ///
    /// # Errors
    /// When `start` is a cursor that cannot be gone on from.
    pub async fn read_from(&self, start: Start, selection: Selection) -> Result<Reader, FeedError> {
        let head = self.store.head();
        let newest = *head.borrow();
        let floats = start == Start::Oldest;
        let position = match start {
            Start::Oldest => self.store.pruned_to().await?,
            Start::Now => newest,
            Start::After(cursor) => self.check(&cursor, newest).await?,
        };
        Ok(Reader {
            feed: self.clone(),
            selection,
            position,
            floats,
            head,
        })
    }

    /// Where a cursor is in the log, of which `newest` is the last event.
    async fn check(&self, cursor: &Cursor, newest: Revision) -> Result<Revision, FeedError> {
        let pruned_to = self.store.pruned_to().await?;
        if cursor.epoch != *self.store.epoch() || cursor.revision < pruned_to {
            return Err(gone(pruned_to));
        }
        if cursor.revision > newest {
            return Err(FeedError::Future { head: newest });
        }
        Ok(cursor.revision)
    }

    /// Whether all that came after a cursor is still there.
    ///
    /// # Errors
    /// When it is not, or the cursor is none of this log.
    pub async fn keeps_after(&self, cursor: &Cursor) -> Result<(), FeedError> {
        let newest = *self.store.head().borrow();
        self.check(cursor, newest).await.map(drop)
    }

    async fn read(
        &self,
        selection: &Selection,
        after: Revision,
        head: Revision,
        room: Room,
    ) -> Result<Batch, FeedError> {
        let asked = if *selection == Selection::default() {
            room.events
        } else {
            MAX_LOOKED_AT
        };
        if let Some(events) = self.store.newest_events_after(after, asked) {
            let end = events.last().map_or(after, |event| event.revision);
            return Ok(selection.pick(events.iter(), room, end));
        }
        let events = match selection.sensor {
            Some(sensor) => self.store.events_of(sensor, after, asked).await?,
            None => self.store.events_after(after, asked).await?,
        };
        // Looked at after the read: what is there now was there then.
        let pruned_to = self.store.pruned_to().await?;
        if pruned_to > after {
            return Err(gone(pruned_to));
        }
        let last = events.last().map_or(after, |event| event.revision);
        let end = if events.len() < asked { last.max(head) } else { last };
        Ok(selection.pick(events.iter(), room, end))
    }
}

impl Reader {
    /// What comes next, as much as there is room for. Empty when there is nothing new; and sometimes before that, when many
    /// events were passed over: the position tells.
    ///
    /// # Errors
    /// When the log was pruned beyond the position, or cannot be read.
    pub async fn page(&mut self, mut room: Room) -> Result<Vec<StoredEvent>, FeedError> {
        let mut events = Vec::new();
        for _ in 0..MAX_READS {
            let more = self.read_on(room).await?;
            room.take(&more);
            events.extend(more);
            if room.is_full() || self.is_at_head() {
                break;
            }
        }
        Ok(events)
    }

    /// What comes next, one event at least and as much as there is room for, as soon as there is one. The future may be dropped.
    ///
    /// # Errors
    /// When the log was pruned beyond the position, or cannot be read.
    pub async fn next(&mut self, room: Room) -> Result<Vec<StoredEvent>, FeedError> {
        loop {
            let events = self.read_on(room).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.is_at_head() && self.head.changed().await.is_err() {
                return Err(StoreError::Stopped.into());
            }
        }
    }

    /// Everything up to here was given out or passed over.
    #[must_use]
    pub fn position(&self) -> Revision {
        self.position
    }

    /// The newest event.
    #[must_use]
    pub fn head(&self) -> Revision {
        *self.head.borrow()
    }

    /// The life of the store.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        self.feed.store.epoch()
    }

    fn is_at_head(&self) -> bool {
        self.position >= self.head()
    }

    /// One read, which moves the position over all that was looked at.
    async fn read_on(&mut self, room: Room) -> Result<Vec<StoredEvent>, FeedError> {
        // The head is marked as seen before the read: what is committed after this wakes `next`.
        let head = *self.head.borrow_and_update();
        if self.position >= head {
            return Ok(Vec::new());
        }
        let mut read = self.feed.read(&self.selection, self.position, head, room).await;
        if let (true, Err(FeedError::Gone { oldest })) = (self.floats, &read) {
            self.position = Revision::new(oldest.get() - 1);
            read = self.feed.read(&self.selection, self.position, head, room).await;
        }
        let batch = read?;
        self.floats = false;
        self.position = batch.reached;
        Ok(batch.events)
    }
}

impl Selection {
    fn matches(&self, event: &StoredEvent) -> bool {
        let is_sensor = self.sensor.is_none_or(|sensor| sensor == event.sensor);
        let is_kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind));
        let is_name = self.name_prefix.as_ref().is_none_or(|prefix| {
            let mut names = event.former_name.iter().chain([&event.name]);
            names.any(|name| name.starts_with(prefix.as_str()))
        });
        is_sensor && is_kind && is_name
    }

    /// The first of `events` that are selected and for which there is room; `end` is how far one has come when there are not more.
    fn pick<'a>(&self, events: impl Iterator<Item = &'a StoredEvent>, mut room: Room, end: Revision) -> Batch {
        let mut picked: Vec<StoredEvent> = Vec::new();
        for event in events.filter(|event| self.matches(event)) {
            if room.is_full() {
                let reached = picked.last().map_or(end, |last| last.revision);
                return Batch {
                    events: picked,
                    reached,
                };
            }
            room.take(std::slice::from_ref(event));
            picked.push(event.clone());
        }
        Batch {
            events: picked,
            reached: end,
        }
    }
}

impl Room {
    fn take(&mut self, events: &[StoredEvent]) {
        let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
        self.events = self.events.saturating_sub(events.len());
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn is_full(&self) -> bool {
        self.events == 0 || self.bytes == 0
    }
}

fn gone(pruned_to: Revision) -> FeedError {
    FeedError::Gone {
        oldest: pruned_to.next(),
    }
}
