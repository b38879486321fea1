//! The file of the database, or its write-ahead log, is moved, deleted or replaced under the running service.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Answer, Mosquitto, Process, Settings, Subscriber, Version, eventually};

/// The status and what it says: this 503 is no problem document.
async fn readiness(service: &Process) -> (u16, String) {
    let url = format!("http://{}/health/ready", service.addr);
    let answer = reqwest::get(url).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

async fn write(service: &Process, value: u32) -> Answer {
    service.put("/sensors/s1", &json!({"value": value})).await
}

async fn assert_refuses(service: &Process, revision: i64) {
    assert_refuses_for(service, "sensorcast.db", revision).await;
}

/// Writes are refused, for the reason that the readiness names, and reads go on.
async fn assert_refuses_for(service: &Process, file: &str, revision: i64) {
    let before = service.store_revision().await;
    assert_eq!(before, revision);
    assert_eq!(write(service, 99).await.status, 503);
    let batch = service
        .request("POST", "/batch", &[("content-type", "application/json")], batch())
        .await;
    assert_eq!(batch.status, 503, "{}", batch.text());
    let (status, reason) = readiness(service).await;
    assert!(
        status == 503 && reason.contains(&format!("/{file} was moved, deleted or replaced")),
        "{reason}"
    );
    assert_eq!(service.store_revision().await, before);
    service.get("/sensors").await.expect(200);
    service.get("/events").await.expect(200);
    assert_ne!(service.get("/sensors/s1").await.expect(200).json()["value"], json!(99));
}

fn batch() -> String {
    let write = json!({"method": "PUT", "path": "/sensors/s1", "body": {"value": 99}});
    json!({"operations": [write]}).to_string()
}

fn count(service: &Process, text: &str) -> usize {
    service.output().matches(text).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_moved_away_refuses_writes_until_it_is_back_and_loses_nothing() {
    let mosquitto = Mosquitto::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let mut service = Process::start(&settings).await;
    let mut subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    write(&service, 1).await.expect(201);
    assert_eq!(subscriber.next_event().await.revision, 1);
    let (database, away) = (folder.path().join("sensorcast.db"), folder.path().join("away.db"));
    for round in 1..=2 {
        fs::rename(&database, &away).unwrap();
        assert_refuses(&service, i64::from(round)).await;
        fs::rename(&away, &database).unwrap();
        write(&service, round + 1).await.expect(200);
        assert_eq!(readiness(&service).await.0, 200);
        assert_eq!(subscriber.next_event().await.revision, i64::from(round) + 1);
    }
    assert_eq!(count(&service, ": writes are refused"), 2, "{}", service.output());
    assert_eq!(count(&service, "trouble: writing works again"), 2);
    assert_eq!(
        count(&service, "request failed"),
        0,
        "each of them is not told once more"
    );
    // The probe alone finds out, too.
    fs::rename(&database, &away).unwrap();
    assert_eq!(readiness(&service).await.0, 503);
    fs::rename(&away, &database).unwrap();
    assert_eq!(readiness(&service).await.0, 200);
    eventually("all is published", || async { service.relay_lag().await == Some(0) }).await;
    service.kill();
    let service = Process::start(&settings).await;
    assert_eq!(service.store_revision().await, 3);
    assert_eq!(value(&service).await, json!(3));
}

async fn value(service: &Process) -> Value {
    service.get("/sensors/s1").await.expect(200).json()["value"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_replaced_or_deleted_refuses_writes_and_the_relay_survives() {
    let mosquitto = Mosquitto::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let (database, away) = (folder.path().join("sensorcast.db"), folder.path().join("away.db"));
    let mut service = Process::start(&settings).await;
    write(&service, 1).await.expect(201);
    // What is on its way to the broker can no longer be noted.
    fs::rename(&database, &away).unwrap();
    fs::copy(&away, &database).unwrap();
    assert_refuses(&service, 1).await;
    fs::remove_file(&database).unwrap();
    assert_refuses(&service, 1).await;
    let told = ": writes are refused";
    assert_eq!(count(&service, told), 1, "{}", service.output());
    fs::rename(&away, &database).unwrap();
    write(&service, 2).await.expect(200);
    eventually("all is published", || async { service.relay_lag().await == Some(0) }).await;
    // It ends in good order also where the file is away, and what was in its log is not lost with that.
    fs::rename(&database, &away).unwrap();
    assert_refuses(&service, 2).await;
    service.signal("TERM");
    assert_eq!(service.exit().await.code(), Some(0), "{}", service.output());
    fs::rename(&away, &database).unwrap();
    let service = Process::start(&settings).await;
    assert_eq!((service.store_revision().await, value(&service).await), (2, json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_that_is_gone_refuses_writes_and_an_orderly_stop_loses_nothing() {
    const LOG: &str = "sensorcast.db-wal";
    let mosquitto = Mosquitto::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let (log, away) = (folder.path().join(LOG), folder.path().join("away"));
    let mut revision = 0;
    for is_replaced in [false, true] {
        let mut service = Process::start(&settings).await;
        assert_eq!(service.store_revision().await, revision);
        for value in 1..=20 {
            let name = format!("/sensors/{is_replaced}{value}");
            service.put(&name, &json!({"value": value})).await.expect(201);
        }
        write(&service, 1).await;
        revision = service.store_revision().await;
        assert!(fs::metadata(&log).unwrap().len() > 0, "the changes are in the log");
        fs::rename(&log, &away).unwrap();
        if is_replaced {
            fs::copy(&away, &log).unwrap();
        }
        assert_refuses_for(&service, LOG, revision).await;
        let said = service.output();
        assert!(
            said.contains("sensorcast.db-wal was moved") && said.contains("SIGTERM"),
            "{said}"
        );
        // It was only moved away.
        fs::rename(&away, &log).unwrap();
        write(&service, 2 + u32::from(is_replaced)).await.expect(200);
        revision += 1;
        assert_eq!(readiness(&service).await.0, 200);
        assert_eq!(
            count(&service, "trouble: writing works again"),
            1,
            "{}",
            service.output()
        );

        fs::remove_file(&log).unwrap();
        if is_replaced {
            fs::write(&log, "something else").unwrap();
        }
        assert_refuses_for(&service, LOG, revision).await;
        let before = service.all_pages(500).await;
        service.signal("TERM");
        assert_eq!(service.exit().await.code(), Some(0), "{}", service.output());
        assert!(!log.exists(), "an orderly stop leaves one complete file");
        let service = Process::start(&settings).await;
        assert_eq!(service.store_revision().await, revision);
        assert_eq!(service.all_pages(500).await, before);
        drop(service);
    }
}
