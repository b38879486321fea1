use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;

/// Stands between the service and a broker, and makes of any broker one that a test can reason about:
///
/// * it lets nobody through while it is closed, so that a subscriber can be there before the relay is;
/// * it passes an acknowledgement on only once a subscriber has the event, because a broker that dies forgets what it
///   acknowledged. What the relay sees acknowledged is then delivered, so that every event has to arrive.
pub struct Proxy {
    addr: SocketAddr,
    gate: watch::Sender<bool>,
    delivered: watch::Sender<i64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A closed proxy in front of `broker`.
    pub async fn closed(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (gate, gate_state) = watch::channel(false);
        let (delivered, delivered_state) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((service, _)) = listener.accept().await {
                if !*gate_state.borrow() {
                    continue;
                }
                let gate_state = gate_state.clone();
                let delivered_state = delivered_state.clone();
                tokio::spawn(async move {
                    if let Ok(broker) = TcpStream::connect(broker).await {
                        connect(service, broker, gate_state, delivered_state).await;
                    }
                });
            }
        });
        Self {
            addr,
            gate,
            delivered,
            task,
        }
    }

    /// For `MQTT_URL`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }

    /// Lets the service through from now on.
    pub fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Cuts every connection and lets none through from now on.
    pub fn close(&self) {
        self.gate.send_replace(false);
    }

    /// Says that a subscriber has every event up to `revision`.
    pub fn delivered(&self, revision: i64) {
        self.delivered.send_replace(revision);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(
    service: TcpStream,
    broker: TcpStream,
    mut gate: watch::Receiver<bool>,
    delivered: watch::Receiver<i64>,
) {
    let (from_service, to_service) = service.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let in_flight = Arc::new(Mutex::new(HashMap::new()));
    tokio::select! {
        () = pass_publishes(from_service, to_broker, Arc::clone(&in_flight)) => (),
        () = pass_acknowledgements(from_broker, to_service, in_flight, delivered) => (),
        _ = gate.wait_for(|open| !open) => (),
    }
}

type InFlight = Arc<Mutex<HashMap<[u8; 2], i64>>>;

async fn pass_publishes(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, in_flight: InFlight) {
    let mut received = Vec::new();
    while let Some(packet) = next_packet(&mut from, &mut received).await {
        if let Some((packet_id, revision)) = published(&packet) {
            in_flight.lock().expect("no panic").insert(packet_id, revision);
        }
        if to.write_all(&packet).await.is_err() {
            return;
        }
    }
}

async fn pass_acknowledgements(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    in_flight: InFlight,
    mut delivered: watch::Receiver<i64>,
) {
    let mut received = Vec::new();
    while let Some(packet) = next_packet(&mut from, &mut received).await {
        let body = &packet[head_length(&packet)..];
        if packet[0] >> 4 == PUBACK {
            let revision = in_flight.lock().expect("no panic").remove(&[body[0], body[1]]);
            let waits_for = revision.unwrap_or(0);
            if delivered.wait_for(|seen| *seen >= waits_for).await.is_err() {
                return;
            }
        }
        if to.write_all(&packet).await.is_err() {
            return;
        }
    }
}

/// The packet id and the revision of an event on its way; `None` for any other packet, the head on `sensors` included.
fn published(packet: &[u8]) -> Option<([u8; 2], i64)> {
    const MARK: &[u8] = b"\"revision\":";
    let has_packet_id = packet[0] & 0b0110 != 0;
    if packet[0] >> 4 != PUBLISH || !has_packet_id {
        return None;
    }
    let body = &packet[head_length(packet)..];
    let topic_length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let (topic, rest) = body[2..].split_at(topic_length);
    if !topic.contains(&b'/') {
        return None;
    }
    let mark = rest.windows(MARK.len()).position(|window| window == MARK)?;
    let digits: String = rest[mark + MARK.len()..]
        .iter()
        .map(|byte| char::from(*byte))
        .skip_while(|character| *character == ' ')
        .take_while(char::is_ascii_digit)
        .collect();
    Some(([rest[0], rest[1]], digits.parse().ok()?))
}

async fn next_packet(from: &mut OwnedReadHalf, received: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = packet_length(received).filter(|length| received.len() >= *length) {
            return Some(received.drain(..length).collect());
        }
        if from.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

/// The bytes before the variable header: one, and the length in one to four.
fn head_length(packet: &[u8]) -> usize {
    1 + packet[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
}

/// The length of the first packet, when so much of it is there that it is known (MQTT 5 §2.1.4).
fn packet_length(received: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (index, byte) in received.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(2 + index + length);
        }
    }
    None
}
