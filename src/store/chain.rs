//! A sensor's own log: each event names the one before it (`previous`), so that they are found from any of them back.
//!
//! The newest is the sensor's revision. Where the log is long, a few of them are found by an index: the landmarks, which are those
//! that keep the state and those that deleted the sensor, from which an earlier life of it goes back. A write so adds nothing
//! to an index of the log, and a read passes over as many events as there are from one landmark to the next.

use sqlx::SqliteConnection;

use super::StoreError;
use super::row::damaged;
use super::scribe::EVENTS_PER_STATE;
use crate::domain::{Revision, SensorId};

/// The first events of a sensor after the revision `after`, oldest first: at most `limit` of them.
pub(super) async fn oldest(
    snapshot: &mut SqliteConnection,
    sensor: SensorId,
    after: Revision,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    while found.len() < limit && go_on(snapshot, sensor, after, limit - found.len(), &mut found).await? {}
    found.truncate(limit);
    Ok(found)
}

/// The events of a sensor after the revision `after`, up to `last`, oldest first.
pub(super) async fn between(
    snapshot: &mut SqliteConnection,
    sensor: SensorId,
    after: Revision,
    last: Revision,
) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    while reached(&found, after) < last.get() && go_on(snapshot, sensor, after, 1, &mut found).await? {}
    found.retain(|revision| *revision <= last.get());
    Ok(found)
}

/// The event of a sensor that is followed by `count` others; `None` when there are fewer.
pub(super) async fn before_newest(
    snapshot: &mut SqliteConnection,
    sensor: SensorId,
    count: usize,
) -> Result<Option<Revision>, StoreError> {
    let (id, offset) = (sensor.to_string(), i64::try_from(count).unwrap_or(i64::MAX));
    let revision = sqlx::query_scalar!(
        r#"WITH RECURSIVE chain (revision, previous) AS (
               SELECT revision, previous FROM links_of_events WHERE revision = coalesce(
                   (SELECT revision FROM sensors WHERE id = ?1),
                   (SELECT max(revision) FROM landmarks WHERE sensor_id = ?1)
               )
               UNION ALL
               -- Without a previous one it began a life of the sensor, and a life before that ended with a landmark.
               SELECT one.revision, one.previous
               FROM chain JOIN links_of_events AS one ON one.revision = coalesce(
                   chain.previous,
                   (SELECT max(revision) FROM landmarks WHERE sensor_id = ?1 AND revision < chain.revision)
               )
           )
           SELECT revision AS "revision!: i64" FROM chain LIMIT 1 OFFSET ?2"#,
        id,
        offset
    )
    .fetch_optional(snapshot)
    .await?;
    Ok(revision.map(Revision::new))
}

/// The last event that was found, or what was to be gone on from.
fn reached(found: &[i64], after: Revision) -> i64 {
    found.last().copied().unwrap_or(after.get())
}

/// Goes on from what is reached over `about` more events; `false` when there are none.
async fn go_on(
    snapshot: &mut SqliteConnection,
    sensor: SensorId,
    after: Revision,
    about: usize,
    found: &mut Vec<i64>,
) -> Result<bool, StoreError> {
    let id = sensor.to_string();
    let after = reached(found, after);
    let starts = i64::try_from(about / EVENTS_PER_STATE + 1).unwrap_or(i64::MAX);
    let before = found.len();
    found.extend(
        sqlx::query_scalar!(
            r#"WITH RECURSIVE nearest (revision) AS (
                   SELECT revision FROM landmarks WHERE sensor_id = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3
               ),
               start (revision) AS (
                   SELECT revision FROM nearest UNION SELECT revision FROM sensors WHERE id = ?1 AND revision > ?2
                   ORDER BY revision LIMIT ?3
               ),
               chain (revision, previous) AS (
                   SELECT revision, previous FROM start JOIN links_of_events USING (revision)
                   UNION
                   SELECT one.revision, one.previous
                   FROM chain JOIN links_of_events AS one ON one.revision = chain.previous WHERE chain.previous > ?2
               )
               SELECT revision AS "revision!: i64" FROM chain ORDER BY revision"#,
            id,
            after,
            starts
        )
        .fetch_all(snapshot)
        .await?,
    );
    Ok(found.len() > before)
}

/// The revisions as a parameter of a statement: JSON, for `json_each`.
pub(super) fn as_parameter(revisions: &[i64]) -> Result<String, StoreError> {
    serde_json::to_string(revisions).map_err(damaged)
}
