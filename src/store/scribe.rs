//! The statements of the writer: each function is one step inside a transaction that the writer owns.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::cache::Changes;
use super::row::{SensorRow, damaged};
use super::writer::{Decide, Note, Outcome};
use super::{Record, StoreError, WriteError};
use crate::domain::{
    Change, ChangeKind, Epoch, EventForm, Moment, Revision, Sensor, SensorId, SensorName, SensorRef, Status,
};
use crate::failpoint::{is_planted, reach};
use crate::wire::event::{BatchForm, Body, in_batch, payload};
use crate::wire::link::LinkBase;
use crate::wire::merge_patch;
use crate::wire::representation::{self, representation};

/// Writes sensors together with their events.
pub(super) struct Scribe {
    pub epoch: Epoch,
    pub links: LinkBase,
    /// What the transaction has changed so far, for those who read without a query.
    pub changes: Changes,
    /// The events of the changes that were made and not written down yet.
    pub events: Vec<NewEvent>,
}

/// A row of `events` that is to be written.
pub(super) struct NewEvent {
    moment: Moment,
    sensor: SensorId,
    kind: ChangeKind,
    name: SensorName,
    former_name: Option<SensorName>,
    payload: String,
}

/// What a step gives: an answer for its client, or a failure of the store, which undoes the whole group.
type Step = Result<Result<Outcome, WriteError>, StoreError>;

