//! What the last writes failed for.

use std::sync::{Arc, Mutex, PoisonError};
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
    /// A group of writes failed.
    pub(super) fn begin(&self, error: &StoreError) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), error.clone()));
    }

    /// A change was committed.
    pub(super) fn end(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why the last write failed, when that was not long ago.
    pub(super) fn recent(&self) -> Option<StoreError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .filter(|(at, _)| at.elapsed() < LASTS)
            .map(|(_, error)| error.clone())
    }
}
