use std::time::Duration;

use serde_json::{Value, json};

use crate::checker::History;
use crate::harness::{Answer, Http, Mosquitto, PATIENCE, Process, Settings, Subscriber, Version};

const ROUNDS: usize = 8;
const WRITERS: usize = 6;
/// The kill of round n comes when this many writes of the round are acknowledged.
const ACKNOWLEDGED_BEFORE_KILL: [usize; ROUNDS] = [1, 40, 150, 300, 7, 90, 220, 500];

/// A write that the service has answered with success.
struct Acknowledged {
    answer: Answer,
    kind: &'static str,
    by_put: bool,
}

/// Changes sensors of its own until the service does not answer any more; tells each acknowledged write.
async fn write_until_the_end(
    http: Http,
    writer: usize,
    round: usize,
    told: tokio::sync::mpsc::UnboundedSender<Acknowledged>,
) {
    for number in 0.. {
        let path = format!("/sensors/w{writer}-{}", number % 3);
        let headers = [("content-type", "application/json")];
        let value = json!({"value": format!("{round} {number}")}).to_string();
        let (kind, method, body) = match number % 7 {
            5 => ("deleted", "DELETE", String::new()),
            0..=2 => ("modified", "PUT", value),
            _ => ("modified", "PATCH", value),
        };
        let Some(answer) = http.try_request(method, &path, &headers, body).await else {
            return;
        };
        let kind = match answer.status {
            201 => "created",
            200 | 204 => kind,
            404 => continue,
            status => panic!("{method} {path}: {status}"),
        };
        let by_put = method == "PUT";
        if told.send(Acknowledged { answer, kind, by_put }).is_err() {
            return;
        }
    }
}

/// One life of the service: writes go on until it is killed in the middle of them.
async fn live_and_die(service: &mut Process, round: usize) -> Vec<Acknowledged> {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write_until_the_end((**service).clone(), writer, round, told.clone())))
        .collect();
    drop(told);
    let mut acknowledged = Vec::new();
    while let Some(write) = heard.recv().await {
        acknowledged.push(write);
        if acknowledged.len() == ACKNOWLEDGED_BEFORE_KILL[round] {
            service.kill();
        }
    }
    for writer in writers {
        writer.await.expect("no wrong answer");
    }
    acknowledged
}

/// Every acknowledged write has its event, with the state that was acknowledged.
fn assert_is_told(history: &History, write: &Acknowledged) {
    if write.kind == "deleted" {
        return;
    }
    let sensor = write.answer.json();
    let revision = write.answer.revision();
    let event = history
        .event(revision)
        .unwrap_or_else(|| panic!("revision {revision} is lost: {sensor}"));
    assert_eq!((event.kind.as_str(), &json!(event.sensor)), (write.kind, &sensor["id"]));
    if write.by_put || write.kind == "created" {
        assert_eq!(event.state.as_deref(), Some(write.answer.text()));
    } else {
        let changes = event.changes.expect("changes");
        assert_eq!(changes["value"], sensor["value"]);
    }
}

/// `{"status", "revision", …}` of the retained head.
async fn head_status(mosquitto: &Mosquitto) -> Value {
    let mut subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors").await;
    serde_json::from_slice(&subscriber.next().await.payload).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_killed_in_the_middle_of_writes_loses_nothing_that_was_acknowledged() {
    let mosquitto = Mosquitto::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let mut subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    let mut history = History::default();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut service = Process::start(&settings).await;
        acknowledged.extend(live_and_die(&mut service, round).await);
    }
    let service = Process::start(&settings).await;
    let deletes = acknowledged.iter().filter(|write| write.kind == "deleted").count();
    let revision = service.store_revision().await;
    while history.revision() < revision {
        history.take(&subscriber.next().await);
    }
    history.assert_tells_the_state_of(&service).await;
    for write in &acknowledged {
        assert_is_told(&history, write);
    }
    let told_deletes = (1..=revision)
        .filter_map(|at| history.event(at))
        .filter(|event| event.kind == "deleted")
        .count();
    assert!(
        told_deletes >= deletes,
        "every acknowledged DELETE is told: {told_deletes} < {deletes}"
    );
    println!(
        "{} acknowledged, {revision} revisions, {} repeats",
        acknowledged.len(),
        history.repeats
    );
    let next = service.put("/sensors/after", &json!({"value": 1})).await.expect(201);
    assert_eq!(next.revision(), revision + 1, "no hole after the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_will_says_offline_when_the_service_is_killed() {
    let mosquitto = Mosquitto::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let mut service = Process::start(&settings).await;
    service.create(&json!({"name": "s1"})).await;
    let mut heads = Subscriber::start(Version::V5, mosquitto.addr(), "sensors").await;
    heads.next().await;
    service.kill();
    let offline = async {
        loop {
            let head: Value = serde_json::from_slice(&heads.next().await.payload).expect("JSON");
            if head["status"] == "offline" {
                return head;
            }
        }
    };
    tokio::time::timeout(PATIENCE + Duration::from_secs(5), offline)
        .await
        .expect("the Last Will");
    assert_eq!(head_status(&mosquitto).await["status"], "offline", "it is retained");
    let service = Process::start(&settings).await;
    crate::harness::eventually("the head says online again", || async {
        head_status(&mosquitto).await["status"] == "online"
    })
    .await;
    drop(service);
}
