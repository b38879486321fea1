//! sensorcast: REST gives the state of sensors, MQTT every change of it, and one number ties the two together.
//!
//! The modules in the order in which to read them:

/// What is true without any technology: sensors and the rules by which they change.
pub mod domain;

/// Every public form: JSON, and what is made of it.
pub mod wire;

/// Everything that knows SQL: the writer, the reads, the event log.
pub mod store;

/// From the stored fact to the delivered message.
pub mod events;

/// Paho behind our own types, and the built-in broker.
pub mod mqtt;

/// An exact copy of the sensors in another process, for services that need one.
pub mod mirror;

/// The REST side.
pub mod http;

/// The settings.
pub mod config;

/// Time and ids.
pub mod clock;

/// The command line.
pub mod cli;

/// Where tests let the process fail.
pub mod failpoint;

/// Logs.
pub mod telemetry;

/// The limit of open files.
mod open_files;

/// The composition root: builds the parts, joins them, and stops them.
pub mod app;
