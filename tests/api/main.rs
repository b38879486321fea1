//! What the contract promises, tried through the public doors: HTTP and MQTT. One file a topic, one sentence a test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests fail loudly, and share their harness"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod asyncapi;
mod bad_input;
mod batch;
mod clock;
mod compression;
mod conditional;
mod cors;
mod dates;
mod delete;
mod documents;
mod documents_as_set;
mod events;
mod events_cursor;
mod events_page;
mod events_slow;
mod events_stream;
mod forms;
mod framing;
mod get;
mod history;
mod history_pages;
mod idempotency;
mod inactive;
mod json_patch;
mod links;
mod list;
mod list_bad_input;
mod list_filters;
mod list_pages;
mod measured_at;
mod mirror;
mod mqtt_old_clients;
mod mqtt_settings;
mod mqtt_side;
mod names;
mod openapi;
mod options;
mod order_of_checks;
mod output;
mod overload;
mod patch;
mod post;
mod preferences;
mod put;
mod race;
mod random_operations;
mod read_only;
mod restore;
mod retained;
mod validation;
mod value;
