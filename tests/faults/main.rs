//! Kills, of the broker and of the service, a crowd of readers, and what has to be true after them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "tests fail loudly, and share their harness"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod broker_killed;
mod checker;
mod process;
mod readers;
mod service_killed;
