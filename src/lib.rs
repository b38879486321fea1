pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
pub mod mqtt;
pub mod store;
pub mod wire;
