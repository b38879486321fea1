//! A broker that is stopped, slow, cut off or closed to us: requests go on, and in the end every event is there.

use std::path::Path;
use std::time::Duration;

use sensorcast::mirror::{Mirror, MirrorOptions};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::harness::{Link, Mosquitto, Process, Settings, Subscriber, Traffic, Version, eventually, free_port};
use crate::ledger::{Checker, Ledger, Load, Witness};

/// Of each of the eight clients.
const REQUESTS: usize = 20;
const CATCH_UP_LIMIT: Duration = Duration::from_secs(40);
/// A line of Mosquitto's configuration: it drops nothing of what waits for a subscriber. Not 0, which means the same but has
/// version 2.0.11 hang up after every refusal.
pub const EVERYTHING_WAITS: &str = "max_queued_messages 1000000";

/// A service whose links lead to where it listens, so that a mirror can follow them.
pub async fn start_service(folder: &Path, broker_url: &str) -> Process {
    let settings = Settings {
        folder: folder.to_owned(),
        mqtt_url: Some(broker_url.to_owned()),
    };
    let bind = format!("127.0.0.1:{}", free_port());
    let public_url = format!("http://{bind}");
    Process::start_with(&settings, &[("HTTP_BIND", &bind), ("PUBLIC_URL", &public_url)]).await
}

/// Waits until the broker has every event, which takes a few pauses between attempts to connect.
pub async fn drained(service: &Process) {
    let waited = timeout(CATCH_UP_LIMIT, async {
        while !is_drained(service).await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(
        waited.await.is_ok(),
        "the relay does not catch up: {}",
        service.output()
    );
}

pub async fn is_drained(service: &Process) -> bool {
    service.relay_lag().await == Some(0)
}

/// `connected` of the readiness document.
async fn is_connected(service: &Process) -> bool {
    let ready = service.get("/health/ready").await.expect(200).json();
    ready["mqtt"]["connected"].as_bool().expect("a state")
}

/// Load before, while and after something is done to the broker, which never fails a request and never costs an event.
async fn try_it(mosquitto: &Mosquitto, url: &str, what: impl AsyncFnOnce(&Process, &mut Load)) {
    let folder = tempfile::tempdir().unwrap();
    let service = start_service(folder.path(), url).await;
    let subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    let mut witnesses = [Witness::of("a subscriber", subscriber)];
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let mut load = Load::new(&ledger, 1);
    load.run(&service, REQUESTS).await;
    what(&service, &mut load).await;
    load.run(&service, REQUESTS).await;
    drained(&service).await;
    let report = checker.check(&service, &ledger, &mut witnesses, &[]).await.unwrap();
    println!("{report}; {} messages came again", witnesses[0].repeats);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_stopped_and_goes_on_gets_every_event_in_order() {
    let mosquitto = Mosquitto::start().await;
    try_it(&mosquitto, &mosquitto.url(), async |service, load| {
        mosquitto.signal("STOP");
        load.run(service, REQUESTS).await;
        eventually("the broker is given up", async || !is_connected(service).await).await;
        load.run(service, REQUESTS).await;
        mosquitto.signal("CONT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_broker_slows_no_request_and_gets_every_event_in_order() {
    let mosquitto = Mosquitto::start().await;
    let link = Link::to(mosquitto.addr()).await;
    try_it(&mosquitto, &link.url(), async |service, load| {
        link.set(Traffic::Slow(Duration::from_millis(20)));
        let waiting = eventually("events wait for the broker", async || !is_drained(service).await);
        tokio::join!(load.run(service, REQUESTS), waiting);
        drained(service).await;
        link.set(Traffic::Flows);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_the_broker_that_swallows_everything_is_given_up_and_costs_no_event() {
    let mosquitto = Mosquitto::start().await;
    let link = Link::to(mosquitto.addr()).await;
    try_it(&mosquitto, &link.url(), async |service, load| {
        link.set(Traffic::Stalled);
        load.run(service, REQUESTS).await;
        eventually("the broker is given up", async || !is_connected(service).await).await;
        // Not by letting flow what is held up, which another connection has sent again since.
        link.set(Traffic::Cut);
        sleep(Duration::from_millis(100)).await;
        link.set(Traffic::Flows);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_let_the_service_in_gets_every_event_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("passwords");
    std::fs::write(&nobody, "").unwrap();
    let mut mosquitto = Mosquitto::stopped_with(&format!("password_file {}", nobody.display()));
    mosquitto.run().await;
    let link = Link::to(mosquitto.addr()).await;
    let service = start_service(folder.path(), &link.url().replace("mqtt://", "mqtt://us:guess@")).await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    Load::new(&ledger, 1).run(&service, REQUESTS).await;
    assert!(!is_connected(&service).await);
    let ready = service.get("/health/ready").await.expect(200).json();
    let reason = ready["mqtt"]["last_error"].as_str().expect("a reason");
    assert!(!reason.contains("guess"), "no password in {reason}");
    println!("{reason}");
    link.set(Traffic::Cut);
    mosquitto.kill();
    mosquitto.configure(EVERYTHING_WAITS);
    mosquitto.run().await;
    let subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    let mut witnesses = [Witness::of("a subscriber", subscriber)];
    link.set(Traffic::Flows);
    drained(&service).await;
    checker.check(&service, &ledger, &mut witnesses, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_goes_by_the_log_while_the_service_cannot_reach_the_broker() {
    let mosquitto = Mosquitto::start().await;
    let link = Link::to(mosquitto.addr()).await;
    let folder = tempfile::tempdir().unwrap();
    let service = start_service(folder.path(), &link.url()).await;
    let mut options = MirrorOptions::new(service.public_url.parse().unwrap());
    options.mqtt = Some(mosquitto.url().parse().unwrap());
    let mut mirror = Mirror::start(options).unwrap();
    service.put("/sensors/s1", &json!({"value": 1})).await.expect(201);
    drained(&service).await;
    link.set(Traffic::Cut);
    eventually("the broker is out of reach", async || !is_connected(&service).await).await;
    for value in 2..=3 {
        let put = service.put("/sensors/s1", &json!({"value": value})).await.expect(200);
        let revision = put.json()["revision"].as_i64().unwrap();
        let reached = async {
            while mirror.snapshot().is_none_or(|now| now.revision.get() < revision) {
                mirror.changed().await;
            }
        };
        assert!(timeout(CATCH_UP_LIMIT, reached).await.is_ok(), "{value}");
    }
}
