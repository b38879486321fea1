//! Kills, of the broker and of the service, a crowd of readers, and what has to be true after them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests fail loudly, tell what they measured, and share their harness"
)]

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../ledger/mod.rs"]
mod ledger;

mod broker_away;
mod broker_clients;
mod broker_killed;
mod broker_log;
mod broker_refuses;
mod damage;
mod damaged_backup;
mod disk_full;
mod files;
mod misplaced;
mod overload;
mod pace;
mod process;
mod readers;
mod script;
mod service_killed;
mod soak;
mod system_calls;
mod tls;
