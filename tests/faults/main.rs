//! Kills, of the broker and of the service, and what has to be true after them.

#[path = "../harness/mod.rs"]
mod harness;

mod broker_killed;
mod checker;
mod process;
mod service_killed;
