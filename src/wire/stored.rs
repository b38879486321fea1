//! The way back from the representation to the sensor: what was written is read by the store alone.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::input::{self, ReadError};
use super::representation::{StatusForm, ValueForm};
use crate::domain::{Revision, Sensor, Timestamp};

/// A representation as it is read back; its links follow from the rest.
#[derive(Deserialize)]
pub(super) struct StoredForm<'a> {
    id: &'a str,
    pub name: &'a str,
    pub kind: Option<String>,
    pub unit: Option<String>,
    pub value: Option<ValueForm>,
    measured_at: Option<&'a str>,
    pub status: StatusForm,
    pub location: Option<Map<String, Json>>,
    pub metadata: Option<Map<String, Json>>,
    revision: i64,
    created_at: &'a str,
    updated_at: &'a str,
}

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
        properties: input::stored_properties(stored)?,
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
