use super::progress::SentEvent;
use super::suspect::Culprit;
use crate::domain::{Revision, SensorId};
use crate::store::{SensorState, StoredEvent};

/// What travels in the queue of a connection.
#[derive(Debug)]
pub(super) enum Parcel {
    /// An event.
    Event(StoredEvent),
    /// The state of a sensor, to be retained.
    State(SensorState),
    /// No message: when its turn comes, every state that was missing in the broker's memory is acknowledged.
    SweepEnd,
}

/// What has to be remembered of a parcel that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    Event(SentEvent),
    State(SensorId),
    SweepEnd,
}

impl Parcel {
    /// The event in it.
    pub(super) fn event(&self) -> Option<&StoredEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::State(_) | Self::SweepEnd => None,
        }
    }

    /// To be remembered of it, when the event before it was this one.
    pub(super) fn to_sent(&self, previous: Revision) -> Sent {
        match self {
            Self::Event(event) => Sent::Event(SentEvent::new(event, previous)),
            Self::State(state) => Sent::State(state.sensor),
            Self::SweepEnd => Sent::SweepEnd,
        }
    }
}

impl Sent {
    /// The event in it.
    pub(super) fn event(&self) -> Option<&SentEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::State(_) | Self::SweepEnd => None,
        }
    }

    /// What to call it when it is suspected of being poison.
    pub(super) fn culprit(&self) -> Option<Culprit> {
        match self {
            Self::Event(event) => Some(Culprit::Event(event.revision)),
            Self::State(sensor) => Some(Culprit::State(*sensor)),
            Self::SweepEnd => None,
        }
    }
}
