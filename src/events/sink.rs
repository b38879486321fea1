use futures_util::future::BoxFuture;

use crate::domain::{Cursor, SensorId};
use crate::store::{SensorState, StoredEvent};
use crate::wire::presence::Presence;

/// Where events go: an MQTT broker, or a recorder in tests.
pub trait Sink: Send + Sync {
    /// What a connection to it is.
    type Connection: Connection;

    /// Connects anew, or says why that is not possible now. Nothing of an earlier connection lives on in the new one.
    ///
    /// `last_will` is what subscribers are told when the connection ends without a [`Connection::close`]. The future
    /// may be dropped at any time.
    fn connect(&mut self, last_will: Presence) -> impl Future<Output = Result<Self::Connection, String>> + Send;
}

/// One connection, which ends at its first failure and is not repaired. To drop it is to hang up.
pub trait Connection: Send + Sync {
    /// An event, ready to be sent.
    type Message: Send;

    /// How many unacknowledged messages it takes at once; at least 1.
    fn window(&self) -> usize;

    /// Makes the message of an event. When it cannot be made, the answer to [`Connection::publish`] says so.
    fn message(&self, event: &StoredEvent) -> Self::Message;

    /// Sends an event after all those before it. Does not wait: the answer comes through the future.
    fn publish(&self, message: Self::Message) -> Acknowledgement;

    /// Sends the presence, which the broker retains for later subscribers.
    fn announce(&self, presence: &Presence) -> Acknowledgement;

    /// Where the presence goes, for those who have to allow it.
    fn presence_topic(&self) -> &str;

    /// Sends the state of a sensor, which the broker retains in place of an earlier one, or forgets when there is none.
    fn keep(&self, state: &SensorState) -> Acknowledgement;

    /// Sends the mark, which the broker retains with the states: they are those of this cursor or newer.
    fn mark(&self, cursor: &Cursor) -> Acknowledgement;

    /// Asks the broker for the mark that it retains; `None` when there is none that can be read. Bounded in time.
    fn read_mark(&self) -> BoxFuture<'static, Option<Cursor>>;

    /// Whether the broker is one of this process, which retains nothing from before its start.
    fn is_to_own_broker(&self) -> bool {
        false
    }

    /// Asks the broker of which sensors it retains a state: those that it names within a bounded time.
    fn kept(&self) -> BoxFuture<'static, Vec<SensorId>>;

    /// Resolves with the reason when the connection is lost: [`Verdict::NotNow`] when the broker said that it has reasons of its own.
    /// The future may be dropped and asked for again.
    fn lost(&self) -> impl Future<Output = Refusal> + Send;

    /// Hangs up in good order, so that the last will is not sent. Bounded in time.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// The broker's answer to one message, to come.
pub type Acknowledgement = BoxFuture<'static, Answer>;

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The broker has it.
    Accepted,
    /// The broker does not take it.
    Refused(Refusal),
    /// Nobody knows, and the connection is of no more use.
    Lost(String),
}

/// Why the broker does not take a message, or no more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What follows from it.
    pub verdict: Verdict,
    /// In words, for the log.
    pub reason: String,
}

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This message will never be taken; others may be.
    Never,
    /// The broker is busy; later it may take the same message.
    NotNow,
    /// The broker does not say. To be treated like a lost connection.
    Unclear,
}
