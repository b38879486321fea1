use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use sensorcast::mqtt::Endpoint;
use sensorcast::mqtt::broker::{Broker, BrokerError};
use tokio::time::timeout;

use crate::log::{EPOCH, MemoryLog, event};
use crate::mosquitto::Mosquitto;
use crate::publisher::{Publisher, SOURCE, config, sink};
use crate::subscriber::{LIMIT, Subscriber, v5_options};

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_both_versions_get_the_bytes_of_the_log_from_mosquitto() {
    let mosquitto = Mosquitto::start().await;
    for qos in 0..=2 {
        both_versions_get_the_same(mosquitto.port, mosquitto.endpoint(), qos).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_both_versions_get_the_bytes_of_the_log_from_the_built_in_broker() {
    let broker = Broker::start(&config(1)).await.unwrap();
    for qos in 0..=2 {
        both_versions_get_the_same(broker.local_addr().port(), broker.endpoint(), qos).await;
    }
    broker.shutdown().await;
}

async fn both_versions_get_the_same(port: u16, endpoint: Endpoint, qos: u8) {
    let mut v4 = Subscriber::v4(port, "sensors/+", 2).await;
    let mut v5 = Subscriber::v5(port, "sensors/+", 2).await;
    let log = MemoryLog::with_events(300);
    let publisher = Publisher::with_sink(&log, sink(endpoint, qos)).await;
    for revision in 1..=300 {
        let stored = event(revision);
        let (old, new) = (v4.next().await, v5.next().await);
        assert_eq!(old.payload, stored.payload);
        assert_eq!(new.payload, stored.payload);
        assert_eq!((old.qos, new.qos), (qos, qos));
        assert_eq!(new.topic, format!("sensors/{}", stored.sensor));
        assert!(!new.retained && !old.retained);
        assert_eq!(new.content_type.as_deref(), Some("application/json"));
        assert_eq!(new.payload_format, Some(1));
        for (name, value) in [
            ("specversion", "1.0"),
            ("id", &format!("{EPOCH}.{revision}")),
            ("source", SOURCE),
            ("type", "sensorcast.sensor.modified"),
            ("subject", &stored.sensor.to_string()),
            ("time", &stored.committed_at.to_string()),
        ] {
            let pair = (name.to_owned(), value.to_owned());
            assert!(new.user_properties.contains(&pair), "{pair:?}");
        }
    }
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_publish_below_sensors_is_refused_and_reaches_nobody() {
    let broker = Broker::start(&config(1)).await.unwrap();
    let port = broker.local_addr().port();
    let mut subscriber = Subscriber::v5(port, "#", 1).await;
    let (foreigner, mut events) = AsyncClient::new(v5_options("foreigner", port), 10);
    for topic in ["sensors", "sensors/x", "sensors/x/state"] {
        foreigner
            .publish(topic, QoS::AtLeastOnce, true, "forged")
            .await
            .unwrap();
        assert_eq!(puback(&mut events).await, PubAckReason::NotAuthorized, "{topic}");
    }
    foreigner
        .publish("elsewhere", QoS::AtLeastOnce, false, "free")
        .await
        .unwrap();
    assert_ne!(puback(&mut events).await, PubAckReason::NotAuthorized);
    assert_eq!(subscriber.next().await.payload, b"free");

    let log = MemoryLog::with_events(1);
    let publisher = Publisher::start(&log, broker.endpoint()).await;
    assert_eq!(subscriber.next().await.topic, "sensors");
    assert_eq!(subscriber.next().await.payload, event(1).payload);
    publisher.stop().await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_broker_retains_no_large_message_and_not_many() {
    let broker = Broker::start(&config(1)).await.unwrap();
    let port = broker.local_addr().port();
    let (client, mut events) = AsyncClient::new(v5_options("hoarder", port), 10);
    let large = vec![b'x'; 200 << 10];
    let messages = [("large".to_owned(), large)].into_iter();
    let messages = messages.chain((0..1_001).map(|number| (format!("small/{number:04}"), b"x".to_vec())));
    for (topic, payload) in messages {
        client.publish(topic, QoS::AtLeastOnce, true, payload).await.unwrap();
        puback(&mut events).await;
    }
    let mut subscriber = Subscriber::v5(port, "#", 1).await;
    client.publish("end", QoS::AtLeastOnce, false, "x").await.unwrap();
    puback(&mut events).await;
    let mut retained = Vec::new();
    while retained.last().is_none_or(|topic| topic != "end") {
        retained.push(subscriber.next().await.topic);
    }
    assert!(!retained.contains(&"large".to_owned()));
    // Those of the broker itself are among them, and not sent.
    assert!((900..=1_001).contains(&retained.len()), "{}", retained.len());
    broker.shutdown().await;
}

async fn puback(events: &mut EventLoop) -> PubAckReason {
    loop {
        if let Event::Incoming(Packet::PubAck(puback)) = timeout(LIMIT, events.poll()).await.unwrap().unwrap() {
            return puback.reason;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_into_the_built_in_broker_with_the_relays_client_id() {
    let broker = Broker::start(&config(1)).await.unwrap();
    let port = broker.local_addr().port();
    let log = MemoryLog::with_events(1);
    let publisher = Publisher::start(&log, broker.endpoint()).await;
    publisher.reaches(1).await;
    let other = format!("{}.1", relay_id());
    for (id, user, password) in [
        (&relay_id(), None, ""),
        (&relay_id(), Some("sensorcast-relay"), "guess"),
        (&other, None, ""),
    ] {
        let mut options = v5_options(id, port);
        if let Some(user) = user {
            options.set_credentials(user, password);
        }
        let (_client, mut events) = AsyncClient::new(options, 10);
        assert!(timeout(LIMIT, events.poll()).await.unwrap().is_err());
    }
    log.append(100);
    publisher.reaches(101).await;
    assert_eq!(publisher.status.state().connections, 1);
    publisher.stop().await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_the_relays_id_on_another_broker_does_not_stop_the_events() {
    let mosquitto = Mosquitto::start().await;
    let log = MemoryLog::with_events(1);
    let publisher = Publisher::start(&log, mosquitto.endpoint()).await;
    publisher.reaches(1).await;
    let (_client, mut events) = AsyncClient::new(v5_options(&relay_id(), mosquitto.port), 10);
    // Comes back whenever it is pushed out, as most clients do.
    let rival = tokio::spawn(async move {
        loop {
            let _ = events.poll().await;
        }
    });
    while publisher.status.state().connections < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    log.append(1_000);
    publisher.reaches(1_001).await;
    let state = publisher.status.state();
    assert!(state.connections <= 4, "no tug of war: {state:?}");
    assert_eq!(state.set_aside, 0);
    rival.abort();
    publisher.stop().await;
}

fn relay_id() -> String {
    format!("sensorcast-{EPOCH}")
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let mosquitto = Mosquitto::start().await;
    let mut config = config(1);
    config.bind.set_port(mosquitto.port);
    let error = Broker::start(&config).await.unwrap_err();
    assert!(matches!(error, BrokerError::AddressInUse { address } if address == config.bind));
    assert!(error.to_string().contains(&config.bind.to_string()), "{error}");
}

#[tokio::test]
async fn a_stopped_broker_leaves_its_port_to_the_next_one() {
    let mut config = config(1);
    for _ in 0..3 {
        let broker = Broker::start(&config).await.unwrap();
        config.bind = broker.local_addr();
        broker.shutdown().await;
    }
}
