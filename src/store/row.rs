//! A row of `sensors`, whichever library reads it.

use super::{Record, StoreError};
use crate::domain::{Revision, SensorId, Status, Timestamp};
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
    pub(super) fn into_record(self, links: &LinkBase) -> Result<Record, StoreError> {
        let id: SensorId = self.id.parse().map_err(damaged)?;
        let status = match self.status.as_str() {
            "active" => Status::Active,
            _ => Status::Inactive,
        };
        let name = self.name.parse().map_err(damaged)?;
        let representation = representation(&self.document, &self.id, status, links);
        Ok(Record {
            id,
            name,
            revision: Revision::new(self.revision),
            updated_at: instant(&self.document)?,
            representation: representation.into(),
        })
    }
}

/// When the sensor became what its document or its representation shows.
pub(super) fn instant(document: &str) -> Result<Timestamp, StoreError> {
    updated_at(document.as_bytes()).ok_or_else(|| damaged("an instant"))
}

/// What is in the database is not what this version writes.
pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Database(format!("a row is damaged: {error}").into())
}
