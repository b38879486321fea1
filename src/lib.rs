//! sensorcast: REST gives the state of sensors, MQTT every change to it, and one number ties the two together.
//!
//! The modules in the order in which to read them: [`domain`], [`wire`], [`store`], [`events`], [`mqtt`], [`mirror`],
//! [`http`], [`config`], [`clock`], [`cli`], [`failpoint`], [`telemetry`], [`open_files`], [`app`].

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
pub mod failpoint;
pub mod http;
pub mod mirror;
pub mod mqtt;
pub mod open_files;
pub mod store;
pub mod telemetry;
pub mod wire;
