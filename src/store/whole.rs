//! Whether a database is whole, as a backup has to be and as a restore wants it.

use std::path::Path;

use sqlx::SqliteConnection;

use super::backup::BackupError;
use super::error::is_damage;
use super::open::{database, say_once};

/// What helps against a store that is damaged.
pub(super) const CURE_OF_STORE: &str =
    "stop the service, keep the files of the database, and restore the newest backup that is whole";
/// What helps against a backup that is damaged.
pub(super) const CURE_OF_BACKUP: &str = "restore another backup";
/// What helps when only the copy is damaged.
pub(super) const CURE_OF_COPY: &str =
    "the database itself is whole, so check the disk of the copy or write it to another one";

/// Has SQLite read all of the database. That takes time, the longer the larger it is.
///
/// # Errors
/// [`BackupError::Damaged`], with what it finds first and this cure; another one when it cannot be read.
pub(super) async fn check_whole(
    connection: &mut SqliteConnection,
    path: &Path,
    cure: &'static str,
) -> Result<(), BackupError> {
    let found: sqlx::Result<String> = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(connection)
        .await;
    match found {
        Ok(text) if text == "ok" => Ok(()),
        Ok(complaint) => Err(damaged(path, &complaint, cure)),
        Err(error) => Err(unreadable(error, path, cure)),
    }
}

/// The error of a database that SQLite cannot read, with this cure where that is because it is damaged.
pub(super) fn unreadable(error: sqlx::Error, path: &Path, cure: &'static str) -> BackupError {
    if_damaged(error, path, cure).unwrap_or_else(|error| database(path, error).into())
}

/// The error of a database that is damaged by the word of SQLite; otherwise what was given.
pub(super) fn if_damaged(error: sqlx::Error, path: &Path, cure: &'static str) -> Result<BackupError, sqlx::Error> {
    if is_damage(&error) {
        return Ok(damaged(path, &say_once(error).to_string(), cure));
    }
    Err(error)
}

fn damaged(path: &Path, complaint: &str, cure: &'static str) -> BackupError {
    BackupError::Damaged {
        path: path.to_owned(),
        // Some have a heading, on a line of its own.
        complaint: complaint.lines().collect::<Vec<_>>().join(" "),
        cure,
    }
}
