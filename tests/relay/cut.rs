use std::collections::HashMap;

use sensorcast::config::MqttConfig;
use sensorcast::domain::Epoch;
use sensorcast::mqtt::{Endpoint, PahoSink};

use crate::link::{Budget, Link};
use crate::log::MemoryLog;
use crate::mosquitto::Mosquitto;
use crate::publisher::{Publisher, SOURCE, config};
use crate::subscriber::Subscriber;

const EVENTS: i64 = 3;
/// Relays at a time, each of its own epoch and below a topic of its own.
const AT_A_TIME: usize = 8;
/// From one cut to the next, of what the service sends. What the broker sends is cut after every byte.
const STEP: usize = 29;
/// More than a connection carries until it has the last acknowledgement.
const MAX_BYTES: usize = 10_000;

/// `CUT_AT_EVERY_BYTE=1` leaves out none of what the service sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_after_any_byte_costs_no_event_and_no_order() {
    let mosquitto = Mosquitto::start().await;
    let mut subscriber = Subscriber::v5(mosquitto.port, "+/sensors/+", 1).await;
    let step = if std::env::var_os("CUT_AT_EVERY_BYTE").is_some() {
        1
    } else {
        STEP
    };
    let after_client = (0..MAX_BYTES).step_by(step).map(|from_client| Budget {
        from_client,
        ..Budget::UNLIMITED
    });
    let after_broker = (0..MAX_BYTES).map(|from_broker| Budget {
        from_broker,
        ..Budget::UNLIMITED
    });
    let of_client = cut_until_whole(after_client, &mosquitto, &mut subscriber).await;
    let of_broker = cut_until_whole(after_broker, &mosquitto, &mut subscriber).await;
    println!("cuts in what the service sends: {of_client}; in what the broker sends: {of_broker}");
}

/// Cuts at one place after the other, until one is behind the last acknowledgement; gives how many cuts there were.
async fn cut_until_whole(
    budgets: impl Iterator<Item = Budget>,
    mosquitto: &Mosquitto,
    subscriber: &mut Subscriber,
) -> usize {
    let budgets: Vec<_> = budgets.collect();
    let mut cuts = 0;
    for some in budgets.chunks(AT_A_TIME) {
        let mut relays = Vec::new();
        for budget in some {
            let link = Link::with_budget(([127, 0, 0, 1], mosquitto.port).into(), *budget).await;
            let prefix = format!("{}-{}/", budget.from_client, budget.from_broker);
            let log = MemoryLog::with_events(EVENTS);
            let relay = Publisher::with_sink(&log, sink(&link, &prefix)).await;
            relays.push((prefix, link, relay));
        }
        let mut seen: HashMap<String, Vec<i64>> = HashMap::new();
        for (prefix, _, relay) in &relays {
            relay.reaches(EVENTS).await;
            while seen.get(prefix).is_none_or(|seen| !seen.contains(&EVENTS)) {
                let message = subscriber.next().await;
                let (prefix, _) = message.topic.split_once('/').expect("a prefix");
                seen.entry(format!("{prefix}/")).or_default().push(message.revision());
            }
            assert_goes_back_and_on(&seen[prefix], prefix);
        }
        let whole = relays.iter().filter(|(_, link, _)| !link.has_spent()).count();
        cuts += relays.len() - whole;
        for (_, _, relay) in relays {
            assert_eq!(relay.status.state().set_aside, 0);
            relay.stop().await;
        }
        if whole == AT_A_TIME {
            return cuts;
        }
    }
    panic!("{MAX_BYTES} bytes are not enough for {EVENTS} events");
}

fn sink(link: &Link, prefix: &str) -> PahoSink {
    let endpoint = Endpoint::from_url(&link.url().parse().unwrap()).unwrap();
    let config = MqttConfig {
        topic_prefix: prefix.to_owned(),
        ..config(1)
    };
    // Another epoch is another client to the broker.
    let random = prefix
        .bytes()
        .fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    PahoSink::new(endpoint, &config, &Epoch::from_random(random), &SOURCE.parse().unwrap()).unwrap()
}

/// 1 2 3 2 3 is right, 1 3 2 is not; and nothing is missing.
fn assert_goes_back_and_on(seen: &[i64], prefix: &str) {
    assert_eq!(seen.first(), Some(&1), "{prefix}: {seen:?}");
    for pair in seen.windows(2) {
        assert!(pair[1] <= pair[0] + 1, "{prefix}: {seen:?}");
    }
}
