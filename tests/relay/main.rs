//! From the log to subscribers over real brokers: Mosquitto, and the built-in one. The subscribers are another
//! project's client (`rumqttc`), so that our idea of MQTT is not its own judge.

mod kill;
mod log;
mod mosquitto;
mod presence;
mod publisher;
mod rules;
mod subscriber;
