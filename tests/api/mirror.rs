//! Section 7 of the contract: how a consumer keeps an exact mirror.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Event, Http, Mirror, Service, link, merge};

const WRITERS: usize = 4;
const NAMES: usize = 12;

/// Writers that create, change and delete until they are told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(http: &Http) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write(http.clone(), writer, Arc::clone(&stop))));
        Self {
            writers: writers.collect(),
            stop,
        }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("no wrong answer");
        }
    }
}

async fn write(http: Http, writer: usize, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let path = format!("/sensors/w{}", (writer + 5 * number) % NAMES);
        let answer = match number % 5 {
            0 | 1 => {
                http.put(&path, &json!({"value": number, "kind": writer.to_string()}))
                    .await
            }
            4 => http.delete(&path).await,
            _ => {
                http.patch(&path, &json!({"value": number, "metadata": {"writer": writer}}))
                    .await
            }
        };
        assert!(matches!(answer.status, 200 | 201 | 204 | 404), "{}", answer.text());
    }
}

/// Applies an event to a baseline whose sensors may be newer than it, as the recipe says: per sensor, by `previous`.
fn apply_to_baseline(mirror: &mut Mirror, event: &Event) {
    let held = mirror.sensors.get(&event.sensor);
    let held_revision = held.and_then(|sensor| sensor["revision"].as_i64());
    if held_revision.is_some_and(|revision| revision >= event.revision) {
        return;
    }
    let next: Option<Value> = match (&event.state, &event.changes) {
        (Some(state), _) => Some(serde_json::from_str(state).expect("JSON")),
        // A sensor that is not held was deleted before its page was read: the event of that is still to come.
        (None, Some(changes)) => held
            .filter(|_| event.previous == held_revision)
            .map(|held| merge(held, changes)),
        (None, None) => None,
    };
    match next {
        Some(sensor) => mirror.sensors.insert(event.sensor.clone(), sensor),
        None => mirror.sensors.remove(&event.sensor),
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_of_the_contract_gives_an_exact_mirror_while_writes_go_on() {
    let service = Service::start().await;
    let traffic = Traffic::start(&service);
    for _ in 0..8 {
        let mut subscriber = service.subscribe().await;
        let mut mirror = Mirror::default();
        let first = service.get("/sensors?limit=2").await.expect(200).json();
        mirror.revision = first["revision"].as_i64().expect("a revision");
        let mut page = first;
        loop {
            for item in page["items"].as_array().expect("items") {
                let id = item["id"].as_str().expect("an id").to_owned();
                mirror.sensors.insert(id, item.clone());
            }
            let Some(next) = link(&page, "next") else { break };
            page = service.follow(&next).await.expect(200).json();
        }
        // What a page says of the whole store is the proof: events up to its revision make its items.
        let proof = service.get("/sensors?limit=500").await.expect(200).json();
        let until = proof["revision"].as_i64().expect("a revision");
        while mirror.revision < until {
            let event = subscriber.next_event().await;
            if event.revision > mirror.revision {
                assert_eq!(event.revision, mirror.revision + 1, "no event is missing");
                mirror.revision = event.revision;
                apply_to_baseline(&mut mirror, &event);
            }
        }
        mirror.assert_equals(proof["items"].as_array().expect("items"));
    }
    traffic.stop().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_the_state_at_exactly_its_revision() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let mut mirror = Mirror::default();
    let traffic = Traffic::start(&service);
    for _ in 0..60 {
        let page = service.get("/sensors?limit=500").await.expect(200);
        let revision = page.revision();
        assert!(revision >= mirror.revision, "the revision of the store never goes back");
        while mirror.revision < revision {
            mirror.apply(&subscriber.next_event().await);
        }
        mirror.assert_equals(page.json()["items"].as_array().expect("items"));
    }
    traffic.stop().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_read_at_once_by_every_door() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for value in 0..100 {
        let written = service.patch("/sensors/s1", &json!({"value": value})).await.expect(200);
        assert_eq!(service.get("/sensors/s1").await.body, written.body);
        assert_eq!(service.get(&written.path()).await.body, written.body);
        let list = service.get("/sensors").await;
        assert_eq!(list.revision(), written.revision());
        assert_eq!(list.json()["items"], json!([written.json()]));
    }
    service.delete("/sensors/s1").await.expect(204);
    assert_eq!(service.get("/sensors").await.json()["items"], json!([]));
    service.finish().await;
}
