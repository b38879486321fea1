//! What the built-in broker says to clients of MQTT 3.1.1, byte for byte: no more than that version has.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Service};

/// The levels of the protocol, as CONNECT has them.
const OLD: u8 = 4;
const NEW: u8 = 5;

struct Client(TcpStream);

impl Client {
    async fn connect(service: &Service, level: u8, id: &str) -> Self {
        let mut client = Self(TcpStream::connect(service.broker()).await.unwrap());
        // A session that stays, and where there are properties, none.
        let mut body = [&[0, 4][..], b"MQTT", &[level, 0, 0, 60]].concat();
        if level == NEW {
            body.push(0);
        }
        body.extend([0, u8::try_from(id.len()).unwrap()]);
        body.extend(id.as_bytes());
        client.say(0x10, &body).await;
        assert_eq!(client.hear().await[0], 0x20);
        client
    }

    async fn say(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut length = body.len();
        while length > 0x7F {
            packet.push(u8::try_from(length & 0x7F).unwrap() | 0x80);
            length >>= 7;
        }
        packet.push(u8::try_from(length).unwrap());
        packet.extend(body);
        self.0.write_all(&packet).await.unwrap();
    }

    /// A message at QoS 1 or 2, with the packet id 7.
    async fn publish(&mut self, qos: u8, retain: bool, topic: &str, payload: &[u8]) {
        let mut body = vec![0, u8::try_from(topic.len()).unwrap()];
        body.extend(topic.as_bytes());
        body.extend([0, 7]);
        body.extend(payload);
        self.say(0x30 | qos << 1 | u8::from(retain), &body).await;
    }

    /// The next packet, of fewer than 128 bytes; nothing when there is none any more.
    async fn hear(&mut self) -> Vec<u8> {
        let packet = async {
            let mut head = [0; 2];
            if self.0.read_exact(&mut head).await.is_err() {
                return Vec::new();
            }
            let mut body = vec![0; usize::from(head[1])];
            self.0.read_exact(&mut body).await.unwrap();
            [&head[..], &body].concat()
        };
        timeout(PATIENCE, packet).await.expect("an answer")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_a_message_of_which_the_broker_knows_nothing_is_confirmed() {
    let service = Service::start().await;
    let mut client = Client::connect(&service, OLD, "raw").await;
    client.say(0x62, &[0, 5]).await;
    assert_eq!(client.hear().await, [0x70, 2, 0, 5]);
    // The one that knows reasons is told it.
    let mut client = Client::connect(&service, NEW, "new").await;
    client.say(0x62, &[0, 5]).await;
    assert_eq!(client.hear().await[2..5], [0, 5, 0x92]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_acknowledged_and_the_connection_goes_on() {
    let service = Service::start().await;
    let mut client = Client::connect(&service, OLD, "raw").await;
    let too_much = vec![b'x'; (128 << 10) + 1];
    for (topic, payload) in [("sensors/x", &b"x"[..]), ("other", too_much.as_slice())] {
        client.publish(1, true, topic, payload).await;
        assert_eq!(client.hear().await, [0x40, 2, 0, 7], "{topic}");
        client.publish(2, true, topic, payload).await;
        assert_eq!(client.hear().await, [0x50, 2, 0, 7], "{topic}");
        client.say(0x62, &[0, 7]).await;
        assert_eq!(client.hear().await, [0x70, 2, 0, 7], "{topic}");
    }
    // Nothing of it is there: the subscriber hears no more than that it is one, and that the broker lives.
    client.say(0x82, &[0, 8, 0, 5, b'o', b't', b'h', b'e', b'r', 1]).await;
    assert_eq!(client.hear().await, [0x90, 3, 0, 8, 1]);
    client.say(0xC0, &[]).await;
    assert_eq!(client.hear().await, [0xD0, 0]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_without_a_word_when_another_takes_its_place_or_the_service_stops() {
    let service = Service::start().await;
    let mut older = Client::connect(&service, OLD, "raw").await;
    let mut younger = Client::connect(&service, OLD, "raw").await;
    assert!(older.hear().await.is_empty());
    let mut new = Client::connect(&service, NEW, "new").await;
    service.finish().await;
    assert!(younger.hear().await.is_empty());
    assert_eq!(new.hear().await[0], 0xE0);
}
