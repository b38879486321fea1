//! The built-in broker: a service without any set-up has one in its own process. It is good for trying and for small
//! installations, and is not meant to replace Mosquitto, EMQX or `HiveMQ` in production.

#[cfg(not(feature = "broker"))]
mod absent;
#[cfg(feature = "broker")]
mod dialect;
#[cfg(feature = "broker")]
mod door;
#[cfg(feature = "broker")]
mod embedded;
#[cfg(feature = "broker")]
mod guard;
#[cfg(feature = "broker")]
mod metrics;
#[cfg(feature = "broker")]
mod numbers;

use std::io;
use std::net::SocketAddr;

#[cfg(not(feature = "broker"))]
pub use absent::{Broker, read_log};
#[cfg(feature = "broker")]
pub use embedded::Broker;
#[cfg(feature = "broker")]
pub use numbers::read_log;

use super::topics::TopicError;

/// Why the built-in broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Somebody else listens there.
    #[error(
        "MQTT_BIND: {address} is in use by another process; choose another port, or set MQTT_URL to publish to the broker that is there"
    )]
    AddressInUse {
        /// Where the broker was to listen.
        address: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("MQTT_BIND: cannot listen on {address}; choose another address or port: {cause}")]
    Bind {
        /// Where the broker was to listen.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The topic prefix is not one.
    #[error("MQTT_TOPIC_PREFIX: {0}")]
    Prefix(#[from] TopicError),
    /// Anything else, in the words of the broker.
    #[error("the built-in MQTT broker does not start: {0}")]
    Start(String),
    /// This binary has none.
    #[error(
        "MQTT_URL: has to be set, because this binary was built without the built-in broker (cargo feature `broker`)"
    )]
    NotBuiltIn,
}
