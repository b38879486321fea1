//! A row of `sensors`, whichever library reads it.

use rusqlite::{Connection, OptionalExtension};

use super::{Record, StoreError};
use crate::domain::{Revision, SensorId, SensorRef, Status, Timestamp};
use crate::wire::link::LinkBase;
use crate::wire::representation::{representation, updated_at};

/// A row of `sensors`.
pub(super) struct SensorRow<Text = String> {
    pub id: Text,
    pub name: Text,
    pub revision: i64,
    pub status: Text,
    pub document: Text,
}

impl<Text: AsRef<str>> SensorRow<Text> {
    pub(super) fn into_record(self, links: &LinkBase) -> Result<Record, StoreError> {
        let id: SensorId = self.id.as_ref().parse().map_err(damaged)?;
        let status = match self.status.as_ref() {
            "active" => Status::Active,
            _ => Status::Inactive,
        };
        let name = self.name.as_ref().parse().map_err(damaged)?;
        let document = self.document.as_ref();
        let representation = representation(document, self.id.as_ref(), status, links);
        Ok(Record {
            id,
            name,
            revision: Revision::new(self.revision),
            updated_at: instant(document)?,
            representation: representation.into(),
        })
    }
}

/// The sensor as the connection sees it, by either of its keys.
pub(super) fn find(
    connection: &Connection,
    sensor: &SensorRef,
    links: &LinkBase,
) -> Result<Option<Record>, StoreError> {
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
        let row = SensorRow {
            id: row.get_ref(0)?.as_str()?,
            name: row.get_ref(1)?.as_str()?,
            revision: row.get(2)?,
            status: row.get_ref(3)?.as_str()?,
            document: row.get_ref(4)?.as_str()?,
        };
        Ok(row.into_record(links))
    };
    connection
        .prepare_cached(sql)?
        .query_row([key], read)
        .optional()?
        .transpose()
}

/// When the sensor became what its document or its representation shows.
pub(super) fn instant(document: &str) -> Result<Timestamp, StoreError> {
    updated_at(document.as_bytes()).ok_or_else(|| damaged("an instant"))
}

/// What is in the database is not what this version writes.
pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(format!("a row is damaged: {error}").into())
}
