//! A broker that does not take what it is given: now, or never.

use rumqttc::v5::mqttbytes::v5::PubAckReason;
use sensorcast::mirror::{Mirror, MirrorOptions};
use serde_json::{Value, json};

use crate::broker_away::{EVERYTHING_WAITS, drained, start_service};
use crate::harness::{Mosquitto, Process, Reply, ScriptedBroker, Subscriber, Version, eventually};
use crate::ledger::{Checker, Ledger, Load, Request, Witness};

/// A sensor that the broker has something against.
const REFUSED: &str = "00000000-0000-4000-8000-000000000bad";
/// Too large for a broker that takes packets of 4,000 bytes.
const METADATA_BYTES: usize = 8_000;
/// Of each of the eight clients.
const REQUESTS: usize = 10;
const WRITES: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_a_topic_that_the_broker_forbids_is_set_aside_and_a_mirror_heals() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("acl");
    std::fs::write(&rules, format!("topic readwrite #\ntopic deny sensors/{REFUSED}\n")).unwrap();
    let mut mosquitto = Mosquitto::stopped_with(&format!("acl_file {}\n{EVERYTHING_WAITS}", rules.display()));
    mosquitto.run().await;
    an_event_is_set_aside(&mosquitto, json!({"name": "refused"}), "0x87").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_for_the_broker_is_set_aside_and_a_mirror_heals() {
    let mut mosquitto = Mosquitto::stopped_with(&format!("max_packet_size 4000\n{EVERYTHING_WAITS}"));
    mosquitto.run().await;
    let metadata = json!({"text": "x".repeat(METADATA_BYTES)});
    an_event_is_set_aside(&mosquitto, json!({"name": "refused", "metadata": metadata}), "0x95").await;
}

/// With an alarm in log and metrics; all others come, and a mirror is right.
async fn an_event_is_set_aside(mosquitto: &Mosquitto, body: Value, reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let service = start_service(folder.path(), &mosquitto.url()).await;
    let subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    let mut witnesses = [Witness::of("a subscriber", subscriber).that_misses()];
    let mut options = MirrorOptions::new(service.public_url.parse().unwrap());
    options.mqtt = Some(mosquitto.url().parse().unwrap());
    let mirrors = [Mirror::start(options).unwrap()];
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let mut load = Load::new(&ledger, 1);
    load.run(&service, REQUESTS).await;
    let refused = Request::put(format!("/sensors/{REFUSED}"), body);
    ledger.send(&service, refused).await.expect("an answer").expect(201);
    load.run(&service, REQUESTS).await;
    let head = service.store_revision().await;
    drained(&service).await;
    assert_alarm(&service, reason).await;
    let report = checker
        .check(&service, &ledger, &mut witnesses, &mirrors)
        .await
        .unwrap();
    let messages = i64::try_from(witnesses[0].messages).expect("few");
    assert_eq!(messages, head - 1, "all others came");
    println!("{reason}: {report}");
}

async fn assert_alarm(service: &Process, reason: &str) {
    assert_eq!(set_aside(service).await, 1);
    let output = service.output();
    let alarm = output.lines().find(|line| line.contains("event set aside"));
    let alarm = alarm.unwrap_or_else(|| panic!("no alarm: {output}"));
    let is_clear = alarm.contains("ERROR") && alarm.contains(REFUSED) && alarm.contains(reason);
    assert!(is_clear, "{alarm}");
}

