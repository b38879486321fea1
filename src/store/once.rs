//! Requests that may come again, and are to be done once: the answer is kept in the transaction of the change, so that there
//! is neither without the other, whenever the process is killed.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{damaged, execute, instant};
use super::{Outcome, Record, StoreError};
use crate::domain::{Revision, Timestamp};

/// How long an answer is kept: a day.
const KEPT_MS: i64 = 24 * 3_600_000;

/// What tells a request that comes again from any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What the client calls it.
    pub key: String,
    /// SHA-256 of all that it asks for.
    pub fingerprint: [u8; 32],
}

/// What is known of a key, whose answer is an `A`.
pub(super) enum Known<A> {
    /// Nothing, or no longer.
    Nothing,
    /// The request was done, and this is its answer.
    Answer(A),
    /// It belongs to another request.
    OtherRequest,
}

/// Looks for the answer of the request.
pub(super) fn find(connection: &Connection, once: &Once, now: Timestamp) -> Result<Known<Outcome>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, outcome, sensor_id, name, revision, representation FROM answers
         WHERE key = ? AND made_at_ms > ?",
    )?;
    let read = |row: &rusqlite::Row| {
        let fingerprint: [u8; 32] = row.get(0)?;
        let texts: (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let revision: i64 = row.get(4)?;
        let representation: String = row.get(5)?;
        Ok((fingerprint, texts, revision, representation))
    };
    let row = statement
        .query_row(params![once.key, now.unix_ms() - KEPT_MS], read)
        .optional()?;
    let Some((fingerprint, (outcome, id, name), revision, representation)) = row else {
        return Ok(if is_kept_in(connection, "batch_answers", once, now)? {
            Known::OtherRequest
        } else {
            Known::Nothing
        });
    };
    if fingerprint != once.fingerprint {
        return Ok(Known::OtherRequest);
    }
    let (id, name) = (id.parse().map_err(damaged)?, name.parse().map_err(damaged)?);
    let record = Record {
        id,
        name,
        revision: Revision::new(revision),
        updated_at: instant(&representation)?,
        representation: representation.into(),
    };
    Ok(Known::Answer(match outcome.as_str() {
        "created" => Outcome::Created(record),
        "modified" => Outcome::Modified(record),
        _ => Outcome::Unchanged(record),
    }))
}

/// Keeps the answer of the request, which tells of a sensor: a deletion has no key.
pub(super) fn keep(connection: &Connection, once: &Once, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
    let (word, record) = match outcome {
        Outcome::Created(record) => ("created", record),
        Outcome::Modified(record) => ("modified", record),
        Outcome::Unchanged(record) => ("unchanged", record),
        Outcome::Deleted(..) => return Ok(()),
    };
    // In the place of one that is too old.
    execute(
        connection,
        "INSERT OR REPLACE INTO answers
             (key, fingerprint, made_at_ms, outcome, sensor_id, name, revision, representation)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            once.key,
            once.fingerprint,
            now.unix_ms(),
            word,
            record.id.to_string(),
            record.name.as_str(),
            record.revision.get(),
            std::str::from_utf8(&record.representation).map_err(damaged)?
        ],
    )?;
    Ok(())
}

/// Looks for the answer to the batch: the outcomes as they were told.
pub(super) fn find_batch(connection: &Connection, once: &Once, now: Timestamp) -> Result<Known<String>, StoreError> {
    let row: Option<([u8; 32], String)> = connection
        .prepare_cached("SELECT fingerprint, outcomes FROM batch_answers WHERE key = ? AND made_at_ms > ?")?
        .query_row(params![once.key, now.unix_ms() - KEPT_MS], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match row {
        Some((fingerprint, outcomes)) if fingerprint == once.fingerprint => Known::Answer(outcomes),
        Some(_) => Known::OtherRequest,
        None if is_kept_in(connection, "answers", once, now)? => Known::OtherRequest,
        None => Known::Nothing,
    })
}

/// Keeps the answer to the batch.
pub(super) fn keep_batch(
    connection: &Connection,
    once: &Once,
    outcomes: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    // In the place of one that is too old.
    execute(
        connection,
        "INSERT OR REPLACE INTO batch_answers (key, fingerprint, made_at_ms, outcomes) VALUES (?, ?, ?, ?)",
        params![once.key, once.fingerprint, now.unix_ms(), outcomes],
    )?;
    Ok(())
}

/// Whether this table has the key.
fn is_kept_in(connection: &Connection, table: &str, once: &Once, now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM {table} WHERE key = ? AND made_at_ms > ?)"
        ))?
        .query_row(params![once.key, now.unix_ms() - KEPT_MS], |row| row.get(0))
}

/// Forgets at most `limit` expired answers of each kind, of sensors and of batches, and gives the larger of the two counts.
pub(super) fn forget_old(connection: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut most = 0;
    for table in ["answers", "batch_answers"] {
        let oldest = format!("SELECT key FROM {table} WHERE made_at_ms <= ? ORDER BY made_at_ms LIMIT ?");
        let forgotten = execute(
            connection,
            &format!("DELETE FROM {table} WHERE key IN ({oldest})"),
            params![now.unix_ms() - KEPT_MS, limit],
        )?;
        most = most.max(forgotten);
    }
    Ok(most)
}
