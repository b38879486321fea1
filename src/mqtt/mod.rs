//! MQTT behind our own types: [`PahoSink`] publishes what the relay gives it, [`Topics`] says where,
//! [`Subscription`] is the other end, and [`broker`] is the broker that a service without any set-up runs in its own process.

pub mod broker;
mod client;
mod client_id;
pub mod double_free;
mod endpoint;
mod inbox;
mod message;
mod paho;
mod refusal;
mod subscription;
mod topics;

pub use endpoint::{Endpoint, EndpointError};
pub use paho::{PahoSink, SinkError};
pub use subscription::{Delivery, Message, Subscription};
pub use topics::{TopicError, Topics};
