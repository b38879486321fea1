use tokio::sync::watch;
use tracing::error;

use super::status::RelayStatus;
use super::suspect::Suspect;
use crate::domain::{Revision, SensorId, Timestamp};
use crate::store::StoredEvent;

/// How far the relay has come; it outlives connections.
pub(super) struct Progress {
    /// Every event up to here is acknowledged or set aside.
    pub(super) cursor: Revision,
    /// Which event may be poison.
    pub(super) suspect: Suspect,
    /// For everybody to read.
    pub(super) status: RelayStatus,
    /// Told to whoever persists the cursor.
    reached: watch::Sender<Revision>,
}

/// What has to be remembered of an event that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) revision: Revision,
    pub(super) sensor: SensorId,
    pub(super) committed_at: Timestamp,
}

impl From<&StoredEvent> for Sent {
    fn from(event: &StoredEvent) -> Self {
        Self {
            revision: event.revision,
            sensor: event.sensor,
            committed_at: event.committed_at,
        }
    }
}

impl Progress {
    pub(super) fn new(status: RelayStatus, reached: watch::Sender<Revision>) -> Self {
        let cursor = *reached.borrow();
        status.update(|state| state.acknowledged = cursor);
        Self {
            cursor,
            suspect: Suspect::default(),
            status,
            reached,
        }
    }

    /// The event after the cursor was acknowledged.
    pub(super) fn acknowledge(&mut self, event: Sent) {
        self.move_over(event);
        self.status.update(|state| state.published += 1);
    }

    /// The event after the cursor will not be published: an alarm, because subscribers now miss it.
    pub(super) fn set_aside(&mut self, event: Sent, reason: &str) {
        error!(
            revision = event.revision.get(),
            sensor = %event.sensor,
            reason,
            "event set aside: the broker does not take it; it stays in GET /events"
        );
        self.move_over(event);
        self.status.update(|state| state.set_aside += 1);
    }

    fn move_over(&mut self, event: Sent) {
        self.cursor = event.revision;
        self.reached.send_replace(event.revision);
        self.status.update(|state| state.acknowledged = event.revision);
    }
}
