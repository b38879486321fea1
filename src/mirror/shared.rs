use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::documents::Event;
use super::state::{State, Step};
use super::{Snapshot, Status};
use crate::domain::{Cursor, Epoch, Revision};

/// What the keeper and the readers of a mirror share.
#[derive(Debug)]
pub(super) struct Shared {
    held: RwLock<Held>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Held {
    /// Always settled: the store at exactly one revision.
    shown: Option<State>,
    status: Status,
    /// The newest revision that is known to exist.
    head: Option<(Epoch, Revision)>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            held: RwLock::new(Held {
                shown: None,
                status: Status::Connecting { problem: None },
                head: None,
            }),
            changes: watch::Sender::new(()),
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Shows another state.
    pub(super) fn show(&self, state: State) {
        self.write().shown = Some(state);
        self.changes.send_replace(());
    }

    /// Applies an event to what is shown.
    pub(super) fn apply(&self, event: Event) -> Step {
        let step = match &mut self.write().shown {
            Some(state) => state.apply(event),
            None => Step::Gap,
        };
        if step == Step::Applied {
            self.changes.send_replace(());
        }
        step
    }

    /// Remembers the newest revision of an epoch; that of another epoch is forgotten.
    pub(super) fn learn_head(&self, epoch: &Epoch, revision: Revision) {
        match &mut self.write().head {
            Some((known, newest)) if known == epoch => *newest = revision.max(*newest),
            other => *other = Some((epoch.clone(), revision)),
        }
        self.changes.send_replace(());
    }

    /// The newest revision that is known to exist.
    pub(super) fn head(&self) -> Revision {
        self.read()
            .head
            .as_ref()
            .map_or(Revision::ZERO, |(_, revision)| *revision)
    }

    pub(super) fn status(&self) -> Status {
        self.read().status.clone()
    }

    pub(super) fn set_status(&self, status: Status) {
        if self.status() != status {
            self.write().status = status;
            self.changes.send_replace(());
        }
    }

    /// Where what is shown is.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.with_shown(State::cursor)
    }

    /// A copy of what is shown.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.with_shown(|state| Snapshot {
            epoch: state.epoch().clone(),
            revision: state.revision(),
            sensors: state.sensors().clone(),
        })
    }

    pub(super) fn with_shown<T>(&self, read: impl FnOnce(&State) -> T) -> Option<T> {
        self.read().shown.as_ref().map(read)
    }

    // Nothing panics while it holds the lock, and what it guards is whole between any two statements.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}
