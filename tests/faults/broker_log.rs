//! What the log says of a broker that does not do its work: why, and not at every attempt.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::broker_away::{EVERYTHING_WAITS, drained};
use crate::harness::{Mosquitto, Process, Settings, eventually, eventually_within, free_port};
use crate::process::{database_in, settings_in, sqlite};

/// So many after the first; they come in less time than a reminder.
const ATTEMPTS: usize = 3;
const NO_CONNECTION: &str = "no connection to the broker";

/// A service that tells of every attempt.
async fn start_talkative(settings: &Settings) -> Process {
    Process::start_with(settings, &[("RUST_LOG", "info,sensorcast=debug")]).await
}

/// The lines of the log that have both.
pub fn lines(service: &Process, level: &str, text: &str) -> Vec<String> {
    let output = service.output();
    let lines = output
        .lines()
        .filter(|line| line.contains(level) && line.contains(text));
    lines.map(str::to_owned).collect()
}

async fn last_error(service: &Process) -> String {
    let ready = service.get("/health/ready").await.expect(200).json();
    ready["mqtt"]["last_error"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_a_line_when_it_begins_and_not_at_every_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(format!("mqtt://127.0.0.1:{}", free_port())),
    };
    let service = start_talkative(&settings).await;
    eventually("some attempts", async || {
        lines(&service, "DEBUG", NO_CONNECTION).len() >= ATTEMPTS
    })
    .await;
    let warnings = lines(&service, "WARN", NO_CONNECTION);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("attempts=1"), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_name_does_not_exist_is_said_to_be_that() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some("mqtt://nosuchhost.invalid".to_owned()),
    };
    let service = Process::start(&settings).await;
    // A look-up has ten seconds, where nobody answers.
    let has_reason = async || !last_error(&service).await.is_empty();
    eventually_within(Duration::from_secs(30), "a reason", has_reason).await;
    let reason = last_error(&service).await;
    assert!(
        reason.starts_with("nosuchhost.invalid:1883: the name cannot be resolved: "),
        "{reason}"
    );
    assert_eq!(lines(&service, "WARN", "the name cannot be resolved").len(), 1);
    assert!(!service.output().contains("paho"), "{}", service.output());
}

