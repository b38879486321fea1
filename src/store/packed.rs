//! A sensor in little room, so that a million of them fit in memory: two thirds of its representation are links, which follow
//! from the rest, and most of the rest are words that all sensors share.

use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

use super::row::damaged;
use super::{Record, StoreError};
use crate::domain::{SensorId, SensorName, Status, Version};
use crate::wire::link::LinkBase;
use crate::wire::representation::{document_head, representation};

/// What documents have in common after their name: the members in the order of `SensorForm`, with values that are likely.
/// It is never written to the disk, so that it can change.
const DICTIONARY: &[u8] = br#""metadata":{"":[true,false]},"kind":"temperature","unit":"Cel","value":0.5,"measured_at":"2026-11-22T11:00:00.000Z","status":"inactive","location":{"type":"Point","coordinates":[10.0,50.0]},"metadata":{"":""},"revision":1,"status":"active","revision":1,"created_at":"2026-11-22T10:00:00.000Z","updated_at":"2026-11-22T11:00:00.000Z"}"#;

/// A sensor; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub version: Version,
    status: Status,
    /// The length of the name in a byte, the name, and what follows it in the document as an LZ4 block.
    bytes: Arc<[u8]>,
}

impl Packed {
    /// `document` is that of the sensor; `None` when it begins with something else than the id and the name.
    pub(super) fn of(record: &Record, status: Status, document: &str) -> Option<Self> {
        let name = record.name.as_str().as_bytes();
        let rest = document.strip_prefix(&document_head(record.id, &record.name))?;
        let block = compress_prepend_size_with_dict(rest.as_bytes(), DICTIONARY);
        Some(Self {
            version: record.version(),
            status,
            bytes: [&[u8::try_from(name.len()).ok()?], name, &block].concat().into(),
        })
    }

    /// How many bytes it takes beside its fields.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_called(&self, name: &SensorName) -> bool {
        self.parts().is_some_and(|(own, _)| own == name.as_str().as_bytes())
    }

    /// The document of the sensor, whose id is this.
    pub(super) fn document(&self, id: SensorId) -> Result<String, StoreError> {
        Ok(self.unpack(id)?.1)
    }

    /// The sensor, whose id is this, ready to be sent.
    pub(super) fn record(&self, id: SensorId, links: &LinkBase) -> Result<Record, StoreError> {
        let (name, document) = self.unpack(id)?;
        Ok(Record {
            id,
            name,
            revision: self.version.revision,
            updated_at: self.version.updated_at,
            representation: representation(&document, &id.to_string(), self.status, links).into(),
        })
    }

    fn unpack(&self, id: SensorId) -> Result<(SensorName, String), StoreError> {
        let (name, block) = self.parts().ok_or_else(|| damaged("it was packed wrongly"))?;
        let name: SensorName = std::str::from_utf8(name).map_err(damaged)?.parse().map_err(damaged)?;
        let rest = decompress_size_prepended_with_dict(block, DICTIONARY).map_err(damaged)?;
        let rest = std::str::from_utf8(&rest).map_err(damaged)?;
        let document = [&document_head(id, &name), rest].concat();
        Ok((name, document))
    }

    fn parts(&self) -> Option<(&[u8], &[u8])> {
        let (length, rest) = self.bytes.split_first()?;
        rest.split_at_checked(usize::from(*length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::representation::document;
    use crate::wire::samples::sensors;

    #[test]
    fn what_is_packed_is_unpacked() {
        let links = LinkBase::new("https://example.org", "mqtt://example.org", "");
        for sensor in sensors() {
            let document = document(&sensor).unwrap();
            let status = sensor.properties.status;
            let record = Record {
                id: sensor.id,
                name: sensor.properties.name,
                revision: sensor.revision,
                updated_at: sensor.updated_at,
                representation: representation(&document, &sensor.id.to_string(), status, &links).into(),
            };
            let packed = Packed::of(&record, status, &document).unwrap();
            assert_eq!(packed.document(sensor.id).unwrap(), document);
            assert!(packed.is_called(&record.name) && !packed.is_called(&"other".parse().unwrap()));
            assert!(packed.len() < document.len() * 2 / 3, "{} of {document}", packed.len());
            assert_eq!(packed.record(sensor.id, &links).unwrap(), record);
            assert!(Packed::of(&record, status, &document[1..]).is_none());
        }
    }
}
