//! What others do to the file: a sensor whose row is damaged harms nobody else, and a lock is told as one.

use futures_util::future::join_all;
use sensorcast::store::{Outcome, StoreError, WriteError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::fixture::{Hands, open, remove, set_value};

const NOON_MS: i64 = 1_795_348_800_000;
const DAMAGED: usize = 0;

#[tokio::test]
async fn a_damaged_sensor_fails_no_other_write_of_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let clock = Hands::at(NOON_MS).clock();
    let store = open(&path, clock.clone(), 1, 100).await;
    for number in 0..3 {
        set_value(&store, number, 1).await.unwrap();
    }
    store.close().await;
    drop(store);
    let options = SqliteConnectOptions::new().filename(&path);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql("UPDATE sensors SET document = '{\"name\":' WHERE name = 's0'")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();

    let store = open(&path, clock, 1, 100).await;
    // Of those that are asked for at once, most are in a group with one that is damaged.
    let writes = (0..60).map(|write| set_value(&store, write % 3, 2 + i64::try_from(write).unwrap()));
    for (write, outcome) in join_all(writes).await.into_iter().enumerate() {
        if write % 3 == DAMAGED {
            let is_told = matches!(outcome, Err(WriteError::Store(StoreError::Database(_))));
            assert!(is_told, "{outcome:?}");
        } else {
            assert!(matches!(outcome, Ok(Outcome::Modified(_))), "{outcome:?}");
        }
    }
    assert!(remove(&store, DAMAGED).await.is_err());
    assert!(store.probe().await.is_ok());
    store.close().await;
}

#[tokio::test]
async fn a_lock_of_another_program_is_told_as_one_and_is_over_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path, Hands::at(NOON_MS).clock(), 1, 100).await;
    let options = SqliteConnectOptions::new().filename(&path);
    let mut database = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut database).await.unwrap();
    let refused = set_value(&store, 0, 1).await;
    assert!(
        matches!(refused, Err(WriteError::RolledBack(StoreError::Locked))),
        "{refused:?}"
    );
    sqlx::raw_sql("ROLLBACK").execute(&mut database).await.unwrap();
    assert!(matches!(set_value(&store, 0, 1).await, Ok(Outcome::Created(_))));
    store.close().await;
}
