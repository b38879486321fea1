use std::collections::HashSet;
use std::fmt::Display;

use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::status::{RelayState, RelayStatus};
use super::suspect::Suspect;
use super::trouble::Trouble;
use crate::domain::{Revision, SensorId, Timestamp};
use crate::store::StoredEvent;

/// How far the relay has come; it outlives connections.
pub(super) struct Progress {
    /// Every event up to here is acknowledged or set aside.
    pub(super) cursor: Revision,
    /// Which message may be poison.
    pub(super) suspect: Suspect,
    /// The sensors whose state was convicted of that.
    shunned: HashSet<SensorId>,
    /// How many messages a connection may have refused, with none taken, until it is given up: more on each that was.
    pub(super) patience: usize,
    /// That the broker refuses the presence.
    pub(super) presence_trouble: Trouble,
    /// That the states that the sweep is to send cannot be read.
    pub(super) states_trouble: Trouble,
    /// What could not be read of the next events when that was tried last.
    unread: Option<&'static str>,
    /// For everybody to read.
    pub(super) status: RelayStatus,
    /// Told to whoever persists the cursor.
    reached: watch::Sender<Revision>,
}

/// What has to be remembered of an event that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentEvent {
    pub(super) revision: Revision,
    /// The event before it in the log, which the cursor has to have reached.
    pub(super) previous: Revision,
    pub(super) sensor: SensorId,
    pub(super) committed_at: Timestamp,
}

/// The cursor would pass over an event that is neither acknowledged nor set aside. It stays where it is: a connection that goes on
/// from there repeats events, and loses none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap;

/// Why the next events cannot be published: something of theirs cannot be read.
pub(super) enum Unread<E> {
    Events(E),
    /// Where states are retained: each goes before its event.
    States(E),
}

impl SentEvent {
    pub(super) fn new(event: &StoredEvent, previous: Revision) -> Self {
        Self {
            revision: event.revision,
            previous,
            sensor: event.sensor,
            committed_at: event.committed_at,
        }
    }
}

/// So many refusals say nothing of one message: the broker may take none.
const MIN_PATIENCE: usize = 64;
/// So many in a row are not gone beyond, and are remembered.
const MAX_PATIENCE: usize = 65_536;

impl Progress {
    pub(super) fn new(status: RelayStatus, reached: watch::Sender<Revision>) -> Self {
        let cursor = *reached.borrow();
        status.update(|state| state.acknowledged = cursor);
        Self {
            cursor,
            suspect: Suspect::default(),
            shunned: HashSet::new(),
            patience: MIN_PATIENCE,
            presence_trouble: Trouble::default(),
            states_trouble: Trouble::default(),
            unread: None,
            status,
            reached,
        }
    }

    /// The event after the cursor was acknowledged.
    pub(super) fn acknowledge(&mut self, event: SentEvent) -> Result<(), Gap> {
        self.move_over(event, |state| state.published += 1)
    }

    /// The event after the cursor will not be published: an alarm, because subscribers now miss it.
    pub(super) fn set_aside(&mut self, event: SentEvent, reason: &str) -> Result<(), Gap> {
        self.move_over(event, |state| state.set_aside += 1)?;
        error!(
            revision = event.revision.get(),
            sensor = %event.sensor,
            reason,
            "event set aside: the broker does not take it; it stays in GET /events"
        );
        Ok(())
    }

    /// What the events after this one need cannot be read, which is tried again and again. An alarm when it begins: nothing goes out
    /// meanwhile.
    pub(super) fn cannot_read(&mut self, after: Revision, unread: &Unread<impl Display>) {
        let (what, cause) = match unread {
            Unread::Events(cause) => ("the event log", cause),
            Unread::States(cause) => ("the states of the sensors that the next events are of", cause),
        };
        let after = after.get();
        self.status.unreadable();
        if self.unread.replace(what) == Some(what) {
            debug!(after, %cause, "the relay still cannot read {what}");
        } else {
            error!(after, %cause, "the relay cannot read {what}; nothing is published until it can");
        }
    }

    /// Events were read, with all that they need.
    pub(super) fn can_read(&mut self) {
        if let Some(what) = self.unread.take() {
            self.status.readable();
            info!("the relay reads {what} again");
        }
    }

    /// The states that the sweep is to send cannot be read, which is tried again and again.
    pub(super) fn cannot_read_states(&mut self, cause: &impl Display) {
        if self.states_trouble.again(&cause.to_string()).is_news {
            warn!(%cause, "the relay cannot read the states of sensors that the broker lacks; it is sent none of them until it can");
        } else {
            debug!(%cause, "the relay still cannot read the states of sensors");
        }
    }

    /// A connection was given up on which nothing was taken: perhaps what is taken stands behind what was refused.
    pub(super) fn look_further(&mut self) {
        self.patience = (self.patience * 2).min(MAX_PATIENCE);
    }

    /// The broker takes messages.
    pub(super) fn look_no_further(&mut self) {
        self.patience = MIN_PATIENCE;
    }

    /// The broker hangs up on the state of this sensor: none of it is sent as long as the process lives.
    pub(super) fn shun(&mut self, sensor: SensorId, reason: &str) {
        error!(%sensor, reason, "retained state set aside: the broker does not take it; its events go on");
        self.shunned.insert(sensor);
    }

    /// Whether the state of this sensor is not to be sent.
    pub(super) fn shuns(&self, sensor: SensorId) -> bool {
        self.shunned.contains(&sensor)
    }

    /// The only place that moves the cursor.
    fn move_over(&mut self, event: SentEvent, count: impl FnOnce(&mut RelayState)) -> Result<(), Gap> {
        if self.cursor < event.previous {
            let (cursor, revision) = (self.cursor.get(), event.revision.get());
            error!(
                cursor,
                revision, "the relay would pass over events; it goes back to its cursor"
            );
            return Err(Gap);
        }
        self.cursor = event.revision;
        self.reached.send_replace(event.revision);
        self.status.update(|state| {
            state.acknowledged = event.revision;
            count(state);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_cursor_passes_over_no_event() {
        let (reached, saved) = watch::channel(Revision::new(1));
        let status = RelayStatus::new(saved.clone(), Clock::new(|| Timestamp::UNIX_EPOCH));
        let mut progress = Progress::new(status, reached);
        let event = |previous, revision| SentEvent {
            revision: Revision::new(revision),
            previous: Revision::new(previous),
            sensor: SensorId::new(uuid::Uuid::nil()),
            committed_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(progress.acknowledge(event(2, 3)), Err(Gap));
        assert_eq!(progress.set_aside(event(2, 3), "refused"), Err(Gap));
        assert_eq!((progress.cursor, *saved.borrow()), (Revision::new(1), Revision::new(1)));
        progress.set_aside(event(1, 2), "refused").unwrap();
        progress.acknowledge(event(2, 3)).unwrap();
        assert_eq!(*saved.borrow(), Revision::new(3));
    }
}
