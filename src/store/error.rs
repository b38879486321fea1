use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::domain::{Refusal, SensorId, Version};

/// Why the store could not do what was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The disk is full; nothing was changed.
    #[error("the disk that holds the database is full")]
    Full,
    /// The path of the database or of its write-ahead log no longer leads to the file that is open; nothing was changed.
    #[error("{} was moved, deleted or replaced while the service uses it: {cure}", .file.display())]
    Misplaced {
        /// Which of them.
        file: Arc<Path>,
        /// What to do.
        cure: &'static str,
    },
    /// Another program has locked the database for longer than is waited; nothing was changed.
    #[error("another program has the database locked")]
    Locked,
    /// All connections that read are in use, and were for as long as a read waits; or what was read is not announced after that.
    #[error("too many reads wait for the database")]
    Busy,
    /// The writer has stopped: the service is shutting down or has failed.
    #[error("the store is closed")]
    Stopped,
    /// SQLite has found pages that are not valid; nothing was changed.
    #[error("the database is damaged ({0}): stop the service and restore a backup; see docs/OPERATIONS.md")]
    Damaged(Arc<str>),
    /// SQLite, or what it stands on, failed; nothing was changed.
    #[error("the database failed: {0}")]
    Database(Arc<str>),
}

/// Why a write did not happen, or may not have.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The sensor, or the demand that the request makes of it, forbids it.
    #[error("refused: {refusal:?}")]
    Refused {
        /// Which demand or rule forbids it.
        refusal: Refusal,
        /// The sensor that there is, and which of its states.
        current: Option<(SensorId, Version)>,
        /// Whether earlier changes of the same batch, undone by now, had made something else of it.
        after_others: bool,
    },
    /// Another sensor has the name.
    #[error("the name is taken")]
    NameTaken {
        /// That sensor; `None` when it was to be made by the same batch, and is not.
        holder: Option<SensorId>,
    },
    /// The key of the request belongs to another one.
    #[error("the key was used for another request")]
    KeyReused,
    /// More writes wait than the store is willing to hold, or than it can make soon when they keep coming; try again soon.
    #[error("too many writes wait")]
    Overloaded,
    /// COMMIT failed: the change may be there or not. The process stops, and the next start finds out.
    #[error("the outcome of the write is unknown")]
    OutcomeUnknown,
    /// All that was written together failed, and nothing was changed; the store logs when such failures begin and when they are over.
    #[error(transparent)]
    RolledBack(StoreError),
    /// The store could not do it; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// From the writer.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string().into()),
            _ => Self::Database(error.to_string().into()),
        }
    }
}

/// From a place where the tests want a failure.
impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Database(error.to_string().into())
    }
}

/// From a reader, which needs no room.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let is_damage = is_damage(&error);
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Database(error) if is_damage => Self::Damaged(error.message().into()),
            error => Self::Database(error.to_string().into()),
        }
    }
}

/// What SQLite answers when it finds pages that are not valid.
pub(super) const SQLITE_CORRUPT: u32 = 11;
/// The same of the first page.
pub(super) const SQLITE_NOTADB: u32 = 26;

/// Whether SQLite has met damage.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(code_of(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// SQLite's code of an error; of which kind it is, is in the bits above those of the code.
pub(super) fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
