//! Nobody is shown what is not announced yet.
//!
//! A commit can be seen in the database a moment before the writer has announced its head. Whoever read it then would know more than
//! what is answered from memory, the kept pages of the list and the log among it: the next page could be older than the first, and its
//! revision a cursor of the future. So a read that is ahead waits for the announcement, in one of these ways; a reader of events leaves
//! out what is ahead.

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

    /// Waits until the revision that was read is announced, which it is already, mostly.
    pub(super) async fn announced(&self, revision: Revision) -> Result<(), StoreError> {
        if *self.inner.head.borrow() >= revision {
            return Ok(());
        }
        let mut head = self.head();
        tokio::select! {
            announced = head.wait_for(|head| *head >= revision) => announced.map(drop).map_err(|_| StoreError::Stopped),
            // It may never be: the outcome of the commit is unknown.
            () = self.failed() => Err(StoreError::Stopped),
            () = sleep(READ_WAIT_LIMIT) => Err(StoreError::Busy),
        }
    }
}
