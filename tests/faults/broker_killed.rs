use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Http, Mosquitto, Proxy, Service, Subscriber, Version, eventually};
use crate::ledger::{Checker, Ledger, Request, Witness};

const WRITES: i64 = 1_000;
const WRITERS: i64 = 4;
/// The kills come when this many events have arrived.
const KILL_AT: [i64; 2] = [150, 600];

/// 1,000 changes, by a few writers at once.
fn write_all(http: &Http, ledger: &Ledger) -> JoinSet<()> {
    let writer = |number: i64| {
        let (http, ledger) = (http.clone(), ledger.clone());
        async move {
            let made = Request::post(json!({"name": format!("s{number}")}));
            let made = ledger.send(&http, made).await.expect("an answer").expect(201);
            for value in 1..WRITES / WRITERS {
                let patch = Request::patch(made.path(), json!({"value": value}));
                ledger.send(&http, patch).await.expect("an answer").expect(200);
            }
        }
    };
    (0..WRITERS).map(writer).collect()
}

/// Takes what comes until `revision` is there or the connection ends.
async fn take_until(witness: &mut Witness, subscriber: &mut Subscriber, proxy: &Proxy, revision: i64) {
    while witness.revision() < revision {
        let Some(message) = subscriber.try_next().await else {
            return;
        };
        witness.take(&message);
        proxy.delivered(witness.revision());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_killed_twice_in_the_middle_of_1000_writes_costs_no_event() {
    let mut mosquitto = Mosquitto::start().await;
    let proxy = Proxy::closed(mosquitto.addr()).await;
    let url = proxy.url().parse().unwrap();
    let service = Service::start_with(|config| config.mqtt.url = Some(url)).await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let mut witness = Witness::new("a subscriber");
    let writers = write_all(&service, &ledger);
    for kill_at in KILL_AT {
        let mut subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
        proxy.open();
        take_until(&mut witness, &mut subscriber, &proxy, kill_at).await;
        mosquitto.kill();
        proxy.close();
        // What the dead broker had sent is still in the socket, up to the end of the connection.
        take_until(&mut witness, &mut subscriber, &proxy, i64::MAX).await;
        mosquitto.run().await;
    }
    let mut subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    proxy.open();
    take_until(&mut witness, &mut subscriber, &proxy, WRITES).await;
    // Every request was answered while the broker was away.
    writers.join_all().await;
    let mut witnesses = [witness];
    let report = checker.check(&service, &ledger, &mut witnesses, &[]).await.unwrap();
    println!("{report}; {} messages came again", witnesses[0].repeats);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_killed_50_times_while_publishing_leaves_the_service_alive() {
    const KILLS: i64 = 50;
    const WRITES_A_KILL: i64 = 60;
    let mut mosquitto = Mosquitto::start().await;
    let service = Service::start_on(&mosquitto).await;
    service.create(&json!({"name": "s1"})).await;
    for kill in 0..KILLS {
        eventually("the relay has caught up", || async {
            service.relay_lag().await == Some(0)
        })
        .await;
        let mut subscriber = Subscriber::start(Version::V4, mosquitto.addr(), "sensors/+").await;
        let http = (*service).clone();
        let writer = tokio::spawn(async move {
            for number in 0..WRITES_A_KILL {
                let value = format!("{kill} {number}");
                http.patch("/sensors/s1", &json!({"value": value})).await.expect(200);
            }
        });
        for _ in 0..=kill % 20 {
            subscriber.next().await;
        }
        mosquitto.kill();
        writer.await.expect("every request was answered");
        mosquitto.run().await;
    }
    eventually("the relay has caught up", || async {
        service.relay_lag().await == Some(0)
    })
    .await;
    assert_eq!(service.store_revision().await, 1 + KILLS * WRITES_A_KILL);
    service.finish().await;
}
