use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sensorcast::clock::Clock;
use sensorcast::domain::Timestamp;
use serde_json::json;

use crate::harness::Service;

/// 2026-11-22T11:00:00.250Z
const MADE_MS: i64 = 1_795_345_200_250;
const MADE: &str = "Sun, 22 Nov 2026 11:00:00 GMT";
const BEFORE: &str = "Sun, 22 Nov 2026 10:59:59 GMT";
const AFTER: &str = "Sun, 22 Nov 2026 11:00:01 GMT";
const NEVER_MADE: &str = "\"aaaaaaaa.1\"";

async fn service() -> (Service, Arc<AtomicI64>) {
    let unix_ms = Arc::new(AtomicI64::new(MADE_MS));
    let hands = Arc::clone(&unix_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |_| ()).await;
    service
        .create(&json!({"name": "s1", "value": 1, "metadata": {"updated_at": "2001"}}))
        .await;
    (service, unix_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_tells_when_it_became_what_it_is() {
    let (service, unix_ms) = service().await;
    for path in ["/sensors/s1", "/sensors/s1/value"] {
        let read = service.get(path).await.expect(200);
        assert_eq!(read.header("last-modified"), Some(MADE), "{path}");
        assert_eq!(service.head(path).await.header("last-modified"), Some(MADE), "{path}");
    }
    unix_ms.fetch_add(1_000, Ordering::Relaxed);
    let patched = service.patch("/sensors/s1", &json!({"value": 2})).await.expect(200);
    assert_eq!(patched.header("last-modified"), Some(AFTER));
    assert_eq!(service.get("/sensors/s1").await.header("last-modified"), Some(AFTER));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instants_decide_only_where_no_tag_does() {
    let (service, _) = service().await;
    let etag = service.get("/sensors/s1").await.etag();
    let reads: [(&[(&str, &str)], u16); 12] = [
        (&[("if-modified-since", BEFORE)], 200),
        (&[("if-modified-since", MADE)], 304),
        (&[("if-modified-since", AFTER)], 304),
        (&[("if-modified-since", "Sunday, 22-Nov-26 11:00:00 GMT")], 304),
        (&[("if-modified-since", "yesterday")], 200),
        (&[("if-modified-since", MADE), ("if-none-match", NEVER_MADE)], 200),
        (&[("if-modified-since", BEFORE), ("if-none-match", &etag)], 304),
        (&[("if-unmodified-since", BEFORE)], 412),
        (&[("if-unmodified-since", MADE)], 200),
        (&[("if-unmodified-since", BEFORE), ("if-match", &etag)], 200),
        (&[("if-unmodified-since", AFTER), ("if-match", NEVER_MADE)], 412),
        (&[("if-unmodified-since", "0")], 200),
    ];
    for (headers, status) in reads {
        for path in ["/sensors/s1", "/sensors/s1/value"] {
            for method in ["GET", "HEAD"] {
                let answer = service.request(method, path, headers, "").await;
                assert_eq!(answer.status, status, "{method} {path} {headers:?}");
            }
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_refused_when_the_sensor_changed_after_the_instant_that_it_names() {
    let (service, _) = service().await;
    let etag = service.get("/sensors/s1").await.etag();
    let json = ("content-type", "application/json");
    let stale = ("if-unmodified-since", BEFORE);
    for (method, path, body) in [
        ("PUT", "/sensors/s1", "{}"),
        ("PATCH", "/sensors/s1", "{\"value\":3}"),
        ("PATCH", "/sensors/s1", "{"),
        ("PUT", "/sensors/s1/value", "3"),
        ("DELETE", "/sensors/s1", ""),
    ] {
        let refused = service.request(method, path, &[json, stale], body).await.expect(412);
        assert_eq!(refused.etag(), etag, "{method} {path}");
    }
    assert_eq!(service.store_revision().await, 1);
    // Nothing is there that could have changed, and If-Modified-Since is for reading.
    service
        .request("PUT", "/sensors/s2", &[json, stale], "{}")
        .await
        .expect(201);
    let read_only = ("if-modified-since", MADE);
    service
        .request("PATCH", "/sensors/s1", &[json, read_only], "{\"value\":3}")
        .await
        .expect(200);
    service
        .request(
            "PATCH",
            "/sensors/s1",
            &[json, stale, ("if-match", "*")],
            "{\"value\":4}",
        )
        .await
        .expect(200);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_is_no_if_match_where_that_is_required() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    service.create(&json!({"name": "s1"})).await;
    let headers = [
        ("content-type", "application/json"),
        ("if-unmodified-since", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    service
        .request("PATCH", "/sensors/s1", &headers, "{}")
        .await
        .expect(428);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_of_a_change_that_is_later_than_itself() {
    let service = Service::start().await;
    for number in 0..40 {
        let made = service.create(&json!({"name": format!("s{number}")})).await;
        let read = service.get(&made.path()).await.expect(200);
        for answer in [made, read] {
            let at = |name| chrono::DateTime::parse_from_rfc2822(answer.header(name).expect(name)).expect("a date");
            assert!(at("last-modified") <= at("date"), "{answer:?}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    service.finish().await;
}
