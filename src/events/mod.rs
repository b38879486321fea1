//! From the stored fact to the delivered message.
//!
//! The log is the truth and the broker's acknowledgement is progress: [`Relay`] reads the log after its cursor, keeps a
//! bounded window of unacknowledged messages on one connection, and moves the cursor over contiguous acknowledgements
//! only. Whatever goes wrong, it goes back to the first unacknowledged event on a new connection (go-back-N): a
//! subscriber may see 1 2 3 2 3 4, never 1 3 2.
//!
//! When states are to be retained as well, each event is preceded by the state of its sensor as it is when the event is
//! read from the log: the acknowledgement of the event is then that of both, because answers are taken in order. All
//! that is sent on a connection goes through one queue in the order in which it was read, so that a retained state never
//! goes back.
//!
//! [`Feed`] is the same log for those who read it over HTTP, each at its own cursor.

mod announcer;
mod answers;
mod ending;
mod feed;
mod keeper;
mod log;
mod metrics;
mod parcel;
mod progress;
mod relay;
mod session;
mod sink;
mod status;
mod stop;
mod suspect;
mod trouble;

#[cfg(test)]
mod memory_log;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod tests;

pub use feed::{Feed, FeedError, Reader, Start};
pub use log::EventLog;
pub use relay::Relay;
pub use sink::{Acknowledgement, Answer, Connection, Refusal, Sink, Verdict};
pub use status::{Lag, RelayState, RelayStatus};

// What a sink carries; `mqtt` takes it from here and knows no store.
pub use crate::store::{SensorState, StoredEvent};
