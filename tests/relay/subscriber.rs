use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5 as wire5;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A message as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub qos: u8,
    /// MQTT 5 alone.
    pub content_type: Option<String>,
    pub payload_format: Option<u8>,
    pub user_properties: Vec<(String, String)>,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    pub fn revision(&self) -> i64 {
        self.json()["revision"].as_i64().unwrap()
    }
}

/// A subscription; its connection ends when it is dropped.
pub struct Subscriber {
    received: mpsc::UnboundedReceiver<Received>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// A subscriber of MQTT 5; returns after the SUBACK.
    pub async fn v5(port: u16, filter: &str, qos: u8) -> Self {
        // Ids of their own: the library of the built-in broker is known to forget the retained messages at times for one who
        // takes over the connection of another.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (forward, received) = mpsc::unbounded_channel();
        let id = format!("subscriber-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (client, mut events) = rumqttc::v5::AsyncClient::new(v5_options(&id, port), 10);
        let qos = rumqttc::v5::mqttbytes::qos(qos).unwrap();
        client.subscribe(filter, qos).await.unwrap();
        let mut pending = Vec::new();
        loop {
            match timeout(LIMIT, events.poll()).await.unwrap().unwrap() {
                rumqttc::v5::Event::Incoming(wire5::Packet::SubAck(_)) => break,
                rumqttc::v5::Event::Incoming(wire5::Packet::Publish(message)) => pending.push(from_v5(message)),
                _ => {}
            }
        }
        let task = tokio::spawn(async move {
            let _client = client;
            for message in pending {
                let _ = forward.send(message);
            }
            while let Ok(event) = events.poll().await {
                if let rumqttc::v5::Event::Incoming(wire5::Packet::Publish(message)) = event
                    && forward.send(from_v5(message)).is_err()
                {
                    return;
                }
            }
        });
        Self { received, task }
    }

    /// A subscriber of MQTT 3.1.1; returns after the SUBACK.
    pub async fn v4(port: u16, filter: &str, qos: u8) -> Self {
        let (forward, received) = mpsc::unbounded_channel();
        let options = rumqttc::MqttOptions::new("subscriber-4", "127.0.0.1", port);
        let (client, mut events) = rumqttc::AsyncClient::new(options, 10);
        client.subscribe(filter, rumqttc::qos(qos).unwrap()).await.unwrap();
        loop {
            let event = timeout(LIMIT, events.poll()).await.unwrap().unwrap();
            if matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_))) {
                break;
            }
        }
        let task = tokio::spawn(async move {
            let _client = client;
            while let Ok(event) = events.poll().await {
                if let rumqttc::Event::Incoming(rumqttc::Packet::Publish(message)) = event
                    && forward.send(from_v4(message)).is_err()
                {
                    return;
                }
            }
        });
        Self { received, task }
    }

    /// A subscriber of MQTT 3.1.1 at `QoS` 0 that reads every byte that came before the connection ended. A library may
    /// throw away what it had read when the end comes.
    pub async fn to_the_last_byte(port: u16, filter: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut greeting = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02to".to_vec();
        let length = u8::try_from(filter.len()).unwrap();
        greeting.extend([0x82, length + 5, 0, 1, 0, length]);
        greeting.extend(filter.as_bytes());
        greeting.push(0);
        stream.write_all(&greeting).await.unwrap();
        let mut connack_and_suback = [0; 4 + 5];
        stream.read_exact(&mut connack_and_suback).await.unwrap();
        let (forward, received) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut bytes = BytesMut::new();
            while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
                while let Ok(packet) = rumqttc::Packet::read(&mut bytes, 1 << 20) {
                    if let rumqttc::Packet::Publish(message) = packet {
                        let _ = forward.send(from_v4(message));
                    }
                }
            }
        });
        Self { received, task }
    }

    /// The next message.
    pub async fn next(&mut self) -> Received {
        let next = timeout(LIMIT, self.received.recv()).await;
        next.expect("a message comes").expect("the broker is there")
    }

    /// The next message, or `None` when the connection has ended and nothing is left.
    pub async fn next_or_end(&mut self) -> Option<Received> {
        timeout(LIMIT, self.received.recv())
            .await
            .expect("a message or the end")
    }
}

pub const LIMIT: Duration = Duration::from_secs(20);

pub fn v5_options(client_id: &str, port: u16) -> rumqttc::v5::MqttOptions {
    let mut options = rumqttc::v5::MqttOptions::new(client_id, "127.0.0.1", port);
    options.set_keep_alive(Duration::from_mins(1));
    options
}

fn from_v5(message: wire5::Publish) -> Received {
    let properties = message.properties.unwrap_or_default();
    Received {
        topic: String::from_utf8(message.topic.to_vec()).unwrap(),
        payload: message.payload.to_vec(),
        retained: message.retain,
        qos: message.qos as u8,
        content_type: properties.content_type,
        payload_format: properties.payload_format_indicator,
        user_properties: properties.user_properties,
    }
}

fn from_v4(message: rumqttc::Publish) -> Received {
    Received {
        topic: message.topic,
        payload: message.payload.to_vec(),
        retained: message.retain,
        qos: message.qos as u8,
        content_type: None,
        payload_format: None,
        user_properties: Vec::new(),
    }
}
