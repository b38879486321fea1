use crate::domain::*;
#[derive(Debug, Clone)]
pub struct StoredEvent {
    pub revision: Revision,
    pub sensor: SensorId,
    pub kind: ChangeKind,
    pub committed_at: Timestamp,
    pub payload: bytes::Bytes,
}
