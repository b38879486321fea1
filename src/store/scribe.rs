//! The statements of the writer: each function is one step inside a transaction that the writer owns.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use rusqlite::{Connection, Params, params};

use super::cache::Changes;
use super::command::{Decide, Note, Outcome};
use super::packed::Packed;
use super::row::{damaged, execute, find};
use super::{Record, StoreError, StoredEvent, WriteError};
use crate::domain::{
    Change, ChangeKind, Epoch, EventForm, Label, Location, Moment, Refusal, Revision, Sensor, SensorId, SensorName,
    SensorRef, Value, Version,
};
use crate::failpoint::{is_planted, reach};
use crate::wire::changes::changes;
use crate::wire::event::{BatchForm, Body, in_batch, payload};
use crate::wire::link::LinkBase;
use crate::wire::representation::{self, representation};
use crate::wire::stored;

/// One event in so many keeps the whole state of its sensor.
pub(super) const EVENTS_PER_STATE: usize = 64;

/// An event that is not written down yet.
pub(super) struct Entry {
    event: StoredEvent,
    /// The document of the sensor, where it is kept with the event.
    state: Option<String>,
}

/// Writes sensors together with their events.
pub(super) struct Scribe {
    pub epoch: Epoch,
    pub links: LinkBase,
    /// What the transaction has changed so far, for those who read without a query.
    pub changes: Changes,
    /// The events of the changes that were made and not written down yet.
    pub entries: Vec<Entry>,
}

/// What a step gives: an answer for its client, or a failure of the store, which undoes the whole group.
type Step = Result<Result<Outcome, WriteError>, StoreError>;

