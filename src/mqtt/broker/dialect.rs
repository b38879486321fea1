//! What the library says to a client of MQTT 3.1.1, in the form of MQTT 3.1.1.
//!
//! It gives reasons to everybody: an acknowledgement that is more than a packet id, and a DISCONNECT of the server, which
//! came with MQTT 5. Clients of 3.1.1 hang up on both; one that then asks again, as QoS 2 wants it, does so for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mqtt5::broker::transport::WebSocketTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection on which packets are written as the client's version of MQTT has them.
pub(super) struct Spoken<S> {
    stream: S,
    /// The beginning of what the client says, until that tells the version.
    heard: Vec<u8>,
    is_old: bool,
    /// So many bytes more belong to a packet that has been begun.
    rest: usize,
    /// What is to be written in the place of a packet.
    instead: Vec<u8>,
}

/// The protocol level of MQTT 3.1.1 (§3.1.2.2), the only one before MQTT 5 that the library takes.
const OLD_LEVEL: u8 = 4;
/// A fixed header, the protocol's name and its level.
const MAX_HEARD: usize = 5 + 6 + 1;

const CONNECT: u8 = 1;
const PUBACK: u8 = 4;
const PUBCOMP: u8 = 7;
const DISCONNECT: u8 = 14;
/// An acknowledgement has a packet id and nothing else.
const ID_BYTES: usize = 2;

/// The fixed header of a packet: its kind, its own length and that of the rest.
struct Header {
    kind: u8,
    length: usize,
    body: usize,
}

impl Header {
    /// `None` when there is no whole one.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        let end = rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
        let digits = rest.get(..=end)?.iter().rev();
        Some(Self {
            kind: first >> 4,
            length: end + 2,
            body: digits.fold(0, |body, digit| body << 7 | usize::from(digit & 0x7F)),
        })
    }
}

impl<S> Spoken<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            heard: Vec::with_capacity(MAX_HEARD),
            is_old: false,
            rest: 0,
            instead: Vec::new(),
        }
    }

    /// Looks for the version in what the client says first.
    fn hear(&mut self, bytes: &[u8]) {
        let room = MAX_HEARD - self.heard.len();
        self.heard.extend(bytes.iter().take(room));
        if let Some(Header {
            kind: CONNECT, length, ..
        }) = Header::read(&self.heard)
        {
            let name_and_level = self.heard.get(length..).unwrap_or_default();
            self.is_old = name_and_level.starts_with(&[0, 4, b'M', b'Q', b'T', b'T', OLD_LEVEL]);
        }
    }

    /// How many of these bytes, with which a packet begins, are told in another way or not at all.
    fn translate(&mut self, bytes: &[u8]) -> Option<usize> {
        let header = Header::read(bytes)?;
        let packet = bytes.get(..header.length + header.body)?;
        match header.kind {
            PUBACK..=PUBCOMP if header.body > ID_BYTES => {
                let id = &packet[header.length..header.length + ID_BYTES];
                self.instead.extend([packet[0], 2]);
                self.instead.extend(id);
            }
            DISCONNECT => {}
            _ => return None,
        }
        Some(packet.len())
    }
}

impl<S: AsyncWrite + Unpin> Spoken<S> {
    fn poll_write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Spoken<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if this.heard.len() < MAX_HEARD {
            this.hear(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spoken<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_write_instead(cx))?;
        if !this.is_old {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        if this.rest == 0 {
            if let Some(told) = this.translate(buf) {
                return Poll::Ready(Ok(told));
            }
            this.rest = Header::read(buf).map_or(buf.len(), |header| header.length + header.body);
        }
        let of_packet = &buf[..buf.len().min(this.rest)];
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, of_packet))?;
        this.rest -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_instead(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_instead(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl WebSocketTransport for Spoken<TcpStream> {
    fn peer_addr(&self) -> mqtt5::error::Result<SocketAddr> {
        Ok(self.stream.peer_addr()?)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What a client that connects with this level is told when the library says this, through a pipe that takes so
    /// many bytes at a time.
    async fn told(level: u8, said: &[u8], room: usize) -> Vec<u8> {
        let connect = [
            0x10, 15, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 60, 0, 3, b'r', b'a', b'w',
        ];
        let (mut client, broker) = duplex(room);
        let mut broker = Spoken::new(broker);
        let broker = async {
            let mut heard = vec![0; connect.len()];
            broker.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, connect);
            broker.write_all(said).await.unwrap();
            broker.flush().await.unwrap();
            broker.shutdown().await.unwrap();
        };
        let client = async {
            client.write_all(&connect).await.unwrap();
            let mut told = Vec::new();
            client.read_to_end(&mut told).await.unwrap();
            told
        };
        tokio::join!(broker, client).1
    }

    #[tokio::test]
    async fn a_client_of_3_1_1_is_told_what_its_version_has_and_one_of_5_all() {
        // Its payload looks like what is told in another way.
        let message = [
            &[0x30, 0xAC, 0x02, 0, 1, b't'][..],
            &[0x40, 4, 0, 7, 0x87, 0].repeat(50)[..297],
        ]
        .concat();
        let packets: [(&[u8], &[u8]); 11] = [
            (&[0x20, 2, 0, 0], &[0x20, 2, 0, 0]),
            (&[0x40, 2, 0, 1], &[0x40, 2, 0, 1]),
            (&[0x40, 3, 0, 2, 0x97], &[0x40, 2, 0, 2]),
            (&message, &message),
            (&[0x50, 4, 0, 3, 0x87, 0], &[0x50, 2, 0, 3]),
            (&[0x62, 4, 0, 4, 0x92, 0], &[0x62, 2, 0, 4]),
            (&[0x70, 6, 0, 5, 0x92, 2, 0x1F, 0], &[0x70, 2, 0, 5]),
            (&[0x90, 3, 0, 6, 0x80], &[0x90, 3, 0, 6, 0x80]),
            (&[0xE0, 1, 0x8E], &[]),
            (&[0xD0, 0], &[0xD0, 0]),
            (&[0xE0, 0], &[]),
        ];
        let said = packets.map(|(said, _)| said).concat();
        let translated = packets.map(|(_, told)| told).concat();
        for room in [1, 2, 5, 64, 4096] {
            assert_eq!(told(4, &said, room).await, translated, "{room}");
            assert_eq!(told(5, &said, room).await, said, "{room}");
        }
    }
}
