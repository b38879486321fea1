use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::{Revision, Timestamp};

/// How the relay is doing: a cheap handle that the relay writes and everybody reads.
#[derive(Clone)]
pub struct RelayStatus {
    state: Arc<watch::Sender<RelayState>>,
    head: watch::Receiver<Revision>,
    clock: Clock,
}

/// How the relay was doing at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayState {
    /// Whether there is a connection to the broker.
    pub connected: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// Every event up to this one is acknowledged by the broker or set aside.
    pub acknowledged: Revision,
    /// When the oldest event after that one was committed; unknown until the relay has read it.
    pub oldest_pending: Option<Timestamp>,
    /// Since when the events after that one, or what goes with them, cannot be read, where that is so.
    pub unreadable_since: Option<Timestamp>,
    /// Acknowledged events since the start of the process, repeats included.
    pub published: u64,
    /// Events that the broker does not take, since the start of the process.
    pub set_aside: u64,
    /// Connections that were made, since the start of the process.
    pub connections: u64,
    /// Why the last connection or attempt failed; it stays after the next success.
    pub last_error: Option<String>,
}

/// How far the broker is behind the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Committed events that are not acknowledged.
    pub events: u64,
    /// The age of the oldest of them; where that cannot be read, for how long it could not.
    pub age: Duration,
}

impl RelayStatus {
    /// The status of a relay that has not started: disconnected, and behind by the whole log.
    #[must_use]
    pub fn new(head: watch::Receiver<Revision>, clock: Clock) -> Self {
        let state = RelayState {
            connected: false,
            since: clock.now(),
            acknowledged: Revision::ZERO,
            oldest_pending: None,
            unreadable_since: None,
            published: 0,
            set_aside: 0,
            connections: 0,
            last_error: None,
        };
        Self {
            state: Arc::new(watch::Sender::new(state)),
            head,
            clock,
        }
    }

    /// How it is doing now.
    #[must_use]
    pub fn state(&self) -> RelayState {
        self.state.borrow().clone()
    }

    /// How far the broker is behind now.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let head = *self.head.borrow();
        let state = self.state.borrow();
        let events = u64::try_from(head.get() - state.acknowledged.get()).unwrap_or_default();
        let age_ms = state
            .oldest_pending
            .or(state.unreadable_since)
            .filter(|_| events > 0)
            .map_or(0, |oldest| self.clock.now().unix_ms() - oldest.unix_ms());
        Lag {
            events,
            age: Duration::from_millis(u64::try_from(age_ms).unwrap_or_default()),
        }
    }

    /// Resolves when every event up to `revision` is acknowledged or set aside.
    pub async fn reached(&self, revision: Revision) {
        let mut states = self.state.subscribe();
        // The sender lives in `self`, so this ends by the condition alone.
        let _ = states.wait_for(|state| state.acknowledged >= revision).await;
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut RelayState)) {
        self.state.send_modify(change);
    }

    /// What is to be published cannot be read, from now on if it could be before.
    pub(super) fn unreadable(&self) {
        let now = self.clock.now();
        self.update(|state| _ = state.unreadable_since.get_or_insert(now));
    }

    /// It can be read.
    pub(super) fn readable(&self) {
        self.update(|state| state.unreadable_since = None);
    }

    pub(super) fn connected(&self) {
        let now = self.clock.now();
        self.update(|state| {
            (state.connected, state.since) = (true, now);
            state.connections += 1;
        });
    }

    pub(super) fn disconnected(&self, reason: Option<&str>) {
        let now = self.clock.now();
        self.update(|state| {
            if state.connected {
                (state.connected, state.since) = (false, now);
            }
            if let Some(reason) = reason {
                state.last_error = Some(reason.to_owned());
            }
        });
    }
}

impl fmt::Debug for RelayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.borrow().fmt(f)
    }
}
