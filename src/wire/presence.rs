//! The head and the presence: what is retained on the topic `sensors`.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Epoch, Revision};

/// The retained message on the collection's own topic: whether the publisher is there, and the newest revision, so that a
/// subscriber sees a lost tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether the publisher is there.
    pub status: PresenceStatus,
    /// The life of the store.
    pub epoch: Epoch,
    /// The newest committed revision, published already or not.
    pub revision: Revision,
}

/// Whether the publisher is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// It publishes.
    Online,
    /// It has stopped, or the broker lost it (the Last Will).
    Offline,
}

/// Whether the publisher is there, and the newest revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Presence)]
pub struct PresenceForm<'a> {
    /// `offline` when the service has stopped, or the broker has lost it.
    pub status: PresenceStatus,
    /// The life of the store that the revision belongs to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    pub epoch: &'a str,
    /// The newest committed revision, published already or not.
    #[schema(minimum = 0, example = 45)]
    pub revision: i64,
}

impl Presence {
    /// Its quality of service: it is one message a second at most and has to arrive, whatever the events do.
    pub const QOS: u8 = 1;

    /// The JSON text, e.g. `{"status":"online","epoch":"k3f7q2vt","revision":45}`.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let form = PresenceForm {
            status: self.status,
            epoch: self.epoch.as_str(),
            revision: self.revision.get(),
        };
        // Two texts and a number always serialize; an empty payload would only clear the retained message.
        serde_json::to_vec(&form).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presence_reads_as_the_contract_writes_it() {
        let presence = Presence {
            status: PresenceStatus::Online,
            epoch: Epoch::from_random(0),
            revision: Revision::new(45),
        };
        assert_eq!(
            presence.to_json(),
            r#"{"status":"online","epoch":"aaaaaaaa","revision":45}"#
        );
    }
}
