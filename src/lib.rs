//! sensorcast: REST gives the state of sensors, MQTT every change of it, and one number ties the two together.
//!
//! The modules in the order in which to read them:

/// Time and ids.
pub mod clock;
/// The settings.
pub mod config;
/// What is true without any technology: sensors and the rules by which they change.
pub mod domain;
/// Everything that knows SQL: the writer, the reads, the event log.
pub mod store;
/// Every public JSON form.
pub mod wire;
