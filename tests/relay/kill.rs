use std::time::Duration;

use sensorcast::events::Sink;
use sensorcast::mqtt::{PahoSink, double_free};
use sensorcast::wire::presence::Presence;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::log::{MemoryLog, event};
use crate::mosquitto::Mosquitto;
use crate::publisher::{Publisher, sink};
use crate::subscriber::Subscriber;

const KILLS: u32 = 50;

/// Lets the relay connect only while the gate is open: after a restart the subscriber has to be there first, because
/// what a broker takes without a subscriber is nowhere.
struct Gated {
    sink: PahoSink,
    gate: watch::Receiver<bool>,
}

impl Sink for Gated {
    type Connection = <PahoSink as Sink>::Connection;

    async fn connect(&mut self, last_will: Presence) -> Result<Self::Connection, String> {
        let _ = self.gate.wait_for(|is_open| *is_open).await;
        self.sink.connect(last_will).await
    }
}

/// Without the wrapper of `mqtt::double_free` this ends in SIGABRT in most runs.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_of_the_broker_while_publishing_lose_nothing_and_break_no_order() {
    let mut mosquitto = Mosquitto::start().await;
    let log = MemoryLog::with_events(100_000_000);
    let (gate, is_open) = watch::channel(false);
    let gated = Gated {
        sink: sink(mosquitto.endpoint(), 1),
        gate: is_open,
    };
    let publisher = Publisher::with_sink(&log, gated).await;
    let (mut newest, mut repeats) = (0, 0);
    for round in 0..KILLS {
        // At QoS 0 the broker hands an event to the subscriber's socket before it acknowledges it to the publisher.
        let mut subscriber = Subscriber::to_the_last_byte(mosquitto.port, "sensors/+").await;
        gate.send_replace(true);
        let mut previous = None;
        let mut left = 50 + i64::from(round * 37 % 400);
        while let Some(received) = subscriber.next_or_end().await {
            let revision = received.revision();
            assert!(revision <= newest + 1, "{revision} after {newest}: an event is missing");
            assert!(
                previous.is_none_or(|previous| revision == previous + 1),
                "{revision} after {previous:?}"
            );
            assert_eq!(received.payload, event(revision).payload);
            repeats += i64::from(revision <= newest);
            newest = newest.max(revision);
            previous = Some(revision);
            left -= 1;
            if left == 0 {
                gate.send_replace(false);
                mosquitto.kill();
            }
        }
        mosquitto.restart().await;
        while publisher.status.state().connected {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let state = publisher.status.state();
    assert_eq!(state.set_aside, 0, "no innocent event was taken for poison");
    assert!(newest > i64::from(KILLS) * 50);
    assert!(
        double_free::wrapped_publishes() > state.published,
        "the wrapper is in this binary"
    );
    println!("{newest} events, {repeats} repeats, {KILLS} kills");
}
