//! Time and ids, the two things that the rest of the code is given and never takes.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{SensorId, Timestamp};

/// Where instants come from: the system's clock, or what a test says.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of the operating system. Outside the years 0 to 9999 it stands at 1970.
    #[must_use]
    pub fn system() -> Self {
        Self::new(system_now)
    }

    /// A clock that tells what `now` returns.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// What [`Clock::system`] tells.
#[must_use]
pub fn system_now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    let unix_ms = chrono::Utc::now().timestamp_millis();
    Timestamp::from_unix_ms(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A fresh id of a batch, a UUID of version 7.
#[must_use]
pub fn new_batch_id() -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    Uuid::now_v7().to_string()
}

/// A fresh id: a UUID of version 7 (RFC 9562 §5.7), so that ids made here sort by when they were made.
#[must_use]
pub fn new_sensor_id() -> SensorId {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    SensorId::new(Uuid::now_v7())
}

/// A fresh id for a request: a UUID as well, so that the log sorts by it.
#[must_use]
pub fn new_request_id() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    Uuid::now_v7()
}
