//! What a sensor was, as far as the log tells.

use std::collections::VecDeque;

use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;

use super::reads::pruned_to;
use super::row::damaged;
use super::{Record, Room, Selection, Store, StoreError, chain};
use crate::domain::{ChangeKind, Revision, SensorId, SensorRef};
use crate::wire::fold::Fold;
use crate::wire::history::{PointForm, Series};
use crate::wire::{representation, stored};

/// Events that are read at once.
const BLOCK: usize = 500;

/// What a revision was to a sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// The sensor was this.
    Was(Record),
    /// The revision changed something else, or is still to come.
    Never,
    /// It deleted the sensor.
    Gone,
    /// The log no longer tells.
    Pruned,
}

/// The history of a sensor, read from its log piece by piece.
#[derive(Debug)]
pub struct History {
    store: Store,
    own: Selection,
    series: Series,
    reached: Revision,
}

impl Store {
    /// A sensor, which may be gone by now, as `revision` left it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn at(&self, sensor: SensorId, revision: Revision) -> Result<Past, StoreError> {
        let present = self.get(&SensorRef::Id(sensor)).await?;
        if let Some(present) = present.as_ref().filter(|present| present.revision == revision) {
            return Ok(Past::Was(present.clone()));
        }
        let mut snapshot = self.snapshot().await?;
        let (id, number) = (sensor.to_string(), revision.get());
        let is_deletion = sqlx::query_scalar!(
            r#"SELECT kind = 'deleted' AS "is_deletion!: bool" FROM events WHERE revision = ? AND sensor_id = ?"#,
            number,
            id
        )
        .fetch_optional(&mut *snapshot)
        .await?;
        match is_deletion {
            Some(true) => Ok(Past::Gone),
            Some(false) => {
                let fold = fold_to(&mut snapshot, sensor, revision, present).await?;
                let was = fold
                    .complete()
                    .map(|members| self.record_of(sensor, revision, &members));
                Ok(was.transpose()?.map_or(Past::Pruned, Past::Was))
            }
            // By the same connection: who holds one and waits for another can wait for others who do the same.
            None if revision <= pruned_to(&mut *snapshot).await? => Ok(Past::Pruned),
            None => Ok(Past::Never),
        }
    }

    /// The history of a sensor after the revision `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(&self, sensor: SensorId, after: Revision) -> Result<History, StoreError> {
        let present = self.get(&SensorRef::Id(sensor)).await?;
        let mut snapshot = self.snapshot().await?;
        Ok(History {
            store: self.clone(),
            own: Selection::of(sensor),
            series: Series::after(fold_to(&mut snapshot, sensor, after, present).await?),
            reached: after,
        })
    }

    /// The revision after which the sensor has `count` events; zero when it has fewer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn before_newest(&self, sensor: SensorId, count: usize) -> Result<Revision, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let revision = chain::before_newest(&mut snapshot, sensor, count).await?;
        Ok(revision.unwrap_or_default())
    }

    /// A representation that was rebuilt, in the bytes that it had.
    fn record_of(&self, id: SensorId, revision: Revision, members: &Map<String, Json>) -> Result<Record, StoreError> {
        let rebuilt = serde_json::to_vec(members).map_err(damaged)?;
        let sensor = stored::read(&rebuilt).map_err(damaged)?;
        let status = sensor.properties.status;
        let document = representation::document(&sensor).map_err(damaged)?;
        let representation = representation::representation(&document, &id.to_string(), status, self.links());
        Ok(Record {
            id,
            name: sensor.properties.name,
            revision,
            updated_at: sensor.updated_at,
            representation: representation.into(),
        })
    }
}

impl History {
    /// All events up to here were looked at.
    #[must_use]
    pub fn reached(&self) -> Revision {
        self.reached
    }

