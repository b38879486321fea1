use std::fmt::Display;

use tokio::sync::watch;

use crate::domain::{Epoch, Revision};
use crate::store::{Store, StoreError, StoredEvent};

/// What the relay needs of the log: the store has it, and so has a list in memory, with which the relay is tested.
pub trait EventLog: Clone + Send + Sync + 'static {
    /// Why the log cannot be read or written now; the relay tries again.
    type Error: Display + Send + Sync;

    /// The life of the store.
    fn epoch(&self) -> &Epoch;

    /// The newest committed revision; it changes after every commit.
    fn head(&self) -> watch::Receiver<Revision>;

    /// The events after a revision, oldest first, `limit` at most.
    fn events_after(
        &self,
        after: Revision,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredEvent>, Self::Error>> + Send;

    /// The cursor of the last run: every event up to it was acknowledged or set aside.
    fn relay_cursor(&self) -> impl Future<Output = Result<Revision, Self::Error>> + Send;

    /// Persists the cursor.
    fn advance_relay(&self, to: Revision) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl EventLog for Store {
    type Error = StoreError;

    fn epoch(&self) -> &Epoch {
        Self::epoch(self)
    }

    fn head(&self) -> watch::Receiver<Revision> {
        Self::head(self)
    }

    async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        Self::events_after(self, after, limit).await
    }

    async fn relay_cursor(&self) -> Result<Revision, StoreError> {
        Self::relay_cursor(self).await
    }

    async fn advance_relay(&self, to: Revision) -> Result<(), StoreError> {
        Self::advance_relay(self, to).await
    }
}
