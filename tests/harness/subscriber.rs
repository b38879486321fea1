use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::Packet as Packet5;
use rumqttc::{Event as Event4, MqttOptions, Packet, QoS, v5};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Event, PATIENCE};

const MAX_PACKET_BYTES: u32 = 1 << 20;
const CHANNEL_CAPACITY: usize = 16;
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// The version of the protocol that a subscriber speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1
    V4,
    /// MQTT 5
    V5,
}

/// One message as a subscriber got it.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    /// MQTT 5 only.
    pub content_type: Option<String>,
    /// MQTT 5 only.
    pub user_properties: Vec<(String, String)>,
}

impl Message {
    #[track_caller]
    pub fn event(&self) -> Event {
        Event::read(&self.payload)
    }

    /// The value of the user property `name`.
    pub fn property(&self, name: &str) -> Option<&str> {
        let found = self.user_properties.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An independent MQTT client that is subscribed to one filter at QoS 1.
pub struct Subscriber {
    messages: mpsc::UnboundedReceiver<Message>,
    task: JoinHandle<()>,
}

impl Subscriber {
    /// Connects and subscribes; the broker has confirmed it when this returns.
    pub async fn start(version: Version, broker: SocketAddr, filter: &str) -> Self {
        Self::start_acknowledging(version, broker, filter, true).await
    }

    /// A subscriber that takes messages and never acknowledges one.
    pub async fn that_never_acknowledges(broker: SocketAddr, filter: &str) -> Self {
        Self::start_acknowledging(Version::V5, broker, filter, false).await
    }

    async fn start_acknowledging(version: Version, broker: SocketAddr, filter: &str, acknowledges: bool) -> Self {
        let (message_sender, messages) = mpsc::unbounded_channel();
        let (ready_sender, ready) = oneshot::channel();
        let out = Out {
            messages: message_sender,
            ready: Some(ready_sender),
        };
        let filter = filter.to_owned();
        let task = match version {
            Version::V4 => tokio::spawn(read_v4(broker, filter, out)),
            Version::V5 => tokio::spawn(read_v5(broker, filter, acknowledges, out)),
        };
        let subscribed = timeout(PATIENCE, ready).await;
        assert!(matches!(subscribed, Ok(Ok(()))), "no SUBACK from {broker}");
        Self { messages, task }
    }

    /// The next message; fails after 10 s without one.
    pub async fn next(&mut self) -> Message {
        self.try_next().await.expect("the connection lives")
    }

    /// The next message; `None` when the connection has ended; fails after 10 s.
    pub async fn try_next(&mut self) -> Option<Message> {
        let message = timeout(PATIENCE, self.messages.recv()).await;
        message.expect("a message within 10 s")
    }

    /// The next message; `None` when none comes in this time, or the connection has ended.
    pub async fn next_within(&mut self, limit: Duration) -> Option<Message> {
        timeout(limit, self.messages.recv()).await.ok().flatten()
    }

    /// The next message as an event.
    pub async fn next_event(&mut self) -> Event {
        self.next().await.event()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a reading task puts what it gets.
struct Out {
    messages: mpsc::UnboundedSender<Message>,
    ready: Option<oneshot::Sender<()>>,
}

impl Out {
    fn subscribed(&mut self) {
        if let Some(ready) = self.ready.take() {
            // The test may have given up already.
            let _ = ready.send(());
        }
    }
}

async fn read_v4(broker: SocketAddr, filter: String, mut out: Out) {
    let mut options = MqttOptions::new(client_id(), broker.ip().to_string(), broker.port());
    let limit = MAX_PACKET_BYTES as usize;
    options.set_max_packet_size(limit, limit).set_keep_alive(KEEP_ALIVE);
    let (client, mut connection) = rumqttc::AsyncClient::new(options, CHANNEL_CAPACITY);
    client.subscribe(filter, QoS::AtLeastOnce).await.expect("a queue");
    while let Ok(event) = connection.poll().await {
        match event {
            Event4::Incoming(Packet::SubAck(_)) => out.subscribed(),
            Event4::Incoming(Packet::Publish(publish)) => {
                let _ = out.messages.send(Message {
                    topic: publish.topic,
                    payload: publish.payload.to_vec(),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                    ..Message::default()
                });
            }
            _ => (),
        }
    }
}

async fn read_v5(broker: SocketAddr, filter: String, acknowledges: bool, mut out: Out) {
    let mut options = v5::MqttOptions::new(client_id(), broker.ip().to_string(), broker.port());
    options
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_keep_alive(KEEP_ALIVE)
        .set_manual_acks(!acknowledges);
    let (client, mut connection) = v5::AsyncClient::new(options, CHANNEL_CAPACITY);
    client
        .subscribe(filter, v5::mqttbytes::QoS::AtLeastOnce)
        .await
        .expect("a queue");
    while let Ok(event) = connection.poll().await {
        match event {
            v5::Event::Incoming(Packet5::SubAck(_)) => out.subscribed(),
            v5::Event::Incoming(Packet5::Publish(publish)) => {
                let properties = publish.properties.unwrap_or_default();
                let _ = out.messages.send(Message {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload.to_vec(),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                    content_type: properties.content_type,
                    user_properties: properties.user_properties,
                });
            }
            _ => (),
        }
    }
}

fn client_id() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}", std::process::id())
}
