use std::process::{Child, Command};

use sensorcast::mqtt::broker::Broker;
use serde_json::json;

use crate::log::{EPOCH, MemoryLog};
use crate::mosquitto::Mosquitto;
use crate::publisher::{Publisher, config};
use crate::subscriber::Subscriber;

/// The URL of the broker that [`a_publisher_to_be_killed`] publishes to.
const URL_VARIABLE: &str = "SENSORCAST_TEST_MQTT_URL";

async fn tells(subscriber: &mut Subscriber, status: &str, revision: i64) {
    let expected = json!({"status": status, "epoch": EPOCH, "revision": revision});
    loop {
        let received = subscriber.next().await;
        assert_eq!(received.topic, "sensors");
        if received.json() == expected {
            return;
        }
    }
}

async fn retained(port: u16) -> serde_json::Value {
    let message = Subscriber::v5(port, "sensors", 1).await.next().await;
    assert!(message.retained);
    message.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retained_head_follows_the_log_and_a_stop_says_offline() {
    let mosquitto = Mosquitto::start().await;
    let built_in = Broker::start(&config(1)).await.unwrap();
    let brokers = [
        (mosquitto.port, mosquitto.endpoint()),
        (built_in.local_addr().port(), built_in.endpoint()),
    ];
    for (port, endpoint) in brokers {
        let log = MemoryLog::with_events(3);
        let publisher = Publisher::start(&log, endpoint).await;
        publisher.reaches(3).await;
        assert_eq!(
            retained(port).await,
            json!({"status": "online", "epoch": EPOCH, "revision": 3})
        );
        let mut subscriber = Subscriber::v5(port, "sensors", 1).await;
        log.append(4);
        tells(&mut subscriber, "online", 7).await;
        publisher.stop().await;
        tells(&mut subscriber, "offline", 7).await;
        assert_eq!(retained(port).await["status"], "offline");
    }
    built_in.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_will_says_offline_when_the_publisher_is_killed() {
    let mosquitto = Mosquitto::start().await;
    let mut publisher = spawn_publisher(mosquitto.port);
    let mut subscriber = Subscriber::v5(mosquitto.port, "sensors", 1).await;
    tells(&mut subscriber, "online", 5).await;
    publisher.kill().unwrap();
    publisher.wait().unwrap();
    tells(&mut subscriber, "offline", 5).await;
    assert_eq!(retained(mosquitto.port).await["status"], "offline");
}

/// This binary once more, to run nothing but [`a_publisher_to_be_killed`].
fn spawn_publisher(port: u16) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "presence::a_publisher_to_be_killed"])
        .env(URL_VARIABLE, format!("mqtt://127.0.0.1:{port}"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process for the test above"]
async fn a_publisher_to_be_killed() {
    let Ok(url) = std::env::var(URL_VARIABLE) else {
        return;
    };
    let endpoint = sensorcast::mqtt::Endpoint::from_url(&url.parse().unwrap()).unwrap();
    let publisher = Publisher::start(&MemoryLog::with_events(5), endpoint).await;
    publisher.reaches(5).await;
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
}
