//! An MQTT 3.1.1 client of one connection that adds as little as possible to what is measured.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};

pub struct Mqtt {
    stream: BufReader<TcpStream>,
}

/// A message as it came.
#[derive(Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// Nothing for this long means that something is wrong.
const TIME_LIMIT: Duration = Duration::from_secs(30);

// The first byte of a packet (§2.2).
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBLISH_QOS_1: u8 = 0x32;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

const TYPE_MASK: u8 = 0xf0;
const QOS_MASK: u8 = 0x06;
/// Of the one publish that is on its way, and of the subscription.
const PACKET_ID: [u8; 2] = [0, 1];

impl Mqtt {
    pub fn connect(broker: SocketAddr, client_id: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(broker).with_context(|| format!("cannot connect to {broker}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIME_LIMIT))?;
        let mut client = Self {
            stream: BufReader::with_capacity(1 << 16, stream),
        };
        // Protocol level 4, a clean session, no keep-alive.
        let rest = [text("MQTT")?, vec![4, 2, 0, 0], text(client_id)?].concat();
        client.write(CONNECT, &rest)?;
        client.read(CONNACK)?;
        Ok(client)
    }

    /// Subscribes at `QoS` 1, and waits for the broker's word.
    pub fn subscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        let rest = [PACKET_ID.to_vec(), text(filter)?, vec![1]].concat();
        self.write(SUBSCRIBE, &rest)?;
        self.read(SUBACK)?;
        Ok(())
    }

    /// Publishes at `QoS` 1 and does not wait.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        let rest = [text(topic)?, PACKET_ID.to_vec(), payload.to_vec()].concat();
        self.write(PUBLISH_QOS_1, &rest)
    }

    /// Waits for the broker's word on what was published.
    pub fn published(&mut self) -> anyhow::Result<()> {
        self.read(PUBACK)?;
        Ok(())
    }

    /// The next message, which is acknowledged.
    pub fn next(&mut self) -> anyhow::Result<Message> {
        let (first, mut rest) = self.read(PUBLISH)?;
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let mut head = 2 + length;
        let topic = String::from_utf8(rest[2..head].to_vec())?;
        if first & QOS_MASK != 0 {
            let id = [rest[head], rest[head + 1]];
            self.write(PUBACK, &id)?;
            head += 2;
        }
        let payload = rest.split_off(head);
        Ok(Message { topic, payload })
    }

    /// The next packet, which has to be of the type `expected`: its first byte, and what follows the length.
    fn read(&mut self, expected: u8) -> anyhow::Result<(u8, Vec<u8>)> {
        let first = self.byte()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.stream.read_exact(&mut rest)?;
        ensure!(
            first & TYPE_MASK == expected,
            "{first:#x} from the broker, not {expected:#x}"
        );
        Ok((first, rest))
    }

    fn byte(&mut self) -> anyhow::Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("the broker is silent")?;
        Ok(byte[0])
    }

    fn write(&mut self, first: u8, rest: &[u8]) -> anyhow::Result<()> {
        let mut packet = vec![first];
        let mut length = rest.len();
        while length >= 0x80 {
            packet.push(u8::try_from(length & 0x7f)? | 0x80);
            length >>= 7;
        }
        packet.push(u8::try_from(length)?);
        packet.extend(rest);
        self.stream.get_mut().write_all(&packet)?;
        Ok(())
    }
}

/// UTF-8 text behind its length (§1.5.3).
fn text(text: &str) -> anyhow::Result<Vec<u8>> {
    let length = u16::try_from(text.len())?;
    Ok([&length.to_be_bytes(), text.as_bytes()].concat())
}
