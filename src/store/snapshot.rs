//! No answer shows a revision that is not announced yet.
//!
//! A commit is visible in the database a moment before the writer announces its head. A client that was shown it then would be ahead of
//! everything that is answered from memory, such as cached pages of the list and the log: its next page could be older than the first,
//! and its revision would be a cursor of the future. So a read that is ahead waits for the announcement, in one of the ways below; a read
//! of events leaves out those that are ahead.

use sqlx::{Sqlite, Transaction};
use tokio::time::sleep;

use super::open::READ_WAIT_LIMIT;
use super::{Store, StoreError};
use crate::domain::Revision;

impl Store {
    /// A snapshot for several statements. It is given back when it is dropped.
    pub(super) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let mut snapshot = self.inner.reads.begin().await?;
        let head = sqlx::query_scalar!("SELECT head FROM store")
            .fetch_one(&mut *snapshot)
            .await?;
        self.announced(Revision::new(head)).await?;
        Ok(snapshot)
    }

    /// Waits until the revision that was read is announced. Mostly it is already.
    pub(super) async fn announced(&self, revision: Revision) -> Result<(), StoreError> {
        if *self.inner.head.borrow() >= revision {
            return Ok(());
        }
        let mut head = self.head();
        tokio::select! {
            announced = head.wait_for(|head| *head >= revision) => announced.map(drop).map_err(|_| StoreError::Stopped),
            // It may never be announced: the outcome of its commit is unknown.
            () = self.failed() => Err(StoreError::Stopped),
            () = sleep(READ_WAIT_LIMIT) => Err(StoreError::Busy),
        }
    }
}
