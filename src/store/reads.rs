use std::collections::HashMap;

use bytes::Bytes;
use sqlx::SqliteExecutor;
use tokio::sync::oneshot;

use super::cache::Found;
use super::lookup::{Question, Sight};
use super::packed::Packed;
use super::row::{SensorRow, damaged};
use super::{Inner, Record, SensorState, Store, StoreError, StoredEvent, chain};
use crate::domain::{ChangeKind, Revision, SensorId, SensorRef, Timestamp, Version};
use crate::failpoint::reach;
use crate::wire::link::LinkBase;

/// A sensor that is in memory.
#[derive(Debug)]
pub struct AtHand<'a> {
    /// Its identity.
    pub id: SensorId,
    packed: Packed,
    links: &'a LinkBase,
}

impl AtHand<'_> {
    /// What tells this state from others.
    #[must_use]
    pub fn version(&self) -> Version {
        self.packed.version
    }

    /// The sensor, ready to be sent.
    ///
    /// # Errors
    /// Never in practice: it was packed here.
    pub fn record(&self) -> Result<Record, StoreError> {
        self.packed.record(self.id, self.links)
    }
}

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
    /// A sensor as it is, where it is in memory.
    #[must_use]
    pub fn at_hand(&self, sensor: &SensorRef) -> Option<AtHand<'_>> {
        let (id, packed) = self.inner.cache.settled(sensor)?;
        let links = &self.inner.links;
        Some(AtHand { id, packed, links })
    }

    /// A sensor as it is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(&self, sensor: &SensorRef) -> Result<Option<Record>, StoreError> {
        let Inner { cache, links, .. } = &*self.inner;
        let place = match cache.find(sensor) {
            Found::Packed(id, packed) => return packed.record(id, links).map(Some),
            Found::Miss(place) => Some(place),
            Found::Unknown => None,
        };
        let Sight { row, head } = self.look_up(sensor).await?;
        self.announced(head).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let record = row.record(links)?;
        // Only names that are asked for: others would push these out.
        if let SensorRef::Name(name) = sensor {
            cache.note_name(name, record.id);
        }
        if let Some(place) = place
            && let Some(packed) = Packed::of(&record, row.status(), &row.document)
        {
            place.fill(record.id, packed);
        }
        Ok(Some(record))
    }

    async fn look_up(&self, sensor: &SensorRef) -> Result<Sight, StoreError> {
        let (reply, answer) = oneshot::channel();
        let question = Question::Find {
            sensor: sensor.clone(),
            reply,
            post_box: self.post_box.clone(),
        };
        self.inner.lookup.send(question).map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// What is true of these sensors now, in the order asked for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn states(&self, sensors: &[SensorId]) -> Result<Vec<SensorState>, StoreError> {
        let ids: Vec<_> = sensors.iter().map(SensorId::to_string).collect();
        let ids = serde_json::to_string(&ids).map_err(damaged)?;
        let mut snapshot = self.snapshot().await?;
        let rows: Vec<SensorRow> = sqlx::query_as!(
            SensorRow,
            "SELECT id, name, revision, status, document FROM sensors WHERE id IN (SELECT value FROM json_each(?))",
            ids
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let mut present = HashMap::with_capacity(rows.len());
        for row in rows {
            let record = row.record(&self.inner.links)?;
            present.insert(record.id, record.representation);
        }
        let state = |&sensor| SensorState {
            sensor,
            representation: present.get(&sensor).cloned(),
        };
        Ok(sensors.iter().map(state).collect())
    }

    /// The same as [`Self::events_after`] from memory; `None` when the first of the events is not there.
    #[must_use]
    pub fn newest_events_after(&self, after: Revision, limit: usize) -> Option<Vec<StoredEvent>> {
        self.inner.tail.after(after, limit)
    }

    /// At most `limit` events after the revision `after`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        reach("store.before-read")?;
        if let Some(events) = self.newest_events_after(after, limit) {
            return Ok(events);
        }
        let after = after.get();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query_as!(
            EventRow,
            "SELECT revision, sensor_id, name, former_name, kind, committed_at_ms, payload FROM events
             WHERE revision > ? ORDER BY revision LIMIT ?",
            after,
            limit
        )
        .fetch_all(&self.inner.reads)
        .await?;
        let head = self.inner.head.borrow().get();
        let announced = rows.into_iter().take_while(|row| row.revision <= head);
        announced.map(EventRow::into_event).collect()
    }

    /// At most `limit` events of one sensor after the revision `after`, oldest first; also of one that is gone.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_of(
        &self,
        sensor: SensorId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let revisions = chain::as_parameter(&chain::oldest(&mut snapshot, sensor, after, limit).await?)?;
        let rows = sqlx::query_as!(
            EventRow,
            "SELECT revision, sensor_id, name, former_name, kind, committed_at_ms, payload FROM events
             WHERE revision IN (SELECT value FROM json_each(?)) ORDER BY revision",
            revisions
        )
        .fetch_all(&mut *snapshot)
        .await?;
        rows.into_iter().map(EventRow::into_event).collect()
    }

    /// The newest event that is no longer kept: every event after it is in the log.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pruned_to(&self) -> Result<Revision, StoreError> {
        pruned_to(&self.inner.reads).await
    }

    /// The last event up to which the broker has acknowledged all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn relay_cursor(&self) -> Result<Revision, StoreError> {
        let revision = sqlx::query_scalar!("SELECT revision FROM relay")
            .fetch_one(&self.inner.reads)
            .await?;
        Ok(Revision::new(revision))
    }

    /// Whether the store can be read.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn probe_read(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("SELECT head FROM store")
            .fetch_one(&self.inner.reads)
            .await?;
        Ok(())
    }
}

/// [`Store::pruned_to`] over this connection.
pub(super) async fn pruned_to(reader: impl SqliteExecutor<'_>) -> Result<Revision, StoreError> {
    // An empty log has the head behind it, whatever became of its events.
    let pruned_to = sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT min(revision) - 1 FROM events), head) AS "pruned_to!: i64" FROM store"#
    )
    .fetch_one(reader)
    .await?;
    Ok(Revision::new(pruned_to))
}
