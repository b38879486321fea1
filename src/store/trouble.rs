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
    /// A group of writes failed. It is logged when it begins, and not for each group: the log may be on the same disk.
    pub(super) fn begin(&self, error: &StoreError) {
        let mut last = self.last();
        let is_full = |error: &StoreError| matches!(error, StoreError::Full);
        if is_full(error) && last.as_ref().is_some_and(|(_, last)| is_full(last)) {
            tracing::debug!(%error, "a group of writes was rolled back");
        } else {
            tracing::error!(%error, "a group of writes was rolled back");
        }
        *last = Some((Instant::now(), error.clone()));
    }

    /// A change was committed.
    pub(super) fn end(&self) {
        if self.last().take().is_some() {
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
