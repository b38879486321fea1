//! What the last writes failed for, and the last removal of what may go.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// How long a failure counts when no write comes after it: without one, nothing would show that it is over.
const LASTS: Duration = Duration::from_secs(10);

/// With less free space than this a disk is still full, although probes succeed: what they write fits into pages that SQLite already has.
const MIN_ROOM_BYTES: u64 = 1 << 20;

/// Why the writer's last work failed, if it did; cheap to clone.
///
/// What lasts is logged when it begins and when it is over, and not each time: the log may be on the same disk.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// Where the database is.
    folder: Arc<Path>,
    last: Arc<Mutex<Failures>>,
}

#[derive(Debug, Default)]
struct Failures {
    writing: Option<Failure>,
    /// Of removing what may go. Apart from the other, because each may go well while the other does not.
    pruning: Option<Failure>,
}

#[derive(Debug, Clone)]
struct Failure {
    /// When it was met last.
    at: Instant,
    error: StoreError,
}

impl Trouble {
    /// None so far, with a database in this folder.
    pub(super) fn none(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            last: Arc::default(),
        }
    }

    /// A group of writes failed.
    pub(super) fn begin(&self, error: &StoreError) {
        let goes_on = Failure::note(&mut self.last().writing, error);
        if goes_on {
            tracing::debug!(%error, "a group of writes was rolled back");
        } else if matches!(error, StoreError::Misplaced { .. }) {
            // Found once a second, too, when there was no group to roll back.
            tracing::error!(%error, "writes are refused");
        } else {
            tracing::error!(%error, "a group of writes was rolled back");
        }
    }

    /// The files are in their places.
    pub(super) fn in_place(&self) {
        self.end_if(|failure| matches!(failure.error, StoreError::Misplaced { .. }));
    }

    /// A group was committed. Without a change in it that proves only that no other program has the file locked.
    pub(super) fn committed(&self, has_changes: bool) {
        self.end_if(|failure| match failure.error {
            StoreError::Locked => true,
            // This one was on sound pages; the next one may not be.
            StoreError::Damaged(_) => has_changes && !failure.is_recent(),
            _ => has_changes,
        });
    }

    fn end_if(&self, is_over: impl FnOnce(&Failure) -> bool) {
        if self.last().writing.take_if(|failure| is_over(failure)).is_some() {
            tracing::info!("writing works again");
        }
    }

    /// What may go could not be removed.
    pub(super) fn pruning_failed(&self, error: &StoreError) {
        if Failure::note(&mut self.last().pruning, error) {
            tracing::debug!(%error, "old events and kept answers still cannot be removed");
        } else {
            tracing::error!(%error, "old events and kept answers cannot be removed; it is tried again each second");
        }
    }

    /// What may go was removed.
    pub(super) fn pruned(&self) {
        if self.last().pruning.take().is_some() {
            tracing::info!("old events and kept answers are removed again");
        }
    }

    /// Why the last write failed, when that was not long ago, or as long as there is no room; or that pruning has met damage, which
    /// others will meet, too.
    pub(super) fn recent(&self) -> Option<StoreError> {
        let (writing, pruning) = {
            let last = self.last();
            (last.writing.clone(), last.pruning.clone())
        };
        let is_full = |failure: &Failure| matches!(failure.error, StoreError::Full) && self.is_full();
        let writing = writing.filter(|failure| failure.is_recent() || is_full(failure));
        let is_damaged = |failure: &Failure| matches!(failure.error, StoreError::Damaged(_));
        let pruning = pruning.filter(|failure| failure.is_recent() && is_damaged(failure));
        writing.or(pruning).map(|failure| failure.error)
    }

    /// Whether there is no room on the disk; not where that cannot be told.
    fn is_full(&self) -> bool {
        let room = rustix::fs::statvfs(&*self.folder);
        room.is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) < MIN_ROOM_BYTES)
    }

    fn last(&self) -> MutexGuard<'_, Failures> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    /// Puts the failure in the place of the last one, and tells whether it is the same one that goes on.
    fn note(last: &mut Option<Self>, error: &StoreError) -> bool {
        let before = last.replace(Self {
            at: Instant::now(),
            error: error.clone(),
        });
        before.is_some_and(|before| before.error.to_string() == error.to_string())
    }

    fn is_recent(&self) -> bool {
        self.at.elapsed() < LASTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_over_when_a_write_succeeds_a_while_after_it_was_met_last() {
        let trouble = Trouble::none(Path::new("/"));
        trouble.begin(&StoreError::Damaged("a page".into()));
        // On sound pages.
        trouble.committed(true);
        assert!(matches!(trouble.recent(), Some(StoreError::Damaged(_))));
        if let Some(failure) = &mut trouble.last().writing {
            failure.at -= LASTS;
        }
        assert!(trouble.recent().is_none() && trouble.last().writing.is_some());
        trouble.committed(false);
        assert!(trouble.last().writing.is_some());
        trouble.committed(true);
        assert!(trouble.last().writing.is_none());
    }
}
