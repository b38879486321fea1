use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::time::timeout;

use crate::harness::{Process, Settings};

/// How long an answer may take that is not to come.
const PATIENCE: Duration = Duration::from_millis(300);

async fn head(database: &mut SqliteConnection) -> i64 {
    let head = sqlx::query_scalar("SELECT head FROM store").fetch_one(database).await;
    head.expect("a head")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_what_is_committed_and_not_announced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings {
        folder: folder.path().to_owned(),
        // Nobody: the relay has nothing to note in between.
        mqtt_url: Some("mqtt://127.0.0.1:1".to_owned()),
    };
    let failpoint = "store.after-commit";
    let variables = [("FAILPOINTS", &*format!("{failpoint}=return(hold)"))];
    let mut service = Process::spawn_with(&settings, &variables);
    service.become_ready().await;
    let made = service.create(&json!({"name": "s1", "value": 1})).await;
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let hold = folder.path().join(failpoint);
    std::fs::write(&hold, "").expect("a file");
    let http = (*service).clone();
    let write = tokio::spawn(async move { http.put("/sensors/s1/value", &json!(2)).await });
    let options = SqliteConnectOptions::new().filename(folder.path().join("sensorcast.db"));
    let mut database = options.read_only(true).connect().await.expect("a database");
    while head(&mut database).await < 2 {
        tokio::task::yield_now().await;
    }
    let paths = [
        "/sensors".to_owned(),
        "/sensors?near=0,0&count=exact".to_owned(),
        "/sensors/s1".to_owned(),
        format!("/sensors/{id}?revision=2"),
        format!("/sensors/{id}/events"),
        format!("/sensors/{id}/history"),
    ];
    let mut reads: Vec<_> = paths
        .into_iter()
        .map(|path| {
            let http = (*service).clone();
            tokio::spawn(async move { http.get(&path).await.expect(200) })
        })
        .collect();
    for read in &mut reads {
        let early = timeout(PATIENCE, read).await;
        assert!(
            early.is_err(),
            "an answer: {}",
            early.expect("one").expect("one").text()
        );
    }
    service.get("/").await.expect(200);
    std::fs::remove_file(&hold).expect("a file");
    write.await.expect("an answer").expect(200);
    for read in reads {
        read.await.expect("an answer");
    }
    assert_eq!(service.get("/sensors").await.json()["revision"], 2);
}