impl Scribe {
    /// Lets `decide` see the sensor and does what it says, in a savepoint. The event waits for [`Scribe::write_events`].
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        target: &SensorRef,
        decide: Decide,
        moment: Moment,
    ) -> Step {
        let record = match self.changes.unchanged(target) {
            Some(record) => Some(record),
            None => find(connection, target, &self.links)?,
        };
        let current = record
            .as_ref()
            .map(|record| representation::read(&record.representation))
            .transpose()
            .map_err(damaged)?;
        let change = match decide(current.as_ref(), moment) {
            Ok(change) => change,
            Err(refusal) => {
                let current = record.map(Box::new);
                return Ok(Err(WriteError::Refused { refusal, current }));
            }
        };
        execute(connection, "SAVEPOINT write", [])?;
        let done = match (change, &current, record) {
            (Change::Create(sensor), None, _) => self.create(connection, &sensor, moment),
            (Change::Modify(next, form), Some(current), _) => self.modify(connection, current, &next, form, moment),
            (Change::Delete, Some(current), _) => self.delete(connection, current, moment),
            (Change::None, _, Some(record)) => Ok(Ok(Outcome::Unchanged(record))),
            (change, ..) => Err(damaged(format_args!("{change:?} does not fit what is there"))),
        }?;
        if done.is_err() {
            execute(connection, "ROLLBACK TO write", [])?;
        }
        reach("store.before-release")?;
        execute(connection, "RELEASE write", [])?;
        Ok(done)
    }

    fn create(&mut self, connection: &Connection, sensor: &Sensor, moment: Moment) -> Step {
        let (record, document) = self.record(sensor)?;
        self.changes.unsettle(record.id);
        let inserted = write_one(
            connection,
            "INSERT INTO sensors (id, name, revision, status, document) VALUES (?, ?, ?, ?, ?)",
            params![
                record.id.to_string(),
                record.name.as_str(),
                record.revision.get(),
                status_text(sensor.properties.status),
                document
            ],
        );
        if let Some(taken) = name_taken(connection, &record.name, &inserted)? {
            return Ok(Err(taken));
        }
        inserted?;
        let state = Body::State(text(&record)?);
        self.append(ChangeKind::Created, None, sensor, state, moment)?;
        self.changes.becomes(record.clone());
        Ok(Ok(Outcome::Created(record)))
    }

    fn modify(
        &mut self,
        connection: &Connection,
        current: &Sensor,
        next: &Sensor,
        form: EventForm,
        moment: Moment,
    ) -> Step {
        let (record, document) = self.record(next)?;
        self.changes.unsettle(record.id);
        let updated = write_one(
            connection,
            "UPDATE sensors SET name = ?2, revision = ?3, status = ?4, document = ?5 WHERE id = ?1",
            params![
                record.id.to_string(),
                record.name.as_str(),
                record.revision.get(),
                status_text(next.properties.status),
                document
            ],
        );
        if let Some(taken) = name_taken(connection, &record.name, &updated)? {
            return Ok(Err(taken));
        }
        updated?;
        let mut changes;
        let body = match form {
            EventForm::State => Body::State(text(&record)?),
            EventForm::Changes => {
                let tree = |sensor| representation::tree(sensor, &self.links).map_err(damaged);
                changes = merge_patch::diff(&tree(current)?, &tree(next)?);
                if is_planted("bug.patch-misses-member") {
                    changes.remove("updated_at");
                }
                Body::Changes(&changes)
            }
        };
        self.append(ChangeKind::Modified, Some(current), next, body, moment)?;
        self.changes.becomes(record.clone());
        Ok(Ok(Outcome::Modified(record)))
    }

    fn delete(&mut self, connection: &Connection, current: &Sensor, moment: Moment) -> Step {
        if !is_planted("bug.stale-cache-after-delete") {
            self.changes.unsettle(current.id);
        }
        let id = current.id.to_string();
        write_one(connection, "DELETE FROM sensors WHERE id = ?", [id])?;
        let kind = ChangeKind::Deleted;
        self.append(kind, Some(current), current, Body::Gone, moment)?;
        Ok(Ok(Outcome::Deleted(current.id, moment.revision)))
    }

    /// Has an event written to the log. `sensor` is the sensor as it is now, or was last.
    fn append(
        &mut self,
        kind: ChangeKind,
        before: Option<&Sensor>,
        sensor: &Sensor,
        body: Body<'_>,
        moment: Moment,
    ) -> Result<(), StoreError> {
        let previous = before.map(|before| before.revision);
        let payload = payload(kind, sensor.id, &self.epoch, moment.revision, previous, body).map_err(damaged)?;
        let name = &sensor.properties.name;
        let former_name = before
            .map(|before| &before.properties.name)
            .filter(|former| *former != name);
        self.events.push(NewEvent {
            moment,
            sensor: sensor.id,
            kind,
            name: name.clone(),
            former_name: former_name.cloned(),
            payload,
        });
        Ok(())
    }

    /// Writes the events to the log: the only place that does. `batch` is that which all of them are part of.
    pub(super) fn write_events(&mut self, connection: &Connection, batch: Option<&str>) -> Result<(), StoreError> {
        if batch.is_none() && is_planted("bug.event-outside-transaction") {
            connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        }
        let count = self.events.len();
        for (index, event) in self.events.drain(..).enumerate() {
            let payload = match batch {
                Some(id) => in_batch(&event.payload, BatchForm { id, index, count }).map_err(damaged)?,
                None => event.payload,
            };
            reach("store.before-event")?;
            write_one(
                connection,
                "INSERT INTO events (revision, sensor_id, kind, committed_at_ms, payload, name, former_name)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                params![
                    event.moment.revision.get(),
                    event.sensor.to_string(),
                    event.kind.as_str(),
                    event.moment.now.unix_ms(),
                    payload,
                    event.name.as_str(),
                    event.former_name.as_ref().map(SensorName::as_str)
                ],
            )?;
            reach("store.after-event")?;
        }
        Ok(())
    }

    /// Forgets the changes whose events are not written: they are rolled back.
    pub(super) fn take_back(&mut self) {
        for event in self.events.drain(..) {
            self.changes.take_back(event.sensor);
        }
    }

    /// The refusal, told of the sensor as it is when the changes before it are rolled back.
    pub(super) fn as_it_is(
        &self,
        connection: &Connection,
        target: &SensorRef,
        mut error: WriteError,
    ) -> Result<WriteError, StoreError> {
        let find = |sensor: &SensorRef| find(connection, sensor, &self.links);
        match &mut error {
            WriteError::Refused { current, .. } => *current = find(target)?.map(Box::new),
            WriteError::NameTaken { holder: Some(id) } if find(&SensorRef::Id(*id))?.is_none() => {
                error = WriteError::NameTaken { holder: None };
            }
            _ => {}
        }
        Ok(error)
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

/// Runs a statement, prepared once, and gives the number of rows that it changed.
pub(super) fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(parameters)
}

