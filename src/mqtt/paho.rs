use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use paho_mqtt::{AsyncClient, ConnectOptions, Error, Message, PropertyCode, ReasonCode, ServerResponse};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use url::Url;

use super::endpoint::Endpoint;
use super::inbox::Inbox;
use super::message::Messages;
use super::refusal::{answer, refusal};
use super::topics::{TopicError, Topics};
use super::{client, client_id};
use crate::config::MqttConfig;
use crate::domain::{Cursor, Epoch, SensorId};
use crate::events::{Acknowledgement, Answer, Connection, Refusal, SensorState, Sink, StoredEvent};
use crate::failpoint::{pass, reach};
use crate::wire::presence::Presence;

/// Publishes to an MQTT 5 broker by the Eclipse Paho client, with a client of its own for every connection.
pub struct PahoSink {
    endpoint: Endpoint,
    messages: Arc<Messages>,
    client_id: String,
    /// How many connections in a row the broker ended soon after they were made; after [`client_id::OTHERS`] it begins anew.
    short_lives: Arc<AtomicU32>,
}

/// Why there can be no such sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The topic prefix is not one.
    #[error(transparent)]
    Prefix(#[from] TopicError),
    /// Paho does not start.
    #[error("the MQTT client library does not start: {0}")]
    Library(#[from] Error),
}

/// The most messages that wait for an answer. Twice as many bring nothing but latency, and Paho's search for a free
/// message id is linear in it.
const MAX_WINDOW: u16 = 64;
/// A connection that is lost sooner than this was no good from the start.
const SHORT_LIFE: Duration = Duration::from_secs(3);
const DISCONNECT_LIMIT: Duration = Duration::from_secs(1);
/// The highest quality of service that there is.
const ANY_QOS: i32 = 2;
/// More than the bytes of a PUBLISH besides topic, properties and payload (MQTT 5 §3.3).
const PUBLISH_OVERHEAD: usize = 16;

impl PahoSink {
    /// A sink that publishes to `endpoint`; it connects when the relay asks it to.
    ///
    /// # Errors
    /// When the topic prefix is not one, or Paho does not start.
    pub fn new(endpoint: Endpoint, config: &MqttConfig, epoch: &Epoch, public_url: &Url) -> Result<Self, SinkError> {
        client::start_library()?;
        Ok(Self {
            endpoint,
            messages: Arc::new(Messages {
                topics: Topics::new(&config.topic_prefix)?,
                epoch: epoch.clone(),
                source: public_url.as_str().trim_end_matches('/').to_owned(),
                qos: i32::from(config.qos),
            }),
            client_id: client_id::of(epoch),
            short_lives: Arc::default(),
        })
    }

    /// The id is stable, so that the broker ends a half-open connection of ours when we come back. But two clients with one id
    /// disconnect each other for ever, and not every broker says that this is the reason. So after connections that were lost as soon as
    /// they were made, an alternative id is tried. Connections that we ended ourselves do not count: the broker may accept only known ids.
    fn client_id(&self) -> String {
        match self.short_lives.load(Ordering::Relaxed) {
            0 => self.client_id.clone(),
            count => client_id::other(&self.client_id, count),
        }
    }

    fn connect_options(&self, last_will: &Presence) -> Result<ConnectOptions, Error> {
        let mut options = client::connect_options(&self.endpoint);
        options.will_message(self.messages.presence(last_will, ANY_QOS)?);
        Ok(options.finalize())
    }
}

impl Sink for PahoSink {
    type Connection = PahoConnection;

    async fn connect(&mut self, last_will: Presence) -> Result<PahoConnection, String> {
        reach("mqtt.before-connect").map_err(|error| error.to_string())?;
        client::resolve(&self.endpoint).await?;
        let describe = |error: Error| format!("{}: {error}", self.endpoint);
        let options = self.connect_options(&last_will).map_err(describe)?;
        let client = client::new_client(&self.endpoint.server_uri(), &self.client_id()).map_err(describe)?;
        let (lost, inbox) = (client::watch_connection(&client), Inbox::of(&client));
        let is_own = self.endpoint.is_own;
        let (messages, short_lives) = (Arc::clone(&self.messages), Arc::clone(&self.short_lives));
        // In a task of its own: a connect that is pending must not be cancelled, whatever becomes of the relay.
        let attempt = tokio::spawn(async move {
            let outcome = client.connect(options).await;
            let client = client::wait_for_paho(client).await;
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    // The broker may accept only known ids, and not the alternative: back to our own.
                    short_lives.store(0, Ordering::Relaxed);
                    client::drop_elsewhere(client);
                    return Err(error);
                }
            };
            Ok(PahoConnection {
                limits: Limits::from(&outcome),
                client: Some(client),
                lost,
                inbox,
                is_own,
                messages,
                short_lives,
                made_at: Instant::now(),
                has_failed: Arc::default(),
            })
        });
        let made = timeout(client::ATTEMPT_LIMIT, attempt).await;
        reach("mqtt.after-connect").map_err(|error| error.to_string())?;
        match made {
            Ok(Ok(outcome)) => outcome.map_err(describe),
            Ok(Err(panic)) => Err(panic.to_string()),
            Err(_) => Err(format!("{}: no answer", self.endpoint)),
        }
    }
}

/// One connection, and the client that exists for it alone.
pub struct PahoConnection {
    /// `None` only when it is being dropped.
    client: Option<AsyncClient>,
    lost: watch::Receiver<Option<Refusal>>,
    inbox: Inbox,
    /// Whether the broker runs in this process.
    is_own: bool,
    messages: Arc<Messages>,
    limits: Limits,
    short_lives: Arc<AtomicU32>,
    made_at: Instant,
    /// Whether a message was not sent, or got no answer because the connection had ended. The later ones are not sent either, so that
    /// none overtakes it.
    has_failed: Arc<AtomicBool>,
}

