//! The way back from the representation to the sensor: what was written is read by the store alone.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::input;
use super::representation::{StatusForm, ValueForm};
use crate::domain::{Properties, Revision, Sensor, Timestamp};

/// A representation as it is read back; its links follow from the rest.
#[derive(Deserialize)]
struct StoredForm<'a> {
    id: &'a str,
    name: &'a str,
    kind: Option<String>,
    unit: Option<String>,
    value: Option<ValueForm>,
    measured_at: Option<&'a str>,
    status: StatusForm,
    location: Option<Map<String, Json>>,
    metadata: Option<Map<String, Json>>,
    revision: i64,
    created_at: &'a str,
    updated_at: &'a str,
}

/// A stored document that this version could not have written: the database was changed by something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a stored document is damaged")]
pub struct ReadError;

/// Reads a representation back.
///
/// # Errors
/// When it is none that this version could have written.
pub fn read(representation: &[u8]) -> Result<Sensor, ReadError> {
    let stored: StoredForm = serde_json::from_slice(representation).map_err(|_| ReadError)?;
    let instant = |text: &str| text.parse::<Timestamp>().map_err(|_| ReadError);
    Ok(Sensor {
        id: stored.id.parse().map_err(|_| ReadError)?,
        measured_at: stored.measured_at.map(instant).transpose()?,
        revision: Revision::new(stored.revision),
        created_at: instant(stored.created_at)?,
        updated_at: instant(stored.updated_at)?,
        properties: properties(stored)?,
    })
}

fn properties(stored: StoredForm) -> Result<Properties, ReadError> {
    let label = |text: Option<String>| text.map(|text| text.parse()).transpose().map_err(|_| ReadError);
    Ok(Properties {
        name: stored.name.parse().map_err(|_| ReadError)?,
        kind: label(stored.kind)?,
        unit: label(stored.unit)?,
        value: stored
            .value
            .map(|value| input::value_of(value, "/value"))
            .transpose()
            .map_err(|_| ReadError)?,
        status: stored.status.into(),
        location: stored
            .location
            .map(input::location_of)
            .transpose()
            .map_err(|_| ReadError)?,
        metadata: stored
            .metadata
            .map(input::metadata_of)
            .transpose()
            .map_err(|_| ReadError)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::LinkBase;
    use crate::wire::representation::{document, representation};
    use crate::wire::samples::sensors;

    #[test]
    fn what_is_written_is_read_back() {
        let links = LinkBase::new("https://example.org", "mqtt://example.org", "");
        for sensor in sensors() {
            let (id, status) = (sensor.id.to_string(), sensor.properties.status);
            let written = representation(&document(&sensor).unwrap(), &id, status, &links);
            assert_eq!(read(written.as_bytes()), Ok(sensor));
            assert_eq!(read(&written.as_bytes()[1..]), Err(ReadError));
        }
    }
}
