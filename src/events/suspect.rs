use crate::domain::Revision;

/// Which event may be the reason why connections are lost.
///
/// Some brokers hang up on a message that they do not take, without a word; such poison looks like a lost connection.
/// So: an event that was the first unacknowledged one at the end of [`LOSSES_BEFORE_ALONE`] connections in a row is sent
/// alone once, and when that connection is lost as well it is convicted.
#[derive(Debug, Default)]
pub(super) struct Suspect {
    revision: Revision,
    losses: u32,
}

/// How many connections in a row an event may head at their loss before it has to travel alone.
const LOSSES_BEFORE_ALONE: u32 = 3;

impl Suspect {
    /// Takes note that a connection was lost with this event as the first unacknowledged one. `true`: it is convicted.
    pub(super) fn convict(&mut self, first_unacknowledged: Revision) -> bool {
        if self.revision != first_unacknowledged {
            *self = Self {
                revision: first_unacknowledged,
                losses: 0,
            };
        }
        self.losses += 1;
        self.losses > LOSSES_BEFORE_ALONE
    }

    /// Whether this event has to travel alone.
    pub(super) fn travels_alone(&self, first_unacknowledged: Revision) -> bool {
        self.revision == first_unacknowledged && self.losses >= LOSSES_BEFORE_ALONE
    }
}
