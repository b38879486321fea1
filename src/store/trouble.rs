//! What the last writes failed for.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// How long a failure counts when no write comes after it: without one, nothing would show that it is over.
const LASTS: Duration = Duration::from_secs(10);

/// With less free space than this a disk is still full, although probes succeed: what they write fits into pages that SQLite already has.
const MIN_ROOM_BYTES: u64 = 1 << 20;

/// Why the last write failed, if it did; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// Where the database is.
    folder: Arc<Path>,
    last: Arc<Mutex<Option<(Instant, StoreError)>>>,
}

impl Trouble {
    /// None so far, with a database in this folder.
    pub(super) fn none(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            last: Arc::default(),
        }
    }

    /// A group of writes failed. What lasts is logged when it begins, and not for each group: the log may be on the same disk.
    pub(super) fn begin(&self, error: &StoreError) {
        let mut last = self.last();
        let before = last.as_ref().map(|(_, error)| error);
        let goes_on = match error {
            StoreError::Full => matches!(before, Some(StoreError::Full)),
            StoreError::Misplaced(_) => matches!(before, Some(StoreError::Misplaced(_))),
            _ => false,
        };
        if goes_on {
            tracing::debug!(%error, "a group of writes was rolled back");
        } else if matches!(error, StoreError::Misplaced(_)) {
            // Found once a second, too, when there was no group to roll back.
            tracing::error!(%error, "writes are refused");
        } else {
            tracing::error!(%error, "a group of writes was rolled back");
        }
        *last = Some((Instant::now(), error.clone()));
    }

    /// A group was committed. Without a change in it that proves only that the file is in its place and not locked by another program.
    pub(super) fn committed(&self, has_changes: bool) {
        let mut last = self.last();
        let is_over = matches!(&*last, Some((_, StoreError::Misplaced(_) | StoreError::Locked)));
        if (has_changes || is_over) && last.take().is_some() {
            tracing::info!("writing works again");
        }
    }

    /// Why the last write failed, when that was not long ago, or as long as there is no room.
    pub(super) fn recent(&self) -> Option<StoreError> {
        let (at, error) = self.last().clone()?;
        let is_over = at.elapsed() >= LASTS && !(matches!(error, StoreError::Full) && self.is_full());
        (!is_over).then_some(error)
    }

    /// Whether there is no room on the disk; not where that cannot be told.
    fn is_full(&self) -> bool {
        let room = rustix::fs::statvfs(&*self.folder);
        room.is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) < MIN_ROOM_BYTES)
    }

    fn last(&self) -> MutexGuard<'_, Option<(Instant, StoreError)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
