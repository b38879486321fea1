//! `MQTT_RETAIN_STATE=true`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{Http, Mosquitto, Service, Subscriber, Version, eventually};

const OPERATIONS: u64 = 150;
/// A broker that says nothing for so long has said all that it retains.
const QUIET: Duration = Duration::from_millis(300);

async fn start(mosquitto: Option<&Mosquitto>, prefix: &str, qos: u8) -> Service {
    let url = mosquitto.map(|mosquitto| mosquitto.url().parse().expect("a URL"));
    Service::start_with(|config| {
        config.mqtt.url = url;
        config.mqtt.retain_state = true;
        config.mqtt.qos = qos;
        prefix.clone_into(&mut config.mqtt.topic_prefix);
    })
    .await
}

/// What a subscriber that comes late gets, by topic.
async fn retained(broker: SocketAddr, version: Version, filter: &str) -> BTreeMap<String, Vec<u8>> {
    let mut late = Subscriber::start(version, broker, filter).await;
    let mut found = BTreeMap::new();
    while let Ok(message) = timeout(QUIET, late.next()).await {
        if message.retain {
            assert!(!message.payload.is_empty(), "{message:?}");
            found.insert(message.topic, message.payload);
        }
    }
    found
}

/// The bodies of GET, each on the topic of its sensor.
async fn bodies(http: &Http, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut bodies = BTreeMap::new();
    for sensor in http.all_pages(100).await {
        let id = sensor["id"].as_str().expect("an id");
        let answer = http.get(&format!("/sensors/{id}")).await.expect(200);
        bodies.insert(format!("{prefix}sensors/{id}/state"), answer.body.to_vec());
    }
    bodies
}

async fn the_broker_retains_what_get_returns(http: &Http, broker: SocketAddr, prefix: &str) {
    let filter = format!("{prefix}sensors/+/state");
    for version in [Version::V4, Version::V5] {
        eventually("the retained states are the bodies of GET", || async {
            retained(broker, version, &filter).await == bodies(http, prefix).await
        })
        .await;
    }
}

/// Creates, changes and deletes a few sensors, in an order that looks random and is the same every time.
async fn change_at_random(http: &Http, seed: u64) {
    let mut random = seed;
    for number in 0..OPERATIONS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let path = format!("/sensors/s{}", (random >> 33) % 8);
        let answer = match (random >> 40) % 8 {
            0 => http.delete(&path).await,
            1 | 2 => http.put(&path, &json!({"value": number, "unit": "°C"})).await,
            _ => http.patch(&path, &json!({"value": format!("é{number}")})).await,
        };
        assert!(matches!(answer.status, 200 | 201 | 204 | 404), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_subscriber_gets_the_get_body_of_every_sensor_from_the_built_in_broker() {
    for (qos, prefix) in [(1, ""), (0, "plant7/"), (2, "a/b/")] {
        let service = start(None, prefix, qos).await;
        change_at_random(&service, 1 + u64::from(qos)).await;
        the_broker_retains_what_get_returns(&service, service.broker(), prefix).await;
        for topic in retained(service.broker(), Version::V5, "#").await.keys() {
            assert!(topic.starts_with(&format!("{prefix}sensors")), "{topic}");
        }
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_subscriber_gets_the_get_body_of_every_sensor_from_mosquitto() {
    for (qos, prefix) in [(1, "plant7/"), (2, "")] {
        let mosquitto = Mosquitto::start().await;
        let service = start(Some(&mosquitto), prefix, qos).await;
        change_at_random(&service, 4 + u64::from(qos)).await;
        the_broker_retains_what_get_returns(&service, mosquitto.addr(), prefix).await;
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_event_arrives_the_state_is_there_and_a_delete_clears_it() {
    let service = start(None, "", 1).await;
    let mut events = service.subscribe().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let topic = format!("sensors/{}/state", made.id());
    events.next_event().await;
    for number in 0..20 {
        let changed = service
            .patch("/sensors/s1", &json!({"value": number}))
            .await
            .expect(200);
        events.next_event().await;
        let mut late = Subscriber::start(Version::V5, service.broker(), &topic).await;
        let message = late.next().await;
        assert!(message.retain && message.payload == changed.body, "{message:?}");
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
    }
    let mut live = Subscriber::start(Version::V4, service.broker(), &topic).await;
    service.delete("/sensors/s1").await.expect(204);
    while !live.next().await.payload.is_empty() {}
    assert_eq!(events.next_event().await.kind, "deleted");
    assert_eq!(retained(service.broker(), Version::V4, &topic).await, BTreeMap::new());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mosquitto_that_was_killed_and_lost_its_memory_gets_every_state_again() {
    let mut mosquitto = Mosquitto::start().await;
    let service = start(Some(&mosquitto), "", 1).await;
    for number in 0..300 {
        service
            .put(&format!("/sensors/n{number}"), &json!({}))
            .await
            .expect(201);
    }
    the_broker_retains_what_get_returns(&service, mosquitto.addr(), "").await;
    for seed in [7, 8] {
        mosquitto.kill();
        change_at_random(&service, seed).await;
        mosquitto.run().await;
        the_broker_retains_what_get_returns(&service, mosquitto.addr(), "").await;
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn states_that_another_store_left_behind_are_cleared() {
    const FOREIGN: &str = "sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90/state";
    const NO_SENSORS: &str = "sensors/somebody/state";
    let mosquitto = Mosquitto::start().await;
    for topic in [FOREIGN, NO_SENSORS] {
        leave_behind(mosquitto.addr(), topic).await;
    }
    leave_behind(mosquitto.addr(), "sensors/state/relayed").await;
    let service = start(Some(&mosquitto), "", 1).await;
    service.create(&json!({"name": "s1"})).await;
    let mut expected = bodies(&service, "").await;
    expected.insert(NO_SENSORS.to_owned(), b"{}".to_vec());
    eventually("the foreign sensor is gone and nothing else", || async {
        retained(mosquitto.addr(), Version::V5, "sensors/+/state").await == expected
    })
    .await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_nothing_but_the_head_is_retained() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let mut events = service.subscribe().await;
    service.patch("/sensors/s1", &json!({"value": 1})).await.expect(200);
    while events.next_event().await.revision < 2 {}
    let topics: Vec<_> = retained(service.broker(), Version::V5, "#").await.into_keys().collect();
    assert_eq!(topics, ["sensors"]);
    service.finish().await;
}

/// A retained message by another hand.
async fn leave_behind(broker: SocketAddr, topic: &str) {
    let options = MqttOptions::new("another-store", broker.ip().to_string(), broker.port());
    let (client, mut connection) = AsyncClient::new(options, 4);
    client
        .publish(topic, QoS::AtLeastOnce, true, "{}")
        .await
        .expect("a queue");
    while !matches!(
        connection.poll().await.expect("a broker"),
        Event::Incoming(Packet::PubAck(_))
    ) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_broker_gives_a_late_subscriber_more_states_than_it_queues_events() {
    const SENSORS: usize = 1_200;
    let service = start(None, "", 0).await;
    for number in 0..SENSORS {
        service
            .put(&format!("/sensors/n{number}"), &json!({}))
            .await
            .expect(201);
    }
    eventually("all are retained", || async {
        retained(service.broker(), Version::V4, "sensors/+/state").await.len() == SENSORS
    })
    .await;
    service.finish().await;
}
