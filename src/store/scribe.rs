//! The statements of the writer: each function is one step inside a transaction that the writer owns.

use sqlx::SqliteConnection;
use sqlx::error::DatabaseError;

use super::reads::{damaged, find};
use super::writer::{Decide, Note, Outcome};
use super::{Record, StoreError, WriteError};
use crate::domain::{Change, ChangeKind, Epoch, EventForm, Moment, Revision, Sensor, SensorName, SensorRef, Status};
use crate::wire::event::{Body, payload};
use crate::wire::link::LinkBase;
use crate::wire::merge_patch;
use crate::wire::representation::{self, representation};

/// Writes sensors together with their events.
pub(super) struct Scribe {
    pub epoch: Epoch,
    pub links: LinkBase,
}

/// What a step gives: an answer for its client, or a failure of the store, which undoes the whole group.
type Step = Result<Result<Outcome, WriteError>, StoreError>;

impl Scribe {
    /// Lets `decide` see the sensor and does what it says, in a savepoint: sensor and event, or neither.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        target: &SensorRef,
        decide: Decide,
        moment: Moment,
    ) -> Step {
        let row = find(&mut *connection, target).await?;
        let current = row
            .as_ref()
            .map(|row| representation::read_document(&row.document))
            .transpose()
            .map_err(damaged)?;
        let change = decide(current.as_ref(), moment);
        let record = || row.map(|row| row.into_record(&self.links)).transpose();
        let change = match change {
            Ok(change) => change,
            Err(refusal) => {
                let current = record()?.map(Box::new);
                return Ok(Err(WriteError::Refused { refusal, current }));
            }
        };
        sqlx::query("SAVEPOINT write").execute(&mut *connection).await?;
        let done = match (change, &current) {
            (Change::Create(sensor), None) => self.create(connection, &sensor, moment).await,
            (Change::Modify(next, form), Some(current)) => self.modify(connection, current, &next, form, moment).await,
            (Change::Delete, Some(current)) => self.delete(connection, current, moment).await,
            (Change::None, Some(_)) => Ok(record()?.map(Outcome::Unchanged).ok_or(WriteError::OutcomeUnknown)),
            (change, _) => Err(damaged(format_args!("{change:?} does not fit what is there"))),
        }?;
        if done.is_err() {
            sqlx::query("ROLLBACK TO write").execute(&mut *connection).await?;
        }
        sqlx::query("RELEASE write").execute(&mut *connection).await?;
        Ok(done)
    }

    async fn create(&self, connection: &mut SqliteConnection, sensor: &Sensor, moment: Moment) -> Step {
        let (record, document) = self.record(sensor)?;
        let (id, name, revision) = (record.id.to_string(), record.name.as_str(), record.revision.get());
        let status = status_text(sensor.properties.status);
        let inserted = sqlx::query!(
            "INSERT INTO sensors (id, name, revision, status, document) VALUES (?, ?, ?, ?, ?)",
            id,
            name,
            revision,
            status,
            document
        )
        .execute(&mut *connection)
        .await;
        if let Some(taken) = name_taken(connection, &record.name, &inserted).await? {
            return Ok(Err(taken));
        }
        affected_one(&inserted?)?;
        let state = text(&record)?;
        self.append(
            connection,
            ChangeKind::Created,
            None,
            sensor,
            Body::State(state),
            moment,
        )
        .await?;
        Ok(Ok(Outcome::Created(record)))
    }

    async fn modify(
        &self,
        connection: &mut SqliteConnection,
        current: &Sensor,
        next: &Sensor,
        form: EventForm,
        moment: Moment,
    ) -> Step {
        let (record, document) = self.record(next)?;
        let (id, name, revision) = (record.id.to_string(), record.name.as_str(), record.revision.get());
        let status = status_text(next.properties.status);
        let updated = sqlx::query!(
            "UPDATE sensors SET name = ?, revision = ?, status = ?, document = ? WHERE id = ?",
            name,
            revision,
            status,
            document,
            id
        )
        .execute(&mut *connection)
        .await;
        if let Some(taken) = name_taken(connection, &record.name, &updated).await? {
            return Ok(Err(taken));
        }
        affected_one(&updated?)?;
        let changes;
        let body = match form {
            EventForm::State => Body::State(text(&record)?),
            EventForm::Changes => {
                let tree = |sensor| representation::tree(sensor, &self.links).map_err(damaged);
                changes = merge_patch::diff(&tree(current)?, &tree(next)?);
                Body::Changes(&changes)
            }
        };
        self.append(connection, ChangeKind::Modified, Some(current), next, body, moment)
            .await?;
        Ok(Ok(Outcome::Modified(record)))
    }

    async fn delete(&self, connection: &mut SqliteConnection, current: &Sensor, moment: Moment) -> Step {
        let id = current.id.to_string();
        let deleted = sqlx::query!("DELETE FROM sensors WHERE id = ?", id)
            .execute(&mut *connection)
            .await?;
        affected_one(&deleted)?;
        let kind = ChangeKind::Deleted;
        self.append(connection, kind, Some(current), current, Body::Gone, moment)
            .await?;
        Ok(Ok(Outcome::Deleted(current.id, moment.revision)))
    }

    /// Appends an event to the log: the only place that does. `sensor` is the sensor as it is now, or was last.
    async fn append(
        &self,
        connection: &mut SqliteConnection,
        kind: ChangeKind,
        before: Option<&Sensor>,
        sensor: &Sensor,
        body: Body<'_>,
        moment: Moment,
    ) -> Result<(), StoreError> {
        let previous = before.map(|before| before.revision);
        let payload = payload(kind, sensor.id, &self.epoch, moment.revision, previous, body).map_err(damaged)?;
        let (revision, sensor_id, kind) = (moment.revision.get(), sensor.id.to_string(), kind.as_str());
        let committed_at_ms = moment.now.unix_ms();
        let name = &sensor.properties.name;
        let former_name = before
            .map(|before| &before.properties.name)
            .filter(|former| *former != name);
        let (name, former_name) = (name.as_str(), former_name.map(SensorName::as_str));
        let inserted = sqlx::query!(
            "INSERT INTO events (revision, sensor_id, kind, committed_at_ms, payload, name, former_name)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            revision,
            sensor_id,
            kind,
            committed_at_ms,
            payload,
            name,
            former_name
        )
        .execute(connection)
        .await?;
        affected_one(&inserted)
    }

    fn record(&self, sensor: &Sensor) -> Result<(Record, String), StoreError> {
        let document = representation::document(sensor).map_err(damaged)?;
        let status = sensor.properties.status;
        let representation = representation(&document, sensor.id, status, &self.links).map_err(damaged)?;
        let record = Record {
            id: sensor.id,
            name: sensor.properties.name.clone(),
            revision: sensor.revision,
            representation: representation.into(),
        };
        Ok((record, document))
    }
}

