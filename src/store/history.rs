//! What a sensor was, as far as the log tells.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value as Json};

use super::row::damaged;
use super::{Record, Store, StoreError, StoredEvent};
use crate::domain::{ChangeKind, Revision, SensorId, SensorRef};
use crate::wire::fold::{Fold, Told};
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
    sensor: SensorId,
    series: Series,
    reached: Revision,
}

impl Store {
    /// A sensor, which may be gone by now, as `revision` left it.
    ///
    /// Costs as much as there are events of it between the last one that tells the whole state and `revision`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn at(&self, sensor: SensorId, revision: Revision) -> Result<Past, StoreError> {
        let present = self.get(&SensorRef::Id(sensor)).await?;
        if let Some(present) = present.filter(|present| present.revision == revision) {
            return Ok(Past::Was(present));
        }
        // Pruning comes first in time: what is not found below was pruned before it was looked for, or never there.
        let before = Revision::new(revision.get() - 1);
        let event = self.events_of(sensor, before, 1).await?.pop();
        match event.filter(|event| event.revision == revision) {
            Some(event) if event.kind == ChangeKind::Deleted => Ok(Past::Gone),
            Some(_) => {
                let fold = self.fold_to(sensor, revision).await?;
                let was = fold
                    .complete()
                    .map(|members| self.record_of(sensor, revision, &members));
                Ok(was.transpose()?.map_or(Past::Pruned, Past::Was))
            }
            None if revision <= self.pruned_to().await? => Ok(Past::Pruned),
            None => Ok(Past::Never),
        }
    }

    /// The history of a sensor after the revision `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(&self, sensor: SensorId, after: Revision) -> Result<History, StoreError> {
        Ok(History {
            store: self.clone(),
            sensor,
            series: Series::after(self.fold_to(sensor, after).await?),
            reached: after,
        })
    }

    /// What the log tells of a sensor as it was after `revision`.
    async fn fold_to(&self, sensor: SensorId, revision: Revision) -> Result<Fold, StoreError> {
        let told = self.last_told(sensor, revision).await?;
        let (mut fold, mut reached) = match told {
            Some(told) => (Fold::default(), Revision::new(told.get() - 1)),
            None => (self.fold_back(sensor, revision).await?, Revision::ZERO),
        };
        loop {
            let events = self.events_of(sensor, reached, BLOCK).await?;
            let count = events.len();
            for event in events {
                if event.revision > revision {
                    return Ok(fold);
                }
                reached = event.revision;
                fold.apply(read(&event)?);
            }
            if count < BLOCK {
                return Ok(fold);
            }
        }
    }

    /// Before the oldest event that is kept, as far as the present tells it.
    async fn fold_back(&self, sensor: SensorId, revision: Revision) -> Result<Fold, StoreError> {
        let present = self.get(&SensorRef::Id(sensor)).await?;
        let Some(present) = present else {
            return Ok(Fold::default());
        };
        if self.last_told(sensor, present.revision).await? > Some(revision) {
            return Ok(Fold::default());
        }
        let members: Map<String, Json> = serde_json::from_slice(&present.representation).map_err(damaged)?;
        let id = sensor.to_string();
        let touched = sqlx::query_scalar!(
            r#"SELECT DISTINCT CAST(change.key AS TEXT) AS "key!: String"
               FROM events, json_each(events.payload, '$.changes') AS change WHERE events.sensor_id = ?"#,
            id
        )
        .fetch_all(&self.inner.reads)
        .await?;
        Ok(Fold::back_from(members, touched.into_iter().collect::<BTreeSet<_>>()))
    }

    /// The last event up to `revision` that tells the whole state of a sensor.
    async fn last_told(&self, sensor: SensorId, revision: Revision) -> Result<Option<Revision>, StoreError> {
        let (sensor, revision) = (sensor.to_string(), revision.get());
        let told = sqlx::query_scalar!(
            r#"SELECT revision AS "revision!" FROM events
               WHERE sensor_id = ? AND revision <= ? AND payload -> '$.state' IS NOT NULL
               ORDER BY revision DESC LIMIT 1"#,
            sensor,
            revision
        )
        .fetch_optional(&self.inner.reads)
        .await?;
        Ok(told.map(Revision::new))
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
    /// The next points, perhaps none; `None` at the end of the log.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Option<VecDeque<PointForm>>, StoreError> {
        let events = self.store.events_of(self.sensor, self.reached, BLOCK).await?;
        let Some(last) = events.last() else { return Ok(None) };
        self.reached = last.revision;
        let points = events.iter().map(|event| {
            let deletes = event.kind == ChangeKind::Deleted;
            Ok(self.series.next(read(event)?, event.committed_at, deletes))
        });
        points
            .filter_map(Result::transpose)
            .collect::<Result<_, StoreError>>()
            .map(Some)
    }
}

fn read(event: &StoredEvent) -> Result<Told, StoreError> {
    serde_json::from_slice(&event.payload).map_err(damaged)
}
