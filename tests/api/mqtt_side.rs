use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::json;

use crate::harness::{Mosquitto, PATIENCE, Service, Subscriber, Version, eventually, raise_open_files};

/// Publishes as a stranger; true when the broker has said yes.
async fn stranger_publishes(service: &Service, topic: &str, retain: bool) -> bool {
    let broker = service.broker();
    let mut options = MqttOptions::new("stranger", broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_mins(1));
    let (client, mut connection) = AsyncClient::new(options, 4);
    let payload = r#"{"event":"deleted","sensor":"x","epoch":"aaaaaaaa","revision":9,"previous":8}"#;
    client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    let verdict = async {
        loop {
            match connection.poll().await {
                Ok(Event::Incoming(Packet::PubAck(answer))) => {
                    let yes = [PubAckReason::Success, PubAckReason::NoMatchingSubscribers];
                    return yes.contains(&answer.reason);
                }
                Ok(_) => (),
                Err(_) => return false,
            }
        }
    };
    tokio::time::timeout(PATIENCE, verdict)
        .await
        .expect("a verdict of the broker")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_publish_below_sensors_is_refused_and_changes_nothing() {
    let service = Service::start().await;
    // Before the event of the creation, which comes when it comes.
    let mut subscriber = Subscriber::start(Version::V5, service.broker(), "sensors/#").await;
    let made = service.create(&json!({"name": "s1"})).await;
    for topic in [
        format!("sensors/{}", made.id()),
        "sensors/x".to_owned(),
        "sensors/x/state".to_owned(),
        "sensors".to_owned(),
    ] {
        for retain in [false, true] {
            assert!(
                !stranger_publishes(&service, &topic, retain).await,
                "{topic} retain={retain}"
            );
        }
    }
    assert_eq!(service.get(&made.path()).await.body, made.body);
    service.delete(&made.path()).await.expect(204);
    let mut events = Vec::new();
    while events.len() < 2 {
        let message = subscriber.next().await;
        if message.topic == "sensors" {
            let head: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!(head["status"], "online");
        } else {
            let event = message.event();
            events.push((event.kind.clone(), event.revision));
        }
    }
    assert_eq!(events, [("created".to_owned(), 1), ("deleted".to_owned(), 2)]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_the_broker_itself_are_not_for_strangers() {
    let service = Service::start().await;
    for topic in ["$SYS/broker/version", "$SYS", "$other/topic"] {
        for retain in [false, true] {
            assert!(
                !stranger_publishes(&service, topic, retain).await,
                "{topic} retain={retain}"
            );
        }
    }
    assert!(stranger_publishes(&service, "own/$topic", true).await);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_subscription_needs_a_name() {
    let service = Service::start().await;
    let broker = service.broker();
    let mut options = MqttOptions::new("sharer", broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_mins(1));
    let (client, mut connection) = AsyncClient::new(options, 4);
    let mut granted = Vec::new();
    for filter in ["$share//sensors/+", "$share/group/sensors/+"] {
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    }
    while granted.len() < 2 {
        let event = tokio::time::timeout(PATIENCE, connection.poll())
            .await
            .expect("an answer");
        if let Event::Incoming(Packet::SubAck(answer)) = event.unwrap() {
            granted.extend(
                answer
                    .return_codes
                    .iter()
                    .map(|code| matches!(code, SubscribeReasonCode::Success(_))),
            );
        }
    }
    assert_eq!(granted, [false, true]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_never_acknowledges_holds_nobody_up() {
    let service = Service::start().await;
    let mut stalled = Subscriber::that_never_acknowledges(service.broker(), "sensors/+").await;
    let mut good = service.subscribe().await;
    service.create(&json!({"name": "s1"})).await;
    stalled.next().await;
    for number in 0..300 {
        service
            .patch("/sensors/s1", &json!({"value": number}))
            .await
            .expect(200);
    }
    for revision in 1..=301 {
        assert_eq!(good.next_event().await.revision, revision);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_connections_come_and_go_and_the_service_goes_on() {
    raise_open_files();
    let service = Service::start().await;
    let mut subscribers = Vec::new();
    for _ in 0..500 {
        subscribers.push(service.subscribe().await);
    }
    service.create(&json!({"name": "s1"})).await;
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next_event().await.revision, 1);
    }
    drop(subscribers);
    let mut late = service.subscribe().await;
    service.delete("/sensors/s1").await.expect(204);
    assert_eq!(late.next_event().await.revision, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_broker_at_start_requests_go_on_and_the_log_waits_for_it() {
    let mut mosquitto = Mosquitto::stopped();
    let service = Service::start_on(&mosquitto).await;
    for number in 0..20 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    service.get("/health/ready").await.expect(200);
    assert_eq!(
        service.relay_lag().await,
        Some(20),
        "the body tells the lag of the relay"
    );
    mosquitto.run().await;
    eventually("the relay has caught up", || async {
        service.relay_lag().await == Some(0)
    })
    .await;
    let mut subscriber = service.subscribe().await;
    service.delete("/sensors/s0").await.expect(204);
    assert_eq!(subscriber.next_event().await.revision, 21);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_garbage_or_a_huge_packet_is_cut_off_alone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let service = Service::start().await;
    let mut good = service.subscribe().await;
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4],
        &[0; 64],
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    for bytes in garbage {
        let mut stream = tokio::net::TcpStream::connect(service.broker()).await.unwrap();
        // It may be cut off while it still writes.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .expect("an end");
    }
    service.create(&json!({"name": "s1"})).await;
    assert_eq!(good.next_event().await.revision, 1);
    service.finish().await;
}