/// A service that may do with this broker what the rules say.
async fn start_under(rules: &str, retain_state: &str) -> (Mosquitto, tempfile::TempDir, Process) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl");
    std::fs::write(&file, rules).unwrap();
    let mut mosquitto = Mosquitto::stopped_with(&format!("acl_file {}\n{EVERYTHING_WAITS}", file.display()));
    mosquitto.run().await;
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let variables = [
        ("RUST_LOG", "info,sensorcast=debug"),
        ("MQTT_TOPIC_PREFIX", "plant7/"),
        ("MQTT_RETAIN_STATE", retain_state),
    ];
    let service = Process::start_with(&settings, &variables).await;
    (mosquitto, folder, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presence_that_is_not_allowed_is_told_with_its_topic_and_not_at_every_attempt() {
    let (_mosquitto, _folder, service) = start_under("topic read #\n", "false").await;
    service.create(&json!({"name": "s1"})).await;
    eventually("some attempts", async || {
        lines(&service, "DEBUG", "the broker refuses the presence").len() >= ATTEMPTS
    })
    .await;
    let warnings = lines(&service, "WARN", "the broker refuses the presence");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["topic=\"plant7/sensors\"", "access rules", "0x87"] {
        assert!(warnings[0].contains(part), "{part} in {warnings:?}");
    }
    let reason = last_error(&service).await;
    assert!(reason.contains("refuses all that it is given"), "{reason}");
    // A connection that comes to nothing is not the last word.
    assert_eq!(lines(&service, "INFO", "connected to the broker").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_that_may_not_be_read_are_not_said_to_be_missing_only() {
    let (_mosquitto, _folder, service) =
        start_under("topic write plant7/sensors/#\ntopic write plant7/sensors\n", "true").await;
    eventually("a line", async || {
        !lines(&service, "INFO", "or does not let this user read them").is_empty()
    })
    .await;
}

/// A service that wrote the sensors `s1` to `s{count}` while its broker was away, and has stopped.
async fn written_before(count: usize) -> (TempDir, Mosquitto, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::stopped_with(EVERYTHING_WAITS);
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let mut service = Process::start(&settings).await;
    for number in 1..=count {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    service.signal("TERM");
    service.exit().await;
    (folder, mosquitto, settings)
}

async fn lag_seconds(service: &Process) -> f64 {
    let ready = service.get("/health/ready").await.expect(200).json();
    ready["mqtt"]["lag_seconds"].as_f64().expect("a lag")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_read_are_an_error_once_and_a_lag_that_grows() {
    let (folder, mut mosquitto, settings) = written_before(6).await;
    sqlite(
        &database_in(folder.path()),
        "ALTER TABLE events ADD COLUMN kept TEXT; UPDATE events SET kept = payload;
         UPDATE events SET payload = cast(x'c3' AS text) WHERE revision = 3",
    )
    .await;
    mosquitto.run().await;
    let service = Process::start(&settings).await;
    eventually("the lag grows", async || lag_seconds(&service).await > 3.0).await;
    let errors = lines(&service, "ERROR", "the relay cannot read the event log");
    assert_eq!(errors.len(), 1, "{}", service.output());
    assert!(
        errors[0].contains("after=0") && errors[0].contains("utf-8"),
        "{errors:?}"
    );
    assert!(lines(&service, "WARN", "cannot read").is_empty());
    sqlite(&database_in(folder.path()), "UPDATE events SET payload = kept").await;
    drained(&service).await;
    assert!(lag_seconds(&service).await <= 0.0);
    let over = lines(&service, "INFO", "the relay reads the event log again");
    assert_eq!(over.len(), 1, "{}", service.output());
    assert_eq!(lines(&service, "ERROR", "").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_that_cannot_be_read_are_a_warning_once_and_hold_back_no_event() {
    let (folder, mut mosquitto, settings) = written_before(2).await;
    sqlite(
        &database_in(folder.path()),
        "CREATE TABLE kept AS SELECT document FROM sensors WHERE name = 's1';
         UPDATE sensors SET document = '{' WHERE name = 's1';
         UPDATE relay SET revision = 2",
    )
    .await;
    mosquitto.run().await;
    let variables = [("RUST_LOG", "info,sensorcast=debug"), ("MQTT_RETAIN_STATE", "true")];
    let service = Process::start_with(&settings, &variables).await;
    let cannot = "cannot read the states of sensors";
    eventually("some attempts", async || lines(&service, "", cannot).len() > ATTEMPTS).await;
    assert_eq!(lines(&service, "WARN", cannot).len(), 1, "{}", service.output());
    service.put("/sensors/s2", &json!({"value": 1})).await.expect(200);
    drained(&service).await;
    sqlite(
        &database_in(folder.path()),
        "UPDATE sensors SET document = (SELECT document FROM kept) WHERE name = 's1'",
    )
    .await;
    eventually("all states are retained", async || {
        !lines(&service, "INFO", "the retained states are complete").is_empty()
    })
    .await;
}

/// What an external broker is said to lack, which is news; the built-in one never has anything when it starts.
#[tokio::test(flavor = "multi_thread")]
async fn that_the_built_in_broker_retains_nothing_yet_is_no_news() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_in(folder.path());
    let variables = [("RUST_LOG", "info,sensorcast=debug"), ("MQTT_RETAIN_STATE", "true")];
    for start in 1..=2 {
        let mut service = Process::start_with(&settings, &variables).await;
        service.create(&json!({"name": format!("s{start}")})).await;
        eventually("all states are retained", async || {
            !lines(&service, "INFO", "the retained states are complete").is_empty()
        })
        .await;
        let told = lines(&service, "", "sending all");
        assert!(told.len() == 1 && told[0].contains("DEBUG"), "{told:?}");
        service.signal("TERM");
        service.exit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_holds_events_back_is_an_error_that_names_the_states_and_not_the_log() {
    let (folder, mut mosquitto, settings) = written_before(2).await;
    sqlite(
        &database_in(folder.path()),
        "CREATE TABLE kept AS SELECT document FROM sensors WHERE name = 's1';
         UPDATE sensors SET document = '{' WHERE name = 's1'",
    )
    .await;
    mosquitto.run().await;
    let service = Process::start_with(&settings, &[("MQTT_RETAIN_STATE", "true")]).await;
    eventually("the lag grows", async || lag_seconds(&service).await > 3.0).await;
    let errors = lines(&service, "ERROR", "");
    let what = "the states of the sensors that the next events are of";
    assert_eq!(errors.len(), 1, "{}", service.output());
    assert!(
        errors[0].contains(&format!("the relay cannot read {what}; nothing is published")),
        "{errors:?}"
    );
    assert!(!service.output().contains("event log"), "{}", service.output());
    sqlite(
        &database_in(folder.path()),
        "UPDATE sensors SET document = (SELECT document FROM kept) WHERE name = 's1'",
    )
    .await;
    drained(&service).await;
    assert!(lag_seconds(&service).await <= 0.0);
    let over = lines(&service, "INFO", &format!("the relay reads {what} again"));
    assert_eq!(over.len(), 1, "{}", service.output());
}
