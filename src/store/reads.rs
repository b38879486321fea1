use std::collections::HashMap;

use sqlx::SqliteExecutor;
use tokio::sync::oneshot;

use super::cache::Found;
use super::lookup::{Question, Sight};
use super::packed::Packed;
use super::row::{SensorRow, damaged};
use super::{Inner, Record, SensorState, Store, StoreError};
use crate::domain::{Revision, SensorId, SensorRef, Version};
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
