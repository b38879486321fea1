//! What the last writes failed for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// How long a failure counts when no write comes after it: with nobody writing, nobody would find out that it is over.
const LASTS: Duration = Duration::from_secs(10);

/// Why the last write failed, if it did; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    last: Arc<Mutex<Option<(Instant, StoreError)>>>,
}

impl Trouble {
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
        } else {
            tracing::error!(%error, "a group of writes was rolled back");
        }
        *last = Some((Instant::now(), error.clone()));
    }

    /// A group was committed. Without a change in it that proves little, but that the file is in its place.
    pub(super) fn committed(&self, has_changes: bool) {
        let mut last = self.last();
        let is_misplaced = matches!(&*last, Some((_, StoreError::Misplaced(_))));
        if (has_changes || is_misplaced) && last.take().is_some() {
            tracing::info!("writing works again");
        }
    }

    /// Why the last write failed, when that was not long ago.
    pub(super) fn recent(&self) -> Option<StoreError> {
        self.last()
            .as_ref()
            .filter(|(at, _)| at.elapsed() < LASTS)
            .map(|(_, error)| error.clone())
    }

    fn last(&self) -> MutexGuard<'_, Option<(Instant, StoreError)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
