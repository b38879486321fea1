//! A row of `sensors`, whichever library reads it.

use rusqlite::{Connection, OptionalExtension, Params};

use super::{Record, StoreError};
use crate::domain::{Revision, SensorRef, Status, Timestamp};
use crate::wire::link::LinkBase;
use crate::wire::representation::{representation, updated_at};

/// A row of `sensors`.
pub(super) struct SensorRow {
    pub id: String,
    pub name: String,
    pub revision: i64,
    pub status: String,
    pub document: String,
}

impl SensorRow {
    /// The sensor, ready to be sent.
    pub(super) fn record(&self, links: &LinkBase) -> Result<Record, StoreError> {
        Ok(Record {
            id: self.id.parse().map_err(damaged)?,
            name: self.name.parse().map_err(damaged)?,
            revision: Revision::new(self.revision),
            updated_at: instant(&self.document)?,
            representation: representation(&self.document, &self.id, self.status(), links).into(),
        })
    }

    pub(super) fn status(&self) -> Status {
        match self.status.as_str() {
            "active" => Status::Active,
            _ => Status::Inactive,
        }
    }
}

/// The sensor as the connection sees it, by either of its keys.
pub(super) fn find(connection: &Connection, sensor: &SensorRef) -> rusqlite::Result<Option<SensorRow>> {
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
    let read = |row: &rusqlite::Row<'_>| {
        Ok(SensorRow {
            id: row.get(0)?,
            name: row.get(1)?,
            revision: row.get(2)?,
            status: row.get(3)?,
            document: row.get(4)?,
        })
    };
    connection.prepare_cached(sql)?.query_row([key], read).optional()
}

/// The newest revision, as the connection sees it.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Revision> {
    let mut statement = connection.prepare_cached("SELECT head FROM store")?;
    statement.query_row([], |row| row.get(0)).map(Revision::new)
}

/// Runs a statement, prepared once, and gives the number of rows that it changed.
pub(super) fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(parameters)
}

/// When the sensor became what its document or its representation shows.
pub(super) fn instant(document: &str) -> Result<Timestamp, StoreError> {
    updated_at(document.as_bytes()).ok_or_else(|| damaged("an instant"))
}

/// What is in the database is not what this version writes.
pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(format!("a row is damaged: {error}").into())
}
