//! The newest events of the log in memory, for those who follow it: a thousand readers at the head cost no query.
//!
//! It holds committed events only, without a gap: the writer appends them in order, after the commit.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use super::StoredEvent;
use crate::domain::Revision;

/// More events than are written while the slowest of many live readers waits for its turn.
const MAX_EVENTS: usize = 4_096;
/// The most memory that their payloads take; the newest event is kept whatever it takes.
const MAX_BYTES: usize = 8 << 20;

/// The end of the log; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    newest: Arc<RwLock<Newest>>,
}

#[derive(Debug, Default)]
struct Newest {
    events: VecDeque<StoredEvent>,
    bytes: usize,
}

impl Tail {
    /// Appends what is committed. `announce` tells of the new head, before anybody can see an event that is newer than the old one.
    pub(super) fn extend(&self, committed: impl Iterator<Item = StoredEvent>, announce: impl FnOnce()) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        for event in committed {
            newest.bytes += event.payload.len();
            newest.events.push_back(event);
        }
        while newest.events.len() > MAX_EVENTS || (newest.bytes > MAX_BYTES && newest.events.len() > 1) {
            newest.drop_oldest();
        }
        announce();
    }

    /// Drops what the log no longer has: all that is older than `oldest`, or everything when the log is empty.
    pub(super) fn prune(&self, oldest: Option<Revision>) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |event: &StoredEvent| oldest.is_none_or(|oldest| event.revision < oldest);
        while newest.events.front().is_some_and(is_gone) {
            newest.drop_oldest();
        }
    }

    /// Gives the events after the revision `after`, oldest first, as long as they are taken; `None` when the first of them is not here.
    pub(super) fn after(&self, after: Revision, take: impl FnMut(&StoredEvent) -> bool) -> Option<()> {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        let events = &newest.events;
        let oldest = events.front()?.revision;
        let skipped = usize::try_from(after.next().get() - oldest.get()).ok()?;
        events.iter().skip(skipped).all(take);
        Some(())
    }
}

impl Newest {
    fn drop_oldest(&mut self) {
        let oldest = self.events.pop_front();
        self.bytes -= oldest.map_or(0, |oldest| oldest.payload.len());
    }
}