    /// The next points, perhaps none; `None` at the end of the log.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Option<VecDeque<PointForm>>, StoreError> {
        let piece = self.store.read_log(&self.own, self.reached, Room::of(BLOCK)).await?;
        let events = piece.events;
        let Some(last) = events.last() else { return Ok(None) };
        self.reached = last.revision;
        let points = events.iter().map(|event| {
            let deletes = event.kind == ChangeKind::Deleted;
            Ok(self.series.next(read(&event.payload)?, event.committed_at, deletes))
        });
        points
            .filter_map(Result::transpose)
            .collect::<Result<_, StoreError>>()
            .map(Some)
    }
}

/// What the log tells of a sensor as it was after `revision`. `present` is what it was before the snapshot was taken, which so has
/// every change up to it.
///
/// However long the log is, it costs as much as a few times the events from one state that is kept to the next.
async fn fold_to(
    snapshot: &mut SqliteConnection,
    sensor: SensorId,
    revision: Revision,
    present: Option<Record>,
) -> Result<Fold, StoreError> {
    let (id, number) = (sensor.to_string(), revision.get());
    let kept = sqlx::query!(
        r#"SELECT revision AS "revision!", state AS "state!" FROM events INDEXED BY landmarks_of_sensor
           WHERE sensor_id = ? AND state IS NOT NULL AND revision <= ? ORDER BY revision DESC LIMIT 1"#,
        id,
        number
    )
    .fetch_optional(&mut *snapshot)
    .await?;
    let (mut fold, reached) = match kept {
        Some(kept) => (Fold::at(read(kept.state.as_bytes())?), Revision::new(kept.revision)),
        None => (fold_back(snapshot, sensor, revision, present).await?, Revision::ZERO),
    };
    let later = chain::as_parameter(&chain::between(snapshot, sensor, reached, revision).await?)?;
    let mut payloads = sqlx::query_scalar!(
        "SELECT payload FROM events WHERE revision IN (SELECT value FROM json_each(?)) ORDER BY revision",
        later
    )
    .fetch(snapshot);
    while let Some(payload) = payloads.try_next().await? {
        fold.apply(read(payload.as_bytes())?);
    }
    Ok(fold)
}

/// Before the oldest event that is kept, as far as the next state after `revision` tells it: one that is kept with an event, or the
/// present.
async fn fold_back(
    snapshot: &mut SqliteConnection,
    sensor: SensorId,
    revision: Revision,
    present: Option<Record>,
) -> Result<Fold, StoreError> {
    let (id, number) = (sensor.to_string(), revision.get());
    let next = sqlx::query!(
        r#"SELECT revision AS "revision!", state AS "state!" FROM events INDEXED BY landmarks_of_sensor
           WHERE sensor_id = ? AND state IS NOT NULL AND revision > ? ORDER BY revision LIMIT 1"#,
        id,
        number
    )
    .fetch_optional(&mut *snapshot)
    .await?;
    let (next, members) = match (&next, &present) {
        (Some(next), _) => (next.revision, read(next.state.as_bytes())?),
        (None, Some(present)) => (present.revision.get(), read(&present.representation)?),
        (None, None) => return Ok(Fold::default()),
    };
    let revisions = chain::between(snapshot, sensor, Revision::ZERO, Revision::new(next)).await?;
    let revisions = chain::as_parameter(&revisions)?;
    let is_other = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM events
               WHERE revision IN (SELECT value FROM json_each(?)) AND revision > ? AND payload -> '$.changes' IS NULL
           ) AS "is_other!: bool""#,
        revisions,
        number
    )
    .fetch_one(&mut *snapshot)
    .await?;
    if is_other {
        // The state was told anew since, or the sensor was: what it was before may be anything.
        return Ok(Fold::default());
    }
    let touched = sqlx::query_scalar!(
        r#"SELECT DISTINCT CAST(change.key AS TEXT) AS "key!: String"
           FROM events, json_each(events.payload, '$.changes') AS change
           WHERE events.revision IN (SELECT value FROM json_each(?))"#,
        revisions
    )
    .fetch_all(snapshot)
    .await?;
    Ok(Fold::back_from(members, touched.into_iter().collect()))
}

fn read<'json, Form: Deserialize<'json>>(json: &'json [u8]) -> Result<Form, StoreError> {
    serde_json::from_slice(json).map_err(damaged)
}
