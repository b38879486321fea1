use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use paho_mqtt::{AsyncClient, Error};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::client;
use super::endpoint::Endpoint;
use crate::events::Refusal;

/// Some topics, subscribed to on one connection. A reader that is slow holds up nobody: what does not fit into the queue
/// is dropped, and the reader is told so.
pub struct Subscription {
    /// `None` only when it is being dropped.
    client: Option<AsyncClient>,
    lost: watch::Receiver<Option<Refusal>>,
    queue: mpsc::Receiver<Message>,
    has_overflowed: Arc<AtomicBool>,
}

/// What a subscription has for its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A message.
    Message(Message),
    /// Messages were dropped here, because the reader did not keep up.
    Missed,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

const QOS: i32 = 1;
/// Empty: the broker chooses one (MQTT 5 §3.1.3.1), so that no two readers push each other out.
const CLIENT_ID: &str = "";
const SUBACK_LIMIT: Duration = Duration::from_secs(5);

impl Subscription {
    /// Connects and subscribes to `topics`; the broker has confirmed it when this returns. From then on at most
    /// `capacity` messages wait for the reader.
    ///
    /// # Errors
    /// One line that says what is in the way, without the password.
    pub async fn open(endpoint: &Endpoint, topics: &[&str], capacity: usize) -> Result<Self, String> {
        let describe = |error: Error| format!("{endpoint}: {error}");
        client::resolve(endpoint).await?;
        client::start_library().map_err(describe)?;
        let client = client::new_client(&endpoint.server_uri(), CLIENT_ID).map_err(describe)?;
        let lost = client::watch_connection(&client);
        let (queue, has_overflowed) = queue_messages(&client, capacity);
        let options = client::connect_options(endpoint).finalize();
        // In a task of its own: a connect that is pending must not be cancelled, whatever becomes of the reader.
        let attempt = tokio::spawn(async move {
            let outcome = client.connect(options).await;
            let subscription = Self {
                client: Some(client::wait_for_paho(client).await),
                lost,
                queue,
                has_overflowed,
            };
            outcome.map(|_| subscription)
        });
        let subscription = match timeout(client::ATTEMPT_LIMIT, attempt).await {
            Ok(Ok(outcome)) => outcome.map_err(describe)?,
            Ok(Err(panic)) => return Err(panic.to_string()),
            Err(_) => return Err(format!("{endpoint}: no answer")),
        };
        for topic in topics {
            subscription
                .subscribe(topic)
                .await
                .map_err(|reason| format!("{endpoint}: no subscription to {topic}: {reason}"))?;
        }
        Ok(subscription)
    }

    /// The next delivery, in the order of arrival; the reason, when the connection has ended and nothing is left. May be
    /// cancelled.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn next(&mut self) -> Result<Delivery, String> {
        if let Ok(message) = self.queue.try_recv() {
            return Ok(Delivery::Message(message));
        }
        if self.has_overflowed.swap(false, Ordering::AcqRel) {
            return Ok(Delivery::Missed);
        }
        tokio::select! {
            biased;
            Some(message) = self.queue.recv() => Ok(Delivery::Message(message)),
            loss = client::ended(self.lost.clone()) => Err(loss.reason),
        }
    }

    async fn subscribe(&self, topic: &str) -> Result<(), String> {
        let Some(client) = &self.client else {
            return Err("the client is gone".to_owned());
        };
        let answer = timeout(SUBACK_LIMIT, client.subscribe(topic, QOS)).await;
        let answer = answer
            .map_err(|_| "no answer".to_owned())?
            .map_err(|error| error.to_string())?;
        // From 0x80 on a reason code is a refusal (MQTT 5 §3.9.3).
        match answer.reason_code() {
            code if code.is_err() => Err(code.to_string()),
            _ => Ok(()),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client::drop_elsewhere(client);
        }
    }
}

/// Puts what comes into a queue. The callback runs on Paho's own thread, which serves all clients: it never waits.
fn queue_messages(client: &AsyncClient, capacity: usize) -> (mpsc::Receiver<Message>, Arc<AtomicBool>) {
    let (sender, queue) = mpsc::channel(capacity);
    let has_overflowed = Arc::new(AtomicBool::new(false));
    let overflow = Arc::clone(&has_overflowed);
    client.set_message_callback(move |_, message| {
        let Some(message) = message else { return };
        let message = Message {
            topic: message.topic().to_owned(),
            payload: message.payload().to_vec(),
        };
        if sender.try_send(message).is_err() {
            overflow.store(true, Ordering::Release);
        }
    });
    (queue, has_overflowed)
}