impl Scribe {
    /// Lets `decide` see the sensor and does what it says, in one statement: one that breaks a rule leaves nothing behind
    /// (SQLite's `ABORT`), so that a refused write undoes no other of its group. The event waits for [`Scribe::write_events`].
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        target: &SensorRef,
        decide: Decide,
        moment: Moment,
    ) -> Step {
        let current = match self.current(connection, target)? {
            Ok(current) => current,
            Err(damaged) => return Ok(Err(damaged.into())),
        };
        let change = match decide(current.as_deref(), moment) {
            Ok(change) => change,
            Err(refusal) => {
                return Ok(Err(WriteError::Refused {
                    refusal,
                    current: current.as_deref().map(state_of),
                    after_others: false,
                }));
            }
        };
        let done = match (change, &current) {
            (Change::Create(sensor), None) => self.create(connection, sensor, moment),
            (Change::Modify(next, form), Some(current)) => self.modify(connection, current, next, form, moment),
            (Change::Delete, Some(current)) => self.delete(connection, current, moment),
            (Change::None, Some(current)) => Ok(Ok(Outcome::Unchanged(self.record(current)?.0))),
            (change, _) => Err(damaged(format_args!("{change:?} does not fit what is there"))),
        }?;
        reach("store.after-change")?;
        Ok(done)
    }

    /// The sensor as it is.
    fn current(
        &self,
        connection: &Connection,
        target: &SensorRef,
    ) -> rusqlite::Result<Result<Option<Arc<Sensor>>, StoreError>> {
        if let Some(sensor) = self.changes.unchanged(target) {
            return Ok(Ok(Some(sensor)));
        }
        let sensor = stored_sensor(connection, target)?;
        if let (SensorRef::Name(name), Ok(Some(sensor))) = (target, &sensor) {
            self.changes.note_name(name, sensor.id);
        }
        Ok(sensor.map(|sensor| sensor.map(Arc::new)))
    }

    fn create(&mut self, connection: &Connection, sensor: Sensor, moment: Moment) -> Step {
        let (record, document) = self.record(&sensor)?;
        self.changes.unsettle(record.id);
        let inserted = write_one(
            connection,
            "INSERT INTO sensors (id, name, status, kind, unit, longitude_deg, latitude_deg, revision, value_number,
                 updated_at_ms, document, created_at_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                record.id.to_string(),
                record.name.as_str(),
                sensor.properties.status.as_str(),
                sensor.properties.kind.as_ref().map(Label::as_str),
                sensor.properties.unit.as_ref().map(Label::as_str),
                sensor.properties.location.map(Location::longitude_deg),
                sensor.properties.location.map(Location::latitude_deg),
                record.revision.get(),
                value_number(&sensor),
                sensor.updated_at.unix_ms(),
                document,
                sensor.created_at.unix_ms()
            ],
        );
        if let Some(taken) = name_taken(connection, &record.name, &inserted)? {
            return Ok(Err(taken));
        }
        inserted?;
        let state = Body::State(text(&record.representation)?);
        self.append(ChangeKind::Created, None, &sensor, state, Some(&document), moment)?;
        let packed = Packed::of(&record, sensor.properties.status, &document);
        self.changes.becomes(packed, &document, sensor);
        Ok(Ok(Outcome::Created(record)))
    }

    fn modify(
        &mut self,
        connection: &Connection,
        current: &Sensor,
        next: Sensor,
        form: EventForm,
        moment: Moment,
    ) -> Step {
        let (record, document) = self.record(&next)?;
        self.changes.unsettle(record.id);
        let updated = update(connection, current, &next, &document);
        if let Some(taken) = name_taken(connection, &record.name, &updated)? {
            return Ok(Err(taken));
        }
        updated?;
        let mut patch;
        let body = match form {
            EventForm::State => Body::State(text(&record.representation)?),
            EventForm::Changes => {
                patch = changes(current, &next, &self.links).map_err(damaged)?;
                if is_planted("bug.patch-misses-member") {
                    patch.remove("updated_at");
                }
                Body::Changes(&patch)
            }
        };
        let kind = ChangeKind::Modified;
        self.append(kind, Some(current), &next, body, Some(&document), moment)?;
        let packed = Packed::of(&record, next.properties.status, &document);
        self.changes.becomes(packed, &document, next);
        Ok(Ok(Outcome::Modified(record)))
    }

    fn delete(&mut self, connection: &Connection, current: &Sensor, moment: Moment) -> Step {
        if !is_planted("bug.stale-cache-after-delete") {
            self.changes.unsettle(current.id);
        }
        let id = current.id.to_string();
        write_one(connection, "DELETE FROM sensors WHERE id = ?", [id])?;
        let kind = ChangeKind::Deleted;
        self.append(kind, Some(current), current, Body::Gone, None, moment)?;
        Ok(Ok(Outcome::Deleted(current.id, moment.revision)))
    }

    /// Has an event written to the log. `sensor` is the sensor as it is now, or was last; `document` what it is now.
    fn append(
        &mut self,
        kind: ChangeKind,
        before: Option<&Sensor>,
        sensor: &Sensor,
        body: Body<'_>,
        document: Option<&str>,
        moment: Moment,
    ) -> Result<(), StoreError> {
        let previous = before.map(|before| before.revision);
        let payload = payload(kind, sensor.id, &self.epoch, moment.revision, previous, body).map_err(damaged)?;
        let name = sensor.properties.name.as_str();
        let former_name = before
            .map(|before| before.properties.name.as_str())
            .filter(|former| *former != name);
        let event = StoredEvent {
            revision: moment.revision,
            sensor: sensor.id,
            name: name.into(),
            former_name: former_name.map(Into::into),
            kind,
            committed_at: moment.now,
            payload: payload.into(),
        };
        let state = document.filter(|_| keeps_state(moment.revision)).map(str::to_owned);
        self.entries.push(Entry { event, state });
        Ok(())
    }

    /// Writes the events to the log: the only place that does. `batch` is that which all of them are part of.
    pub(super) fn write_events(&mut self, connection: &Connection, batch: Option<&str>) -> Result<(), StoreError> {
        if batch.is_none() && is_planted("bug.event-outside-transaction") {
            connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        }
        let count = self.entries.len();
        for (index, Entry { mut event, state }) in self.entries.drain(..).enumerate() {
            if let Some(id) = batch {
                let form = BatchForm { id, index, count };
                event.payload = in_batch(text(&event.payload)?, form).map_err(damaged)?.into();
            }
            reach("store.before-event")?;
            write_one(
                connection,
                "INSERT INTO events (revision, sensor_id, kind, committed_at_ms, payload, name, former_name, state)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    event.revision.get(),
                    event.sensor.to_string(),
                    event.kind.as_str(),
                    event.committed_at.unix_ms(),
                    text(&event.payload)?,
                    event.name,
                    event.former_name,
                    state
                ],
            )?;
            self.changes.append(event);
            reach("store.after-event")?;
        }
        Ok(())
    }

    /// Forgets all that the transaction changed: it is rolled back.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.changes.forget();
    }

    /// Forgets the changes whose events are not written: they are rolled back.
    pub(super) fn take_back(&mut self) {
        for entry in self.entries.drain(..) {
            self.changes.take_back(entry.event.sensor);
        }
    }

    fn record(&self, sensor: &Sensor) -> Result<(Record, String), StoreError> {
        let document = representation::document(sensor).map_err(damaged)?;
        let status = sensor.properties.status;
        let representation = representation(&document, &sensor.id.to_string(), status, &self.links);
        let record = Record {
            id: sensor.id,
            name: sensor.properties.name.clone(),
            revision: sensor.revision,
            updated_at: sensor.updated_at,
            representation: representation.into(),
        };
        Ok((record, document))
    }
}