/// Notes something about the store itself.
pub(super) fn note(connection: &Connection, note: Note) -> rusqlite::Result<()> {
    // The cursor never goes back; writing it anew where it stands is the probe.
    let at_least = match note {
        Note::Relayed(revision) => revision.get(),
        Note::Probe => 0,
    };
    write_one(connection, "UPDATE relay SET revision = max(revision, ?)", [at_least])
}

/// Writes down the newest revision.
pub(super) fn set_head(connection: &Connection, head: Revision) -> rusqlite::Result<()> {
    write_one(connection, "UPDATE store SET head = ?", [head.get()])
}

/// Removes at most `limit` of the oldest events: those up to `last` that were committed before `committed_before_ms` and
/// that the relay has published. Gives how many.
pub(super) fn prune(
    connection: &Connection,
    last: Revision,
    committed_before_ms: i64,
    limit: usize,
) -> rusqlite::Result<usize> {
    // Clocks are set back at times: what comes after an event that has to stay stays with it, so that no hole appears.
    execute(
        connection,
        "WITH oldest AS (
             SELECT revision, committed_at_ms FROM events
             WHERE revision <= min(?, (SELECT revision FROM relay)) ORDER BY revision LIMIT ?
         )
         DELETE FROM events WHERE revision IN (SELECT revision FROM oldest) AND revision < coalesce(
             (SELECT min(revision) FROM oldest WHERE committed_at_ms >= ?), 9223372036854775807)",
        params![
            last.get(),
            i64::try_from(limit).unwrap_or(i64::MAX),
            committed_before_ms
        ],
    )
}

/// The oldest event that is kept.
pub(super) fn oldest_event(connection: &Connection) -> rusqlite::Result<Option<Revision>> {
    let mut statement = connection.prepare_cached("SELECT min(revision) FROM events")?;
    let oldest: Option<i64> = statement.query_row([], |row| row.get(0))?;
    Ok(oldest.map(Revision::new))
}

/// The sensor as the transaction sees it.
fn find(connection: &Connection, sensor: &SensorRef, links: &LinkBase) -> Result<Option<Record>, StoreError> {
    let (sql, key) = match sensor {
        SensorRef::Id(id) => (
            "SELECT id, name, revision, status, document FROM sensors WHERE id = ?",
            id.to_string(),
        ),
        SensorRef::Name(name) => (
            "SELECT id, name, revision, status, document FROM sensors WHERE name = ?",
            name.to_string(),
        ),
    };
    let read = |row: &Row| {
        Ok(SensorRow {
            id: row.get(0)?,
            name: row.get(1)?,
            revision: row.get(2)?,
            status: row.get(3)?,
            document: row.get(4)?,
        })
    };
    let row = connection.prepare_cached(sql)?.query_row([key], read).optional()?;
    row.map(|row| row.into_record(links)).transpose()
}

/// Whether a write broke the one rule that a client can break here: names are unique.
fn name_taken<T>(
    connection: &Connection,
    name: &SensorName,
    written: &rusqlite::Result<T>,
) -> Result<Option<WriteError>, StoreError> {
    let code = written.as_ref().err().and_then(rusqlite::Error::sqlite_error);
    if code.is_none_or(|code| code.extended_code != rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached("SELECT id FROM sensors WHERE name = ?")?;
    let holder: String = statement.query_row([name.as_str()], |row| row.get(0))?;
    let holder = Some(holder.parse().map_err(damaged)?);
    Ok(Some(WriteError::NameTaken { holder }))
}

/// Runs a statement that changes one row.
fn write_one(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<()> {
    match execute(connection, sql, parameters)? {
        1 => Ok(()),
        other => Err(rusqlite::Error::StatementChangedRows(other)),
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
