//! Starts the service as production does and talks to it as a client does: over HTTP and MQTT only.

#![expect(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of the harness"
)]

mod answer;
mod dice;
mod event;
mod event_stream;
mod http;
mod link;
mod mosquitto;
mod nest;
mod port;
mod process;
mod proxy;
mod raw;
mod scripted_broker;
mod service;
mod subscriber;
mod websocket;

pub use answer::{Answer, Problem};
pub use dice::Dice;
pub use event::{Event, Mirror, members_of, merge};
pub use event_stream::{Block, EventStream};
pub use http::{Http, MERGE_PATCH, link};
pub use link::{Budget, Link, Traffic};
pub use mosquitto::Mosquitto;
pub use nest::Nest;
pub use port::free_port;
pub use process::{Process, Settings, binary, raise_open_files};
pub use proxy::Proxy;
pub use raw::{RawAnswer, exchange, exchange_many};
pub use scripted_broker::{Reply, ScriptedBroker};
pub use service::{MQTT_PUBLIC_URL, PUBLIC_URL, Service};
pub use subscriber::{Message, Subscriber, Version};
pub use websocket::{Frame, WebSocket};

use std::future::Future;
use std::time::{Duration, Instant};

/// The longest wait for anything; a test that reaches it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds, looking every 10 ms.
pub async fn eventually<F, Fut>(what: &str, condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_within(PATIENCE, what, condition).await;
}

/// As [`eventually`], with another limit.
pub async fn eventually_within<F, Fut>(limit: Duration, what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < limit, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the environment says to be longer or other than usual.
pub fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")),
        Err(_) => default,
    }
}