/// The refusal of a write of a batch, in terms of the sensor as it is after the rollback of the earlier changes of the batch. `are_any`
/// says whether there were such changes, and `before` is the newest revision before them.
pub(super) fn as_it_is(
    connection: &Connection,
    target: &SensorRef,
    are_any: bool,
    before: Revision,
    mut error: WriteError,
) -> Result<WriteError, StoreError> {
    match &mut error {
        WriteError::Refused {
            refusal,
            current,
            after_others,
        } => {
            let there = match stored_sensor(connection, target)? {
                Ok(there) => there.as_ref().map(state_of),
                Err(damaged) => return Ok(damaged.into()),
            };
            let was_there = std::mem::replace(current, there);
            *after_others = match refusal {
                Refusal::ListPreconditionFailed(_, head) => {
                    *head = before;
                    are_any
                }
                _ => was_there != there,
            };
        }
        WriteError::NameTaken { holder: Some(id) } if find(connection, &SensorRef::Id(*id))?.is_none() => {
            error = WriteError::NameTaken { holder: None };
        }
        _ => {}
    }
    Ok(error)
}

/// The sensor as the transaction sees it. The inner error is a damaged row, which concerns only those who want that sensor.
fn stored_sensor(connection: &Connection, target: &SensorRef) -> rusqlite::Result<Result<Option<Sensor>, StoreError>> {
    let row = find(connection, target)?;
    let sensor = row.map(|row| stored::read(row.document.as_bytes()).map_err(damaged));
    Ok(sensor.transpose())
}

/// What tells a refused client which sensor it met, and which of its states.
fn state_of(sensor: &Sensor) -> (SensorId, Version) {
    (sensor.id, Version::from(sensor))
}

/// Whether the event of this revision stores the state. Decided by a hash, so that sensors that are written in turn all get their
/// share.
fn keeps_state(revision: Revision) -> bool {
    BuildHasherDefault::<DefaultHasher>::new()
        .hash_one(revision.get())
        .is_multiple_of(EVENTS_PER_STATE as u64)
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

/// Writes a sensor that was `current` before. Where it only reports, which sensors do all day, the columns that stay are not
/// named: SQLite would write their indexes anew.
fn update(connection: &Connection, current: &Sensor, next: &Sensor, document: &str) -> rusqlite::Result<()> {
    if next.properties.differ_in_value_alone(&current.properties) {
        return write_one(
            connection,
            "UPDATE sensors SET revision = ?2, value_number = ?3, updated_at_ms = ?4, document = ?5 WHERE id = ?1",
            params![
                next.id.to_string(),
                next.revision.get(),
                value_number(next),
                next.updated_at.unix_ms(),
                document
            ],
        );
    }
    write_one(
        connection,
        "UPDATE sensors SET name = ?2, status = ?3, kind = ?4, unit = ?5, longitude_deg = ?6, latitude_deg = ?7, revision = ?8,
             value_number = ?9, updated_at_ms = ?10, document = ?11 WHERE id = ?1",
        params![
            next.id.to_string(),
            next.properties.name.as_str(),
            next.properties.status.as_str(),
            next.properties.kind.as_ref().map(Label::as_str),
            next.properties.unit.as_ref().map(Label::as_str),
            next.properties.location.map(Location::longitude_deg),
            next.properties.location.map(Location::latitude_deg),
            next.revision.get(),
            value_number(next),
            next.updated_at.unix_ms(),
            document
        ],
    )
}

/// The value, where it is a number.
fn value_number(sensor: &Sensor) -> Option<f64> {
    match &sensor.properties.value {
        Some(Value::Number(number)) => number.as_f64(),
        _ => None,
    }
}

/// Runs a statement that changes one row.
fn write_one(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<()> {
    match execute(connection, sql, parameters)? {
        1 => Ok(()),
        other => Err(rusqlite::Error::StatementChangedRows(other)),
    }
}

fn text(json: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(json).map_err(damaged)
}
