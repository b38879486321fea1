use std::fmt::Display;

use tokio::sync::watch;

use crate::domain::{Epoch, Listing, Position, Revision, SensorId, Start};
use crate::store::{Record, SensorState, Store, StoreError, StoredEvent};

/// What the relay needs of the log: the store has it, and so has a list in memory, with which the relay is tested.
pub trait EventLog: Clone + Send + Sync + 'static {
    /// Why the log cannot be read or written now; the relay tries again.
    type Error: Display + Send + Sync;

    /// The life of the store.
    fn epoch(&self) -> &Epoch;

    /// The newest committed revision; it changes after every commit.
    fn head(&self) -> watch::Receiver<Revision>;

    /// The events after a revision, oldest first, `limit` at most, and fewer where they are large; none only where there is none.
    fn events_after(
        &self,
        after: Revision,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredEvent>, Self::Error>> + Send;

    /// What is true of these sensors now, in the order asked for. What is read later is never older.
    fn states(&self, sensors: &[SensorId]) -> impl Future<Output = Result<Vec<SensorState>, Self::Error>> + Send;

    /// The sensors that there are now after the id `after`, in the order of their ids, `limit` at most, and fewer where they are large;
    /// none only where there is none.
    fn states_after(
        &self,
        after: Option<SensorId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<SensorState>, Self::Error>> + Send;

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

    async fn states(&self, sensors: &[SensorId]) -> Result<Vec<SensorState>, StoreError> {
        Self::states(self, sensors).await
    }

    async fn states_after(&self, after: Option<SensorId>, limit: u32) -> Result<Vec<SensorState>, StoreError> {
        let listing = Listing {
            start: after.map(|id| Start::After(Position::Id(id))),
            limit,
            ..Listing::default()
        };
        let page = self.list(&listing).await?;
        let state = |record: Record| SensorState {
            sensor: record.id,
            representation: Some(record.representation),
        };
        Ok(page.records.into_iter().map(state).collect())
    }

    async fn relay_cursor(&self) -> Result<Revision, StoreError> {
        Self::relay_cursor(self).await
    }

    async fn advance_relay(&self, to: Revision) -> Result<(), StoreError> {
        Self::advance_relay(self, to).await
    }
}
