//! The log, a piece at a time.
//!
//! A piece is cut here and nowhere else, event by event, wherever it comes from: what it has no room for is not read, but for the row
//! that tells that there is more, and the 50 that sqlx reads ahead.

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::list::MAX_PAGE_BYTES;
use super::row::damaged;
use super::{Store, StoreError, StoredEvent, chain};
use crate::domain::{ChangeKind, Revision, SensorId, Timestamp};
use crate::failpoint::reach;

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

/// What comes next in the log.
#[derive(Debug)]
pub struct Piece {
    /// Those that were selected, oldest first.
    pub events: Vec<StoredEvent>,
    /// Everything up to here was looked at.
    pub reached: Revision,
    /// The room that is left.
    pub left: Room,
}

/// Events that are looked at for one piece when not all of them are wanted.
const MAX_LOOKED_AT: usize = 1_000;

/// A row of `events`.
struct EventRow {
    revision: i64,
    sensor_id: String,
    name: String,
    former_name: Option<String>,
    kind: String,
    committed_at_ms: i64,
    payload: String,
}

impl EventRow {
    fn into_event(self) -> Result<StoredEvent, StoreError> {
        Ok(StoredEvent {
            revision: Revision::new(self.revision),
            sensor: self.sensor_id.parse().map_err(damaged)?,
            name: self.name.into(),
            former_name: self.former_name.map(Into::into),
            kind: match self.kind.as_str() {
                "created" => ChangeKind::Created,
                "modified" => ChangeKind::Modified,
                _ => ChangeKind::Deleted,
            },
            committed_at: Timestamp::from_unix_ms(self.committed_at_ms).ok_or_else(|| damaged("an instant"))?,
            payload: Bytes::from(self.payload),
        })
    }
}

impl Store {
    /// The events of `selection` after the revision `after` for which there is room. There may be none before the end of the log, when
    /// many were passed over: the piece tells how far it is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read_log(&self, selection: &Selection, after: Revision, room: Room) -> Result<Piece, StoreError> {
        reach("store.before-read")?;
        if let Some(piece) = self.newest_of_log(selection, after, room) {
            return Ok(piece);
        }
        // Looked at before the read, which has all up to it.
        let head = *self.inner.head.borrow();
        let asked = selection.asked_for(room);
        let mut piece = Piece::empty(after, room);
        let is_end = if let Some(sensor) = selection.sensor {
            let mut snapshot = self.snapshot().await?;
            let revisions = chain::as_parameter(&chain::oldest(&mut snapshot, sensor, after, asked).await?)?;
            let rows = sqlx::query_as!(
                EventRow,
                "SELECT revision, sensor_id, name, former_name, kind, committed_at_ms, payload FROM events
                 WHERE revision IN (SELECT value FROM json_each(?)) ORDER BY revision",
                revisions
            )
            .fetch(&mut *snapshot);
            piece.fill(selection, rows, asked).await?
        } else {
            let (after, last) = (after.get(), head.get());
            let limit = i64::try_from(asked).unwrap_or(i64::MAX);
            let rows = sqlx::query_as!(
                EventRow,
                "SELECT revision, sensor_id, name, former_name, kind, committed_at_ms, payload FROM events
                 WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?",
                after,
                last,
                limit
            )
            .fetch(&self.inner.reads);
            piece.fill(selection, rows, asked).await?
        };
        if is_end {
            piece.reached = piece.reached.max(head);
        }
        Ok(piece)
    }

    /// The same from memory; `None` when the event after `after` is not there.
    #[must_use]
    pub fn newest_of_log(&self, selection: &Selection, after: Revision, room: Room) -> Option<Piece> {
        let mut piece = Piece::empty(after, room);
        self.inner.tail.after(after, |event| piece.take(selection, event))?;
        Some(piece)
    }

    /// At most `limit` events after the revision `after`, oldest first; fewer where they are large, and none only where there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let piece = self.read_log(&Selection::default(), after, Room::of(limit)).await?;
        Ok(piece.events)
    }
}

impl Selection {
    /// The events of a sensor.
    #[must_use]
    pub fn of(sensor: SensorId) -> Self {
        Self {
            sensor: Some(sensor),
            ..Self::default()
        }
    }

    fn matches(&self, event: &StoredEvent) -> bool {
        let is_sensor = self.sensor.is_none_or(|sensor| sensor == event.sensor);
        let is_kind = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind));
        let is_name = self.name_prefix.as_ref().is_none_or(|prefix| {
            let mut names = event.former_name.iter().chain([&event.name]);
            names.any(|name| name.starts_with(prefix.as_str()))
        });
        is_sensor && is_kind && is_name
    }

    /// How many rows fill the room, and one more, which tells that there is more.
    fn asked_for(&self, room: Room) -> usize {
        if self.kinds.is_some() || self.name_prefix.is_some() {
            return MAX_LOOKED_AT;
        }
        room.events.saturating_add(1)
    }
}

impl Room {
    /// For so many events, or as many as a page has.
    #[must_use]
    pub const fn of(events: usize) -> Self {
        Self {
            events,
            bytes: MAX_PAGE_BYTES,
        }
    }

    /// Whether nothing more has a place.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.events == 0 || self.bytes == 0
    }
}

impl Piece {
    /// A piece with nothing in it yet.
    pub(crate) const fn empty(after: Revision, left: Room) -> Self {
        Self {
            events: Vec::new(),
            reached: after,
            left,
        }
    }

    /// Takes the next event, or passes it over; `false` when it is wanted and there is no room, and it begins the next piece.
    fn take(&mut self, selection: &Selection, event: &StoredEvent) -> bool {
        if selection.matches(event) {
            if self.left.is_full() {
                return false;
            }
            self.left.events -= 1;
            self.left.bytes = self.left.bytes.saturating_sub(event.payload.len());
            self.events.push(event.clone());
        }
        self.reached = event.revision;
        true
    }

    /// Takes the rows as they are read; `true` at the end of the log, where fewer came than were `asked` for.
    async fn fill(
        &mut self,
        selection: &Selection,
        mut rows: BoxStream<'_, sqlx::Result<EventRow>>,
        asked: usize,
    ) -> Result<bool, StoreError> {
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            count += 1;
            if !self.take(selection, &row.into_event()?) {
                return Ok(false);
            }
        }
        Ok(count < asked)
    }
}
