use std::convert::Infallible;
use std::net::SocketAddr;

use prometheus_client::registry::Registry;

use super::BrokerError;
use crate::config::MqttConfig;
use crate::mqtt::Endpoint;

/// Reads a line of the broker's log: there is none.
pub fn read_log(_: &tracing::Event<'_>) {}

/// The built-in broker of a binary that was built without it: there is never one.
#[derive(Debug)]
pub struct Broker(Infallible);

impl Broker {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always [`BrokerError::NotBuiltIn`].
    #[expect(clippy::unused_async, reason = "the same signature as that of the real one")]
    pub async fn start(_config: &MqttConfig) -> Result<Self, BrokerError> {
        Err(BrokerError::NotBuiltIn)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        match self.0 {}
    }

    /// How the relay reaches it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        match self.0 {}
    }

    /// Makes its numbers visible in `registry`.
    pub fn register(&self, _registry: &mut Registry) {
        match self.0 {}
    }

    /// Resolves when it has stopped by itself.
    #[expect(clippy::unused_async, reason = "the same signature as that of the real one")]
    pub async fn stopped(&self) {
        match self.0 {}
    }

    /// Stops it.
    #[expect(clippy::unused_async, reason = "the same signature as that of the real one")]
    pub async fn shutdown(self) {
        match self.0 {}
    }
}
