//! Kills, of the broker and of the service.

#[path = "../harness/mod.rs"]
mod harness;
