//! Pages of the database are damaged: the log says so once, with what to do, and the service is not ready.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::broker_log::lines;
use crate::files::printed;
use crate::harness::{Process, binary, eventually};
use crate::process::{assert_refuses, run, settings_in};

/// In which what is tried again each second has been tried a few times.
const A_WHILE: Duration = Duration::from_secs(4);
const WHAT_TO_DO: &str = "database disk image is malformed): stop the service and restore a backup";

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_meets_damage_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    printed(binary(folder.path()).arg("migrate"));
    spoil(&folder.path().join("sensorcast.db"), "store").await;
    let what = ["sensorcast.db is damaged (", "malformed", "): restore a backup"];
    assert_refuses(&run(&mut binary(folder.path())), 1, &what);
}

/// A service on a database in which this index is none.
async fn start_without(index: &str) -> (TempDir, Process) {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Process::start(&settings_in(folder.path())).await;
    service.put("/sensors/s1", &json!({"value": 0})).await.expect(201);
    service.signal("TERM");
    service.exit().await;
    spoil(&folder.path().join("sensorcast.db"), index).await;
    let mut service = Process::spawn(&settings_in(folder.path()));
    assert!(service.has_started().await);
    (folder, service)
}

/// Overwrites the first page of an index or a table.
async fn spoil(database: &Path, index: &str) {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let (page, bytes): (u32, u32) =
        sqlx::query_as("SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = ?")
            .bind(index)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    let file = OpenOptions::new().write(true).open(database).unwrap();
    let page_bytes = vec![0xff; bytes as usize];
    file.write_all_at(&page_bytes, u64::from(page - 1) * u64::from(bytes))
        .unwrap();
}

/// The status: a service with a damaged database may fail.
async fn put(service: &Process, path: &str, body: Value) -> u16 {
    let headers = [("content-type", "application/json")];
    let answer = service.try_failing("PUT", path, &headers, body.to_string()).await;
    answer.unwrap().status
}

/// This 503 is no problem document.
async fn readiness(service: &Process) -> (u16, String) {
    let url = format!("http://{}/health/ready", service.addr);
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_only_pruning_meets_is_an_error_once_and_makes_the_service_unready() {
    let (_folder, service) = start_without("answers_by_age").await;
    eventually("it is not ready", async || readiness(&service).await.0 == 503).await;
    for value in 1..=3 {
        assert_eq!(put(&service, "/sensors/s1", json!({"value": value})).await, 200);
        sleep(A_WHILE / 3).await;
    }
    let (status, reason) = readiness(&service).await;
    assert!(status == 503 && reason.contains(WHAT_TO_DO), "{reason}");
    let errors = lines(&service, "ERROR", "sensorcast::store");
    assert_eq!(errors.len(), 1, "{}", service.output());
    for words in ["old events and kept answers cannot be removed", WHAT_TO_DO] {
        assert!(errors[0].contains(words), "{errors:?}");
    }
    assert!(lines(&service, "WARN", "").is_empty(), "{}", service.output());
    assert!(lines(&service, "INFO", "works again").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_some_writes_meet_is_an_error_once_whatever_others_do() {
    let (_folder, service) = start_without("sensors_by_kind").await;
    for value in 1..=5 {
        let of_kind = json!({"kind": "thermometer", "value": value});
        assert_eq!(put(&service, "/sensors/s2", of_kind).await, 500);
        assert_eq!(put(&service, "/sensors/s1", json!({"value": value})).await, 200);
    }
    let errors = lines(&service, "ERROR", "");
    assert_eq!(errors.len(), 1, "{}", service.output());
    for words in ["a group of writes was rolled back", WHAT_TO_DO] {
        assert!(errors[0].contains(words), "{errors:?}");
    }
    assert!(lines(&service, "INFO", "writing works again").is_empty());
    let (status, reason) = readiness(&service).await;
    assert!(status == 503 && reason.contains(WHAT_TO_DO), "{reason}");
}