async fn set_aside(service: &Process) -> i64 {
    let metrics = service.get("/metrics").await.expect(200);
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("sensorcast_relay_set_aside_events_total "));
    let (_, count) = line.expect("the metric").rsplit_once(' ').expect("a value");
    count.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_code_that_means_never_sets_one_event_aside() {
    for reason in [
        PubAckReason::NotAuthorized,
        PubAckReason::TopicNameInvalid,
        PubAckReason::PayloadFormatInvalid,
    ] {
        let broker = ScriptedBroker::start(move |event| {
            Reply::Ack(if event.sensor == REFUSED {
                reason
            } else {
                PubAckReason::Success
            })
        })
        .await;
        let seen = write_around(&broker, 1).await;
        let expected: Vec<_> = (1..=2 * WRITES + 1).collect();
        assert_eq!(seen, expected, "{reason:?}: each event once, in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_exceeded_is_waited_for_and_nothing_is_set_aside() {
    const REFUSALS: usize = 4;
    let mut refusals = 0;
    let broker = ScriptedBroker::start(move |event| {
        if event.sensor == REFUSED && refusals < REFUSALS {
            refusals += 1;
            return Reply::Ack(PubAckReason::QuotaExceeded);
        }
        Reply::Ack(PubAckReason::Success)
    })
    .await;
    let seen = write_around(&broker, 0).await;
    assert_goes_back_and_on(&seen);
    let asked = seen.iter().filter(|revision| **revision == WRITES + 1).count();
    assert_eq!(asked, REFUSALS + 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_up_on_one_event_gets_all_the_others() {
    for reply in [Reply::HangUp, Reply::Ack(PubAckReason::UnspecifiedError)] {
        let broker = ScriptedBroker::start(move |event| {
            if event.sensor == REFUSED {
                reply
            } else {
                Reply::Ack(PubAckReason::Success)
            }
        })
        .await;
        assert_goes_back_and_on(&write_around(&broker, 1).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_falls_silent_over_an_event_is_asked_anew() {
    let mut is_silent = true;
    let broker = ScriptedBroker::start(move |event| {
        if event.sensor == REFUSED && std::mem::take(&mut is_silent) {
            return Reply::Silence;
        }
        Reply::Ack(PubAckReason::Success)
    })
    .await;
    assert_goes_back_and_on(&write_around(&broker, 0).await);
}

/// Writes before and after the sensor that the broker has something against, and waits until the relay has passed them all;
/// gives the revisions that the broker saw. So many events are set aside.
async fn write_around(broker: &ScriptedBroker, set_aside_in_the_end: i64) -> Vec<i64> {
    let folder = tempfile::tempdir().unwrap();
    let service = start_service(folder.path(), &broker.url()).await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    for number in 0..=2 * WRITES {
        let path = if number == WRITES { REFUSED } else { "other" };
        let body = if number == WRITES {
            json!({"name": "refused"})
        } else {
            json!({"value": number})
        };
        let request = Request::put(format!("/sensors/{path}"), body);
        let answer = ledger.send(&service, request).await.expect("an answer");
        assert!(answer.status < 300, "{}", answer.text());
    }
    drained(&service).await;
    assert_eq!(set_aside(&service).await, set_aside_in_the_end, "{}", service.output());
    checker.check(&service, &ledger, &mut [], &[]).await.unwrap();
    broker.seen()
}

/// 1 2 3 2 3 4 is right, 1 3 2 is not; and nothing is missing.
fn assert_goes_back_and_on(seen: &[i64]) {
    let mut newest = 0;
    for pair in seen.windows(2) {
        newest = newest.max(pair[0]);
        assert!(pair[1] <= pair[0] + 1, "{} after {}: {seen:?}", pair[1], pair[0]);
    }
    assert_eq!(seen.first(), Some(&1));
    assert_eq!(newest.max(seen[seen.len() - 1]), 2 * WRITES + 1);
}

/// Else a wrong password file or a missing right would throw away a whole backlog.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forbids_everything_gets_it_when_it_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("acl");
    std::fs::write(&rules, "topic read #\n").unwrap();
    let mut mosquitto = Mosquitto::stopped_with(&format!("acl_file {}\n{EVERYTHING_WAITS}", rules.display()));
    mosquitto.run().await;
    let service = start_service(folder.path(), &mosquitto.url()).await;
    for number in 0..WRITES {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    eventually("the reason is told", || async {
        service.get("/health/ready").await.expect(200).text().contains("0x87")
    })
    .await;
    assert_eq!(
        (set_aside(&service).await, service.relay_lag().await),
        (0, Some(WRITES))
    );
    mosquitto.kill();
    std::fs::write(&rules, "topic readwrite #\n").unwrap();
    mosquitto.run().await;
    drained(&service).await;
    assert_eq!(set_aside(&service).await, 0);
}

/// It may know clients by their ids.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_the_relay_gives_up_meets_the_same_client_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut refusals = 3;
    let broker = ScriptedBroker::start(move |_| {
        if refusals == 0 {
            return Reply::Ack(PubAckReason::Success);
        }
        refusals -= 1;
        Reply::Ack(PubAckReason::QuotaExceeded)
    })
    .await;
    let service = start_service(folder.path(), &broker.url()).await;
    service.create(&json!({"name": "s1"})).await;
    drained(&service).await;
    let ids = broker.client_ids();
    assert_eq!(ids, vec![ids[0].clone(); 4]);
}

/// Somebody else may have the id; but the broker may know no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_up_soon_meets_other_clients_and_then_the_first_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut hang_ups = 12;
    let broker = ScriptedBroker::start(move |_| {
        if hang_ups == 0 {
            return Reply::Ack(PubAckReason::Success);
        }
        hang_ups -= 1;
        Reply::HangUp
    })
    .await;
    let service = start_service(folder.path(), &broker.url()).await;
    // One event is hung up on four times.
    for number in 0..4 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    drained(&service).await;
    let ids = broker.client_ids();
    let number = |id: &String| match id.strip_prefix(&ids[0]) {
        Some("") => 0,
        Some(suffix) => suffix
            .strip_prefix('.')
            .and_then(|number| number.parse().ok())
            .unwrap_or(99),
        None => 99,
    };
    let numbers: Vec<u32> = ids.iter().map(number).collect();
    // A connection that lived for long, on a machine that is slow, begins anew.
    let goes_on = |pair: &[u32]| pair[1] == (pair[0] + 1) % 10 || pair[1] == 0;
    assert!(numbers.windows(2).all(goes_on), "{numbers:?}");
    assert!(numbers.contains(&2), "{numbers:?}");
}
