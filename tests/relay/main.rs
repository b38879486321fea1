//! From the log to subscribers over real brokers: Mosquitto, and the built-in one. The subscribers are another
//! project's client (`rumqttc`), so that our idea of MQTT is not its own judge.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests fail loudly, and share their harness"
)]

mod cut;
mod kill;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../harness/link.rs"]
mod link;
mod log;
mod mosquitto;
#[path = "../harness/port.rs"]
mod port;
mod presence;
mod publisher;
mod rules;
mod subscriber;
