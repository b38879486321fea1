use std::sync::Arc;
use std::time::Duration;

use paho_mqtt::{AsyncClient, Message};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::client::drop_elsewhere;

/// What the broker sends to us: what it retains, when we ask for it, and nothing else.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Mutex<mpsc::UnboundedReceiver<Message>>>);

/// A subscription that lasts as long as the answer to it.
pub(super) struct Question {
    /// The client that asks; dropping the question drops it where waiting is allowed.
    client: Lent,
    inbox: Inbox,
    filter: String,
}

/// How long a broker may be silent before it is taken to have said all.
const QUIET: Duration = Duration::from_secs(1);
/// How long it may talk.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);
/// What the broker retains is not lost when it is not acknowledged.
const QOS: i32 = 0;

impl Inbox {
    /// The inbox of a client that has not connected yet. Paho's threads only leave what comes.
    pub(super) fn of(client: &AsyncClient) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        client.set_message_callback(move |_, message| {
            if let Some(message) = message.filter(Message::retained) {
                // Without a receiver there is nobody left to want it.
                let _ = sender.send(message);
            }
        });
        Self(Arc::new(Mutex::new(receiver)))
    }

    pub(super) fn question(&self, client: &AsyncClient, filter: String) -> Question {
        Question {
            client: Lent(Some(client.clone())),
            inbox: self.clone(),
            filter,
        }
    }
}

impl Question {
    /// What `read` makes of the first retained message of which it makes anything.
    pub(super) async fn first<T>(self, read: impl Fn(&Message) -> Option<T>) -> Option<T> {
        self.ask(1, read).await.pop()
    }

    /// What `read` makes of the retained messages: all that the broker sends without a pause of [`QUIET`], for
    /// [`LISTEN_LIMIT`] at most.
    pub(super) async fn all<T>(self, read: impl Fn(&Message) -> Option<T>) -> Vec<T> {
        self.ask(usize::MAX, read).await
    }

    async fn ask<T>(self, at_most: usize, read: impl Fn(&Message) -> Option<T>) -> Vec<T> {
        let Some(client) = &self.client.0 else {
            return Vec::new();
        };
        let mut messages = self.inbox.0.lock().await;
        // What a question before this one left over.
        while messages.try_recv().is_ok() {}
        let until = Instant::now() + LISTEN_LIMIT;
        let mut found = Vec::new();
        let subscribed = timeout_at(until, client.subscribe(&*self.filter, QOS)).await;
        if !matches!(subscribed, Ok(Ok(_))) {
            tracing::warn!(filter = self.filter, "the broker does not let us read what it retains");
            return found;
        }
        while found.len() < at_most
            && Instant::now() < until
            && let Ok(Some(message)) = timeout(QUIET, messages.recv()).await
        {
            found.extend(read(&message));
        }
        // Its answer tells nothing that would be of use.
        drop(client.unsubscribe(&*self.filter));
        found
    }
}

/// A client that may be dropped anywhere.
struct Lent(Option<AsyncClient>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop_elsewhere(client);
        }
    }
}
