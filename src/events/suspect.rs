use crate::domain::{Revision, SensorId};

/// Which message may be the reason why connections are lost.
///
/// Some brokers hang up on a message that they do not take, without a word; such poison looks like a lost connection.
/// So: a message that was the first unacknowledged one at the end of [`LOSSES_BEFORE_ALONE`] connections in a row is sent
/// alone once, and when that connection is lost as well it is convicted.
///
/// A message for which the broker has no room now comes again alone as well: what is sent behind it would pass it, were it
/// refused once more.
#[derive(Debug, Default)]
pub(super) struct Suspect {
    culprit: Option<Culprit>,
    losses: u32,
    refused: Option<Culprit>,
}

/// A message that comes again on every connection until it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Culprit {
    Event(Revision),
    State(SensorId),
}

/// How many connections in a row a message may head at their loss before it has to travel alone.
const LOSSES_BEFORE_ALONE: u32 = 3;

impl Suspect {
    /// Takes note that a connection was lost with this message as the first unacknowledged one. `true`: it is convicted.
    pub(super) fn convict(&mut self, first_unacknowledged: Culprit) -> bool {
        if self.culprit != Some(first_unacknowledged) {
            self.culprit = Some(first_unacknowledged);
            self.losses = 0;
        }
        self.losses += 1;
        self.losses > LOSSES_BEFORE_ALONE
    }

    /// Takes note that the broker has no room for this message now.
    pub(super) fn comes_again(&mut self, refused: Culprit) {
        self.refused = Some(refused);
    }

    /// Takes note that this message was taken.
    pub(super) fn acquit(&mut self, taken: Culprit) {
        if self.refused == Some(taken) {
            self.refused = None;
        }
    }

    /// Whether this message has to travel alone.
    pub(super) fn travels_alone(&self, message: Culprit) -> bool {
        let is_suspected = self.culprit == Some(message) && self.losses >= LOSSES_BEFORE_ALONE;
        is_suspected || self.refused == Some(message)
    }
}
