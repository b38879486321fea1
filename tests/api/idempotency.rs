use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use sensorcast::clock::Clock;
use sensorcast::domain::Timestamp;
use serde_json::json;

use crate::harness::{Answer, Service};

const JSON: (&str, &str) = ("content-type", "application/json");
const DAY_MS: i64 = 24 * 3_600_000;

fn key(key: &str) -> (&str, &str) {
    ("idempotency-key", key)
}

async fn post(service: &Service, name: &str, key: (&str, &str)) -> Answer {
    let body = json!({"name": name}).to_string();
    service.request("POST", "/sensors", &[JSON, key], body).await
}

fn assert_same(one: &Answer, other: &Answer) {
    assert_eq!(
        (one.status, &one.body, one.etag()),
        (other.status, &other.body, other.etag())
    );
    for header in ["location", "last-modified", "content-type"] {
        assert_eq!(one.header(header), other.header(header), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_again_gets_the_same_answer_whatever_happened_since() {
    let service = Service::start().await;
    let made = post(&service, "s1", key("\"k 1\"")).await.expect(201);
    assert_same(&made, &post(&service, "s1", key("\"k 1\"")).await);
    let patch = [JSON, key("\"k2\"")];
    let body = r#"{"value":1}"#;
    let patched = service.request("PATCH", "/sensors/s1", &patch, body).await.expect(200);
    service.patch("/sensors/s1", &json!({"value": 2})).await.expect(200);
    assert_same(&patched, &service.request("PATCH", "/sensors/s1", &patch, body).await);
    assert_eq!(service.get("/sensors/s1").await.json()["value"], 2);
    service.delete("/sensors/s1").await.expect(204);
    assert_same(&made, &post(&service, "s1", key("\"k 1\"")).await);
    assert_eq!(service.store_revision().await, 4);
    let minimal = [JSON, key("\"k2\""), ("prefer", "return=minimal")];
    let again = service
        .request("PATCH", "/sensors/s1", &minimal, body)
        .await
        .expect(204);
    assert_eq!(again.etag(), patched.etag());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request() {
    let service = Service::start().await;
    post(&service, "s1", key("\"k\"")).await.expect(201);
    post(&service, "s2", key("\"k\"")).await.expect(422);
    let others = [
        ("PATCH", "/sensors/s1", JSON, r#"{"name":"s1"}"#),
        (
            "PATCH",
            "/sensors/s1",
            ("content-type", "application/merge-patch+json"),
            r#"{"name":"s1"}"#,
        ),
        ("POST", "/sensors", JSON, r#"{ "name":"s1"}"#),
    ];
    for (method, path, media_type, body) in others {
        let refused = service
            .request(method, path, &[media_type, key("\"k\"")], body)
            .await
            .expect(422);
        let document = refused.problem().document;
        assert!(
            document["type"]
                .as_str()
                .unwrap()
                .ends_with("/problems/idempotency-key-reused"),
            "{document}"
        );
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_kept() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    post(&service, "s1", key("\"k\"")).await.expect(409);
    post(&service, "a b", key("\"k\"")).await.expect(422);
    service.delete("/sensors/s1").await.expect(204);
    post(&service, "s1", key("\"k\"")).await.expect(201);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_key_is_400_and_where_it_means_nothing_it_is_ignored() {
    let service = Service::start().await;
    let long = format!("\"{}\"", "x".repeat(256));
    for bad in [
        "",
        "k",
        "\"",
        "\"\"",
        "\"a",
        "a\"",
        "\"a\"b\"",
        "\"a\\b\"",
        "\"a\";p=1",
        "\"a\", \"b\"",
        &long,
    ] {
        let refused = post(&service, "s1", key(bad)).await.expect(400);
        assert!(refused.problem().detail.contains("Idempotency-Key"), "{bad}");
    }
    let twice = [JSON, key("\"a\""), key("\"a\"")];
    service
        .request("POST", "/sensors", &twice, r#"{"name":"s1"}"#)
        .await
        .expect(400);
    assert_eq!(service.store_revision().await, 0);
    let longest = format!("\"{}\"", "x".repeat(255));
    post(&service, "s1", key(&longest)).await.expect(201);
    service
        .request("PUT", "/sensors/s2", &[JSON, key("k")], "{}")
        .await
        .expect(201);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_equal_requests_at_once_make_one_sensor_and_one_event() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let requests = (0..100).map(|_| post(&service, "s1", key("\"k\"")));
    let answers = join_all(requests).await;
    let (done, running): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    for answer in &running {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (409, Some("1")),
            "{}",
            answer.text()
        );
    }
    for answer in &done {
        assert_same(done[0], answer);
    }
    assert_same(done[0], &post(&service, "s1", key("\"k\"")).await);
    assert_eq!(service.store_revision().await, 1);
    assert_eq!(subscriber.next_event().await.kind, "created");
    service.delete("/sensors/s1").await.expect(204);
    assert_eq!(subscriber.next_event().await.revision, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_day() {
    let unix_ms = Arc::new(AtomicI64::new(1_795_345_200_000));
    let hands = Arc::clone(&unix_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |_| ()).await;
    let made = post(&service, "s1", key("\"k\"")).await.expect(201);
    unix_ms.fetch_add(DAY_MS - 1, Ordering::Relaxed);
    assert_same(&made, &post(&service, "s1", key("\"k\"")).await);
    unix_ms.fetch_add(1, Ordering::Relaxed);
    post(&service, "s1", key("\"k\"")).await.expect(409);
    post(&service, "s2", key("\"k\"")).await.expect(201);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_is_done_once_and_its_key_is_no_other_requests() {
    let unix_ms = Arc::new(AtomicI64::new(1_795_345_200_000));
    let hands = Arc::clone(&unix_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |_| ()).await;
    let batch = async |name: &str, atomic: bool, key: (&str, &str)| {
        let body = json!({"atomic": atomic, "operations": [
            {"method": "POST", "path": "/sensors", "body": {"name": name}},
            {"method": "PATCH", "path": "/sensors/nobody", "body": {}},
        ]});
        service.request("POST", "/batch", &[JSON, key], body.to_string()).await
    };
    batch("s1", true, key("\"k\"")).await.expect(404);
    let made = batch("s1", false, key("\"k\"")).await.expect(200);
    assert_eq!(made.json()["outcomes"][1]["status"], 404);
    service.patch("/sensors/s1", &json!({"value": 1})).await.expect(200);
    for answer in join_all((0..20).map(|_| batch("s1", false, key("\"k\"")))).await {
        match answer.status {
            409 => assert_eq!(answer.header("retry-after"), Some("1")),
            status => assert_eq!((status, &answer.body), (200, &made.body)),
        }
    }
    assert_eq!(service.store_revision().await, 2);
    batch("s2", false, key("\"k\"")).await.expect(422);
    post(&service, "s2", key("\"k\"")).await.expect(422);
    post(&service, "s2", key("\"other\"")).await.expect(201);
    batch("s3", false, key("\"other\"")).await.expect(422);
    assert_eq!(service.store_revision().await, 3);
    unix_ms.fetch_add(DAY_MS, Ordering::Relaxed);
    let anew = batch("s3", false, key("\"k\"")).await.expect(200);
    assert_eq!(anew.json()["outcomes"][0]["status"], 201);
    service.finish().await;
}
