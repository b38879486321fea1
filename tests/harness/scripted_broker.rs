use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Packet, PingResp, PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Event;

/// An MQTT 5 broker without subscribers that answers each event as a test tells it to. Everything else it accepts.
pub struct ScriptedBroker {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<i64>>>,
    client_ids: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What the broker does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A PUBACK with this reason code.
    Ack(PubAckReason),
    /// It closes the connection without a word.
    HangUp,
    /// It says nothing, to this and to all that comes after.
    Silence,
}

const MAX_PACKET_BYTES: u32 = 1 << 20;

impl ScriptedBroker {
    /// `script` is asked about every event, in the order in which they come.
    pub async fn start(script: impl FnMut(&Event) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (seen, client_ids) = <(Arc<Mutex<_>>, Arc<Mutex<_>>)>::default();
        let desk = Desk {
            script: Arc::new(Mutex::new(script)),
            seen: Arc::clone(&seen),
            client_ids: Arc::clone(&client_ids),
        };
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(desk.clone().serve(client));
            }
        });
        Self {
            addr,
            seen,
            client_ids,
            task,
        }
    }

    /// For `MQTT_URL`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }

    /// The revisions of the events that came, in order.
    pub fn seen(&self) -> Vec<i64> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The client id of each connection, in order.
    pub fn client_ids(&self) -> Vec<String> {
        self.client_ids.lock().expect("no panic").clone()
    }
}

impl Drop for ScriptedBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all connections share.
struct Desk<S> {
    script: Arc<Mutex<S>>,
    seen: Arc<Mutex<Vec<i64>>>,
    client_ids: Arc<Mutex<Vec<String>>>,
}

impl<S> Clone for Desk<S> {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            seen: Arc::clone(&self.seen),
            client_ids: Arc::clone(&self.client_ids),
        }
    }
}

impl<S: FnMut(&Event) -> Reply> Desk<S> {
    async fn serve(self, mut client: TcpStream) {
        let (mut received, mut answers) = (BytesMut::new(), BytesMut::new());
        let mut is_silent = false;
        loop {
            match Packet::read(&mut received, Some(MAX_PACKET_BYTES)) {
                Ok(packet) => match self.answer(packet) {
                    _ if is_silent => {}
                    Ok(Some(answer)) => drop(answer.write(&mut answers, None).expect("a packet")),
                    Ok(None) => {}
                    Err(Reply::Silence) => is_silent = true,
                    Err(_) => return,
                },
                Err(Error::InsufficientBytes(_)) => {
                    let written = client.write_all_buf(&mut answers).await;
                    if written.is_err() || client.read_buf(&mut received).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                // A farewell, which has nothing behind its head, is more than this codec reads.
                Err(_) => return,
            }
        }
    }

    /// `Err`: the connection is of no more use.
    fn answer(&self, packet: Packet) -> Result<Option<Packet>, Reply> {
        Ok(match packet {
            Packet::Connect(connect, ..) => {
                self.client_ids.lock().expect("no panic").push(connect.client_id);
                Some(Packet::ConnAck(ConnAck {
                    session_present: false,
                    code: ConnectReturnCode::Success,
                    properties: None,
                }))
            }
            Packet::PingReq(_) => Some(Packet::PingResp(PingResp)),
            Packet::Subscribe(subscribe) => Some(Packet::SubAck(SubAck {
                pkid: subscribe.pkid,
                return_codes: vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); subscribe.filters.len()],
                properties: None,
            })),
            Packet::Publish(publish) => Some(self.take(&publish)?),
            _ => None,
        })
    }

    fn take(&self, publish: &Publish) -> Result<Packet, Reply> {
        let mut ack = PubAck::new(publish.pkid, None);
        if publish.topic.contains(&b'/') {
            let event = Event::read(&publish.payload);
            self.seen.lock().expect("no panic").push(event.revision);
            let mut script = self.script.lock().expect("no panic");
            match (*script)(&event) {
                Reply::Ack(reason) => ack.reason = reason,
                other => return Err(other),
            }
        }
        Ok(Packet::PubAck(ack))
    }
}
