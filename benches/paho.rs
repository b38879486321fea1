//! How fast Paho alone publishes: the limit of the relay, which is built on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::ensure;
use paho_mqtt::{
    AsyncClient, ConnectOptionsBuilder, CreateOptionsBuilder, Message, MessageBuilder, PersistenceType, Properties,
    PropertyCode,
};
use sensorcast::mqtt::double_free;

use crate::mqtt;

/// What the relay keeps on its way at most, and what Mosquitto lets a client keep when it is not told otherwise.
const WINDOW: usize = 20;

/// Publishes `sample` `count` times at `QoS` 1, with the properties that an event has, awaiting every acknowledgement with
/// [`WINDOW`] of them on their way: messages a second.
pub fn ceiling(broker: SocketAddr, sample: &mqtt::Message, count: u32) -> anyhow::Result<f64> {
    let client = CreateOptionsBuilder::new()
        .server_uri(format!("tcp://{broker}"))
        .client_id("ceiling")
        .persistence(PersistenceType::None)
        .create_client()?;
    let options = ConnectOptionsBuilder::new_v5().clean_start(true).finalize();
    client.connect(options).wait()?;
    let message = message(sample)?;
    let start = Instant::now();
    publish(&client, &message, count)?;
    let elapsed = start.elapsed();
    client.disconnect(None).wait()?;
    ensure!(
        double_free::wrapped_publishes() >= count.into(),
        "this program was linked without the cure that the service has"
    );
    Ok(f64::from(count) / elapsed.as_secs_f64())
}

fn publish(client: &AsyncClient, message: &Message, count: u32) -> anyhow::Result<()> {
    let mut waiting = VecDeque::with_capacity(WINDOW);
    for _ in 0..count {
        if waiting.len() == WINDOW {
            // The last of them first: the others are there by then, and nobody was woken by each.
            waiting.drain(..WINDOW / 2).rev().try_for_each(wait)?;
        }
        waiting.push_back(client.try_publish(message.clone())?);
    }
    waiting.into_iter().try_for_each(wait)
}

fn wait(token: paho_mqtt::DeliveryToken) -> anyhow::Result<()> {
    Ok(token.wait()?)
}

/// The same bytes with the same properties.
fn message(sample: &mqtt::Message) -> anyhow::Result<Message> {
    let mut properties = Properties::new();
    properties.push_byte(PropertyCode::PayloadFormatIndicator, 1)?;
    properties.push_string(PropertyCode::ContentType, "application/json")?;
    for (name, value) in [
        ("specversion", "1.0"),
        ("id", "k3f9q2vt.1000000"),
        ("source", "http://localhost:8000"),
        ("type", "sensorcast.sensor.modified"),
        ("subject", "01a20000-0000-7000-8000-000000000000"),
        ("time", "2026-11-22T11:00:00.123Z"),
    ] {
        properties.push_string_pair(PropertyCode::UserProperty, name, value)?;
    }
    Ok(MessageBuilder::new()
        .topic(&*sample.topic)
        .payload(&*sample.payload)
        .qos(1)
        .properties(properties)
        .finalize())
}
