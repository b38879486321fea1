use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Http, Mirror, Mosquitto, Service, Subscriber, Version, eventually, merge};

/// Every verb once, with what a subscriber has to see after it.
async fn every_verb_tells_one_event(http: &Http, broker: SocketAddr, version: Version) {
    let mut subscriber = Subscriber::start(version, broker, "sensors/+").await;
    let mut mirror = Mirror::default();

    let made = http
        .create(&json!({"name": "s1", "value": 21.5, "metadata": {"a": 1}}))
        .await;
    let message = subscriber.next().await;
    assert_eq!(message.topic, format!("sensors/{}", made.id()));
    assert_eq!((message.qos, message.retain), (1, false));
    let created = message.event();
    assert_eq!(
        (created.kind.as_str(), created.sensor.as_str()),
        ("created", made.id().as_str())
    );
    assert_eq!(
        created.state.as_deref(),
        Some(made.text()),
        "state is the POST answer, byte for byte"
    );
    assert_eq!(made.etag(), format!("\"{}.{}\"", created.epoch, created.revision));
    mirror.apply(&created);

    let before = made.json();
    let patched = http
        .patch(&made.path(), &json!({"value": 21.7, "metadata": {"a": null}}))
        .await
        .expect(200);
    let modified = subscriber.next_event().await;
    assert_eq!((modified.kind.as_str(), modified.previous), ("modified", Some(1)));
    let changes = modified.changes.clone().expect("changes, from PATCH");
    assert_eq!(merge(&before, &changes), patched.json());
    assert_eq!(changes["revision"], 2);
    assert!(changes.get("name").is_none(), "only what changed: {changes}");
    mirror.apply(&modified);

    let put = http
        .put(&made.path(), &json!({"name": "s1", "kind": "k"}))
        .await
        .expect(200);
    let modified = subscriber.next_event().await;
    assert_eq!((modified.kind.as_str(), modified.previous), ("modified", Some(2)));
    assert_eq!(
        modified.state.as_deref(),
        Some(put.text()),
        "state is the PUT answer, byte for byte"
    );
    mirror.apply(&modified);

    let put_new = http.put("/sensors/s2", &json!({"value": true})).await.expect(201);
    let created = subscriber.next_event().await;
    assert_eq!(
        (created.kind.as_str(), created.state.as_deref()),
        ("created", Some(put_new.text()))
    );
    mirror.apply(&created);

    http.delete(&made.path()).await.expect(204);
    let deleted = subscriber.next_event().await;
    assert_eq!(
        (deleted.kind.as_str(), deleted.revision, deleted.previous),
        ("deleted", 5, Some(3))
    );
    mirror.apply(&deleted);
    mirror.assert_equals(&http.all_pages(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_tells_one_event_to_an_mqtt_5_subscriber_of_the_built_in_broker() {
    let service = Service::start().await;
    every_verb_tells_one_event(&service, service.broker(), Version::V5).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_tells_one_event_to_a_3_1_1_subscriber_of_the_built_in_broker() {
    let service = Service::start().await;
    every_verb_tells_one_event(&service, service.broker(), Version::V4).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_tells_one_event_to_an_mqtt_5_subscriber_of_mosquitto() {
    let mosquitto = Mosquitto::start().await;
    let service = Service::start_on(&mosquitto).await;
    every_verb_tells_one_event(&service, mosquitto.addr(), Version::V5).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_tells_one_event_to_a_3_1_1_subscriber_of_mosquitto() {
    let mosquitto = Mosquitto::start().await;
    let service = Service::start_on(&mosquitto).await;
    every_verb_tells_one_event(&service, mosquitto.addr(), Version::V4).await;
    service.finish().await;
}

async fn mqtt_5_properties_are_cloudevents(service: &Service) {
    let mut subscriber = service.subscribe().await;
    let made = service.create(&json!({"name": "s1"})).await;
    service.patch("/sensors/s1", &json!({"value": 1})).await.expect(200);
    service.delete("/sensors/s1").await.expect(204);
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let message = subscriber.next().await;
        let event = message.event();
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
        assert_eq!(message.property("specversion"), Some("1.0"));
        let cursor = format!("{}.{}", event.epoch, event.revision);
        assert_eq!(message.property("id"), Some(cursor.as_str()));
        assert!(message.property("source").is_some_and(|source| !source.is_empty()));
        assert!(
            message
                .property("subject")
                .is_some_and(|subject| subject.contains(&made.id()))
        );
        let time = message.property("time").expect("a time");
        assert!(time.ends_with('Z') && time.len() == 24, "{time}");
        let kind = message.property("type").expect("a type");
        assert!(kind.ends_with(&event.kind), "{kind}");
        kinds.push(kind.to_owned());
    }
    kinds.dedup();
    assert_eq!(kinds.len(), 3, "a type for each kind of event: {kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_messages_carry_the_attributes_of_cloudevents() {
    let service = Service::start().await;
    mqtt_5_properties_are_cloudevents(&service).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_messages_carry_the_attributes_of_cloudevents_through_mosquitto() {
    let mosquitto = Mosquitto::start().await;
    let service = Service::start_on(&mosquitto).await;
    mqtt_5_properties_are_cloudevents(&service).await;
    service.finish().await;
}

/// The head as a subscriber who comes now gets it.
async fn retained_head(broker: SocketAddr, topic: &str) -> Value {
    let mut subscriber = Subscriber::start(Version::V5, broker, topic).await;
    let message = subscriber.next().await;
    assert_eq!(message.topic, topic);
    serde_json::from_slice(&message.payload).expect("JSON")
}

async fn the_head_follows(service: &Service, topic: &str) {
    for number in 0..3 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    let list = service.get("/sensors").await.json();
    let broker = service.broker();
    eventually("the head tells the newest revision", || async {
        retained_head(broker, topic).await["revision"] == list["revision"]
    })
    .await;
    let mut subscriber = Subscriber::start(Version::V5, broker, topic).await;
    let message = subscriber.next().await;
    assert!(message.retain);
    let members = crate::harness::members_of(std::str::from_utf8(&message.payload).unwrap());
    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["status", "epoch", "revision"]);
    let head: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((&head["status"], &head["epoch"]), (&json!("online"), &list["epoch"]));
    service.delete("/sensors/s1").await.expect(204);
    loop {
        let message = subscriber.next().await;
        let head: Value = serde_json::from_slice(&message.payload).unwrap();
        if head["revision"] == 4 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_the_collection_holds_the_head_retained() {
    let service = Service::start().await;
    the_head_follows(&service, "sensors").await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_holds_the_head_retained() {
    let mosquitto = Mosquitto::start().await;
    let service = Service::start_on(&mosquitto).await;
    the_head_follows(&service, "sensors").await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_graceful_stop_the_head_says_offline() {
    let mosquitto = Mosquitto::start().await;
    let service = Service::start_on(&mosquitto).await;
    service.create(&json!({"name": "s1"})).await;
    service.finish().await;
    eventually("the head says offline", || async {
        retained_head(mosquitto.addr(), "sensors").await["status"] == "offline"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_prefix_stands_before_every_topic() {
    let service = Service::start_with(|config| config.mqtt.topic_prefix = "plant7/".to_owned()).await;
    let mut all = Subscriber::start(Version::V5, service.broker(), "plant7/sensors/+").await;
    the_head_follows(&service, "plant7/sensors").await;
    for sensor in ["s0", "s2"] {
        let id = service.get(&format!("/sensors/{sensor}")).await.id();
        assert_eq!(all.next().await.topic, format!("plant7/sensors/{id}"));
        all.next().await;
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_revision_order_without_a_hole_under_concurrent_writes() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let writers = (0..8).map(|writer| {
        let http = (*service).clone();
        tokio::spawn(async move {
            let made = http.create(&json!({"name": format!("s{writer}")})).await;
            for number in 0..24 {
                http.patch(&made.path(), &json!({"value": number})).await.expect(200);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut mirror = Mirror::default();
    for _ in 0..200 {
        mirror.apply(&subscriber.next_event().await);
    }
    mirror.assert_equals(&service.all_pages(3).await);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_tells_no_event() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let made = service.create(&json!({"name": "s1"})).await;
    service.post(&json!({"name": "s1"})).await.expect(409);
    service.post(&json!({"name": 5})).await.expect(422);
    service.patch(&made.path(), &json!({"value": []})).await.expect(422);
    service
        .patch_if(&made.path(), ("if-match", "\"x\""), &json!({"value": 1}))
        .await
        .expect(412);
    service.delete("/sensors/nobody").await.expect(404);
    service.delete(&made.path()).await.expect(204);
    assert_eq!(subscriber.next_event().await.kind, "created");
    let second = subscriber.next_event().await;
    assert_eq!((second.kind.as_str(), second.revision), ("deleted", 2));
    service.finish().await;
}
