use std::time::Duration;

use sensorcast::mirror::{Mirror, MirrorOptions};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::{Dice, Http, Nest, PATIENCE, eventually, from_environment};
use crate::ledger::{Checker, Ledger, Load, Witness};

const KILLS: u64 = 50;
const SEED: u64 = 1;
/// The longest life of the service, from the first request on.
const MAX_LIFE_MS: u64 = 400;
/// One life in so many ends before the service is ready: while it opens the database and recovers.
const STILLBORN_IN: u64 = 8;
/// More than a client can send in that time.
const REQUESTS: usize = 100_000;

/// `make torture KILLS=1000 SEED=7` does more of it. What is asked for, and when the kills come, follows from the seed.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_killed_in_the_middle_of_requests_loses_nothing_and_does_nothing_by_halves() {
    let (kills, seed) = (from_environment("KILLS", KILLS), from_environment("SEED", SEED));
    let nest = Nest::new().await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let mut witnesses = [Witness::of("a subscriber", nest.subscribe("sensors/+").await)];
    let mut options = MirrorOptions::new(nest.url().parse().unwrap());
    options.mqtt = Some(nest.mosquitto.url().parse().unwrap());
    let mirrors = [Mirror::start(options).unwrap()];
    let mut dice = Dice::new(seed, 0);
    let mut load = Load::new(&ledger, seed);
    for kill in 1..=kills {
        if dice.below(STILLBORN_IN) == 0 {
            let mut stillborn = nest.spawn_with(&[]);
            sleep(dice.millis(0, MAX_LIFE_MS)).await;
            stillborn.kill();
        }
        let mut service = nest.start().await;
        let judged = checker.check(&service, &ledger, &mut witnesses, &mirrors).await;
        judged.unwrap_or_else(|complaints| panic!("before kill {kill} of seed {seed}: {complaints:?}"));
        let clients = load.start(&service, REQUESTS);
        sleep(dice.millis(0, MAX_LIFE_MS)).await;
        service.kill();
        clients.join_all().await;
    }
    let service = nest.start().await;
    checker
        .check(&service, &ledger, &mut witnesses, &mirrors)
        .await
        .unwrap();
    checker.check_again(&service).await.unwrap();
    let Witness { messages, repeats, .. } = &witnesses[0];
    println!(
        "{kills} kills, {}; a subscriber got {messages} messages, {repeats} of them again",
        checker.total()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_will_says_offline_when_the_service_is_killed() {
    let nest = Nest::new().await;
    let head_status = async || {
        let head = nest.subscribe("sensors").await.next().await;
        serde_json::from_slice::<Value>(&head.payload).expect("JSON")["status"].clone()
    };
    let mut service = nest.start().await;
    service.create(&json!({"name": "s1"})).await;
    let mut heads = nest.subscribe("sensors").await;
    heads.next().await;
    service.kill();
    let offline = async {
        loop {
            let head: Value = serde_json::from_slice(&heads.next().await.payload).expect("JSON");
            if head["status"] == "offline" {
                return head;
            }
        }
    };
    tokio::time::timeout(PATIENCE + Duration::from_secs(5), offline)
        .await
        .expect("the Last Will");
    assert_eq!(head_status().await, "offline", "it is retained");
    let service = nest.start().await;
    eventually("the head says online again", async || head_status().await == "online").await;
    drop(service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_after_a_kill_is_done_once() {
    const ROUNDS: i64 = 12;
    let nest = Nest::new().await;
    let mut dice = Dice::new(SEED, 1);
    let mut service = nest.start().await;
    for round in 1..=ROUNDS {
        let (key, sensor) = (format!("\"{round}\""), json!({"name": format!("s{round}")}));
        let (path, body, done) = if round % 2 == 0 {
            ("/sensors", sensor, 201)
        } else {
            let create = json!({"method": "POST", "path": "/sensors", "body": sensor});
            ("/batch", json!({"operations": [create]}), 200)
        };
        let body = body.to_string();
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let first = {
            let client = Http::clone(&service);
            let (key, body) = (key.clone(), body.clone());
            tokio::spawn(async move {
                let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
                client.try_request("POST", path, &headers, body).await
            })
        };
        sleep(dice.millis(0, 8)).await;
        service.kill();
        let first = first.await.expect("a request that ends");
        service = nest.start().await;
        let again = service.request("POST", path, &headers, body).await.expect(done);
        if let Some(first) = first {
            assert_eq!((first.header("etag"), &first.body), (again.header("etag"), &again.body));
        }
        assert_eq!(service.store_revision().await, round, "one request, one change");
    }
}