/// Notes something about the store itself.
pub(super) async fn note(connection: &mut SqliteConnection, note: Note) -> sqlx::Result<()> {
    // The cursor never goes back; writing it anew where it stands is the probe.
    let at_least = match note {
        Note::Relayed(revision) => revision.get(),
        Note::Probe => 0,
    };
    sqlx::query!("UPDATE relay SET revision = max(revision, ?)", at_least)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes down the newest revision.
pub(super) async fn set_head(connection: &mut SqliteConnection, head: Revision) -> sqlx::Result<()> {
    let head = head.get();
    sqlx::query!("UPDATE store SET head = ?", head)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes at most `limit` of the oldest events: those up to `last` that were committed before `committed_before_ms` and
/// that the relay has published. Gives how many.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    last: Revision,
    committed_before_ms: i64,
    limit: i64,
) -> sqlx::Result<u64> {
    let last = last.get();
    // Clocks are set back at times: what comes after an event that has to stay stays with it, so that no hole appears.
    let pruned = sqlx::query!(
        "WITH oldest AS (
             SELECT revision, committed_at_ms FROM events
             WHERE revision <= min(?, (SELECT revision FROM relay)) ORDER BY revision LIMIT ?
         )
         DELETE FROM events WHERE revision IN (SELECT revision FROM oldest) AND revision < coalesce(
             (SELECT min(revision) FROM oldest WHERE committed_at_ms >= ?), 9223372036854775807)",
        last,
        limit,
        committed_before_ms
    )
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

/// The oldest event that is kept.
pub(super) async fn oldest_event(connection: &mut SqliteConnection) -> sqlx::Result<Option<Revision>> {
    let oldest = sqlx::query_scalar!("SELECT min(revision) FROM events")
        .fetch_one(connection)
        .await?;
    Ok(oldest.map(Revision::new))
}

/// Whether a write broke the one rule that a client can break here: names are unique.
async fn name_taken<T>(
    connection: &mut SqliteConnection,
    name: &SensorName,
    written: &sqlx::Result<T>,
) -> Result<Option<WriteError>, StoreError> {
    let unique = |error: &sqlx::Error| {
        error
            .as_database_error()
            .is_some_and(DatabaseError::is_unique_violation)
    };
    if !written.as_ref().err().is_some_and(unique) {
        return Ok(None);
    }
    let name = name.as_str();
    let holder = sqlx::query_scalar!("SELECT id FROM sensors WHERE name = ?", name)
        .fetch_one(connection)
        .await?;
    let holder = holder.parse().map_err(damaged)?;
    Ok(Some(WriteError::NameTaken { holder }))
}

fn affected_one(result: &sqlx::sqlite::SqliteQueryResult) -> Result<(), StoreError> {
    match result.rows_affected() {
        1 => Ok(()),
        other => Err(damaged(format_args!("a write of one row touched {other}"))),
    }
}

fn text(record: &Record) -> Result<&str, StoreError> {
    std::str::from_utf8(&record.representation).map_err(damaged)
}

const fn status_text(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Inactive => "inactive",
    }
}
