//! What clients do to the built-in broker is in the metrics, and in the log for once and not as often as they do it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Process, Settings, Subscriber, Version, eventually, free_port, raise_open_files};

/// More than may wait for one client: 64 on their way, 1,000 in its channel, 2,000 in its queue.
const TOO_MANY_EVENTS: usize = 3_200;
const BATCH: usize = 400;
const MANY_CLIENTS: usize = 500;
const TIMES: u64 = 5;

struct World {
    service: Process,
    broker: SocketAddr,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            folder: folder.path().to_owned(),
            mqtt_url: None,
        };
        let broker = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let service = Process::start_with(&settings, &[("MQTT_BIND", &broker.to_string())]).await;
        Self {
            service,
            broker,
            _folder: folder,
        }
    }

    async fn metric(&self, name: &str) -> u64 {
        let metrics = self.service.get("/metrics").await.expect(200);
        let value = metrics.text().lines().find_map(|line| {
            let (of, value) = line.rsplit_once(' ')?;
            (of == format!("sensorcast_broker_{name}")).then(|| value.parse().expect("a number"))
        });
        value.unwrap_or_else(|| panic!("{name} is missing"))
    }

    async fn reaches(&self, name: &str, at_least: u64) {
        eventually(name, async || self.metric(name).await >= at_least).await;
    }

    fn lines(&self, text: &str) -> Vec<String> {
        let output = self.service.output();
        let lines = output.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }

    /// How many files the service may have open from now on; those that it has stay open.
    fn may_open(&self, files: u32) {
        let words = [format!("--pid={}", self.service.id()), format!("--nofile={files}:")];
        let limited = Command::new("prlimit").args(words).status();
        assert!(limited.expect("prlimit").success());
    }

    fn client(&self, id: &str) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(id, self.broker.ip().to_string(), self.broker.port());
        options.set_keep_alive(Duration::from_mins(1));
        AsyncClient::new(options, 16)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_are_counted_and_one_line() {
    let world = World::start().await;
    let (client, mut connection) = world.client("stranger");
    for _ in 0..TIMES {
        client.publish("sensors/x", QoS::AtLeastOnce, false, "x").await.unwrap();
    }
    let mut answers = 0;
    while answers < TIMES {
        if let Event::Incoming(Packet::PubAck(_)) = connection.poll().await.unwrap() {
            answers += 1;
        }
    }
    assert_eq!(world.metric("publishes_refused_total").await, TIMES);
    let lines = world.lines("stranger");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN sensorcast::mqtt::broker") && lines[0].contains("topic=\"sensors/x\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_the_id_of_a_relay_is_counted_and_one_line() {
    let world = World::start().await;
    for _ in 0..TIMES {
        let (_client, mut connection) = world.client("sensorcast-aaaaaaaa");
        assert!(connection.poll().await.is_err());
    }
    assert_eq!(world.metric("connections_refused_total").await, TIMES);
    let lines = world.lines("sensorcast-aaaaaaaa");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_over_the_limit_are_counted_and_few_lines() {
    let world = World::start().await;
    for _ in 0..TIMES {
        let mut stream = TcpStream::connect(world.broker).await.unwrap();
        // CONNECT of nearly 256 MiB. The connection may be cut off while it is still written to.
        let _ = stream.write_all(&[0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4]).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    world.reaches("connections_failed_total", TIMES).await;
    let lines = world.lines("ended with an error");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_for_which_no_file_may_be_open_is_told_and_waits() {
    let world = World::start().await;
    world.may_open(3);
    let (_client, mut connection) = world.client("late");
    let told = || world.lines("the built-in broker cannot accept connections");
    let is_told = eventually("it is told", async || !told().is_empty());
    tokio::select! {
        event = connection.poll() => panic!("{event:?}"),
        () = is_told => {}
    }
    world.may_open(200);
    connection.poll().await.unwrap();
    assert_eq!(told().len(), 1, "{:?}", told());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_are_counted_and_one_line() {
    raise_open_files();
    let world = World::start().await;
    let mut subscribers = Vec::new();
    for _ in 0..MANY_CLIENTS {
        subscribers.push(Subscriber::start(Version::V5, world.broker, "sensors/+").await);
    }
    // With the relay.
    assert_eq!(world.metric("connections").await, MANY_CLIENTS as u64 + 1);
    let lines = world.lines("has many connections");
    assert_eq!(lines.len(), 1, "{lines:?}");
    drop(subscribers);
    eventually("they are gone", async || world.metric("connections").await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_for_a_subscriber_that_never_acknowledges_is_counted_and_one_line() {
    let world = World::start().await;
    let mut stalled = Subscriber::that_never_acknowledges(world.broker, "sensors/+").await;
    world.service.create(&json!({"name": "s1"})).await;
    stalled.next().await;
    for first in (0..TOO_MANY_EVENTS).step_by(BATCH) {
        let operations: Vec<_> = (first..first + BATCH)
            .map(|number| json!({"method": "PATCH", "path": "/sensors/s1", "body": {"value": number}}))
            .collect();
        let body = json!({"operations": operations}).to_string();
        let json = [("content-type", "application/json")];
        world.service.request("POST", "/batch", &json, body).await.expect(200);
    }
    eventually("something is dropped", async || {
        world.metric("messages_dropped_total").await > 0
    })
    .await;
    let lines = world.lines("Dropped oldest queued messages");
    assert_eq!(lines.len(), 1, "{lines:?}");
}