/// What the broker said in its CONNACK (MQTT 5 §3.2.2.3).
#[derive(Debug, Clone, Copy)]
struct Limits {
    receive_maximum: u16,
    packet_bytes: usize,
    max_qos: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            packet_bytes: usize::MAX,
            max_qos: ANY_QOS,
        }
    }
}

impl From<&ServerResponse> for Limits {
    fn from(response: &ServerResponse) -> Self {
        let properties = response.properties();
        let default = Self::default();
        let packet_bytes = properties
            .get_val::<u32>(PropertyCode::MaximumPacketSize)
            .and_then(|bytes| usize::try_from(bytes).ok());
        Self {
            receive_maximum: properties
                .get_val(PropertyCode::ReceiveMaximum)
                .unwrap_or(default.receive_maximum),
            packet_bytes: packet_bytes.unwrap_or(default.packet_bytes),
            max_qos: properties
                .get_val::<u8>(PropertyCode::MaximumQos)
                .map_or(default.max_qos, i32::from),
        }
    }
}

impl Connection for PahoConnection {
    type Message = Result<Message, Error>;

    fn window(&self) -> usize {
        usize::from(self.limits.receive_maximum.clamp(1, MAX_WINDOW))
    }

    fn message(&self, event: &StoredEvent) -> Self::Message {
        self.messages.event(event, self.limits.max_qos)
    }

    fn publish(&self, message: Self::Message) -> Acknowledgement {
        if reach("mqtt.refuse").is_err() {
            return ready(Answer::Refused(refusal(ReasonCode::QuotaExceeded))).boxed();
        }
        self.send(message)
    }

    fn announce(&self, presence: &Presence) -> Acknowledgement {
        self.send(self.messages.presence(presence, self.limits.max_qos))
    }

    fn presence_topic(&self) -> &str {
        self.messages.topics.collection()
    }

    fn keep(&self, state: &SensorState) -> Acknowledgement {
        self.send(self.messages.state(state, self.limits.max_qos))
    }

    fn mark(&self, cursor: &Cursor) -> Acknowledgement {
        self.send(Ok(self.messages.mark(cursor, self.limits.max_qos)))
    }

    fn read_mark(&self) -> BoxFuture<'static, Option<Cursor>> {
        let Some(client) = &self.client else {
            return ready(None).boxed();
        };
        let question = self.inbox.question(client, self.messages.topics.mark());
        let read = |message: &Message| message.payload_str().parse().ok();
        question.first(read).boxed()
    }

    fn is_to_own_broker(&self) -> bool {
        self.is_own
    }

    fn kept(&self) -> BoxFuture<'static, Vec<SensorId>> {
        let Some(client) = &self.client else {
            return ready(Vec::new()).boxed();
        };
        let question = self.inbox.question(client, self.messages.topics.all_states());
        let messages = Arc::clone(&self.messages);
        let read = move |message: &Message| messages.topics.sensor_of_state(message.topic());
        question.all(read).boxed()
    }

    async fn lost(&self) -> Refusal {
        client::ended(self.lost.clone()).await
    }

    async fn close(mut self) {
        if let Some(client) = self.client.take() {
            // Late or failed, the client is dropped all the same.
            let _ = timeout(DISCONNECT_LIMIT, client.disconnect(None)).await;
            let _ = tokio::task::spawn_blocking(move || drop(client)).await;
        }
    }
}

impl PahoConnection {
    fn send(&self, message: Result<Message, Error>) -> Acknowledgement {
        if self.has_failed.load(Ordering::Relaxed) {
            return ready(Answer::Lost("an earlier message was not sent".to_owned())).boxed();
        }
        let sent = message.and_then(|message| {
            reach("mqtt.before-send").map_err(|_| Error::Disconnected)?;
            if size(&message) > self.limits.packet_bytes {
                return Ok(None);
            }
            match &self.client {
                Some(client) => client.try_publish(message).map(Some),
                None => Err(Error::Disconnected),
            }
        });
        pass("mqtt.after-send");
        match sent {
            Ok(Some(token)) => {
                let has_failed = Arc::clone(&self.has_failed);
                let note = move |answer: &Answer| {
                    if matches!(answer, Answer::Lost(_)) {
                        has_failed.store(true, Ordering::Relaxed);
                    }
                };
                token.map(answer).inspect(note).boxed()
            }
            // The broker would hang up on it without a word.
            Ok(None) => ready(Answer::Refused(refusal(ReasonCode::PacketTooLarge))).boxed(),
            Err(error) => {
                self.has_failed.store(true, Ordering::Relaxed);
                ready(Answer::Lost(error.to_string())).boxed()
            }
        }
    }
}

impl Drop for PahoConnection {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        // A message may have failed before the end of the connection is reported.
        let was_ended = self.lost.borrow().is_some() || self.has_failed.load(Ordering::Relaxed);
        let short_lives = if was_ended && self.made_at.elapsed() < SHORT_LIFE {
            // No two connections of one sink are alive at a time.
            (self.short_lives.load(Ordering::Relaxed) + 1) % (client_id::OTHERS + 1)
        } else {
            0
        };
        self.short_lives.store(short_lives, Ordering::Relaxed);
        client::drop_elsewhere(client);
    }
}

fn size(message: &Message) -> usize {
    let (topic, payload) = (message.topic().len(), message.payload().len());
    topic + payload + message.properties().byte_len() + PUBLISH_OVERHEAD
}
