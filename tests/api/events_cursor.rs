//! Cursors and parameters that the log cannot take.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sensorcast::clock::Clock;
use sensorcast::domain::Timestamp;
use serde_json::json;

use crate::harness::{Event, Frame, PUBLIC_URL, Service, WebSocket, eventually, link};

const FOREIGN: &str = "aaaaaaaa.1";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_400_and_named() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let epoch = service.get("/").await.json()["epoch"].as_str().unwrap().to_owned();
    let future = format!("after={epoch}.2");
    let negative = format!("after={epoch}.-1");
    let cases = [
        ("after=", "after"),
        ("after=1", "after"),
        ("after=NOW", "after"),
        ("after=%00", "after"),
        (negative.as_str(), "after"),
        (future.as_str(), "after"),
        ("after=now&after=now", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=+1", "limit"),
        ("limit=", "limit"),
        ("wait=0", "wait"),
        ("wait=61", "wait"),
        ("wait=1.5", "wait"),
        ("wait=99999999999", "wait"),
        ("event=", "event"),
        ("event=created,", "event"),
        ("event=Created", "event"),
        ("event=changed", "event"),
        ("name=", "name"),
        ("name=-a", "name"),
        ("name=a%2Fb", "name"),
        ("name=%25", "name"),
        ("cursor=1", "cursor"),
        ("kind=created", "kind"),
    ];
    let mut wrong = Vec::new();
    for path in ["/events", "/sensors/s1/events"] {
        for accept in ["application/json", "text/event-stream"] {
            for (query, parameter) in cases {
                let answer = service
                    .request("GET", &format!("{path}?{query}"), &[("accept", accept)], "")
                    .await;
                if answer.status != 400 || !answer.problem().detail.contains(parameter) {
                    wrong.push(format!("{path}?{query}: {}", answer.text()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_event_id_that_is_no_cursor_is_400() {
    let service = Service::start().await;
    let stream = ("accept", "text/event-stream");
    for id in ["now", "1", "aaaaaaaa", "aaaaaaaa.-1", "aaaaaaaa.1, aaaaaaaa.1", "é"] {
        let headers = [stream, ("last-event-id", id)];
        let answer = service.request("GET", "/events", &headers, "").await.expect(400);
        assert!(answer.problem().detail.contains("Last-Event-ID"), "{id}");
    }
    let epoch = service.get("/").await.json()["epoch"].clone();
    let future = format!("{}.999999", epoch.as_str().unwrap());
    let answer = service
        .request("GET", "/events", &[stream, ("last-event-id", &future)], "")
        .await;
    let detail = answer.expect(400).problem().detail;
    assert!(detail.starts_with("Last-Event-ID: "), "{detail}");
    let answer = service.get(&format!("/events?after={future}")).await.expect(400);
    assert!(answer.problem().detail.starts_with("after: "), "{}", answer.text());
    let twice = [stream, ("last-event-id", FOREIGN), ("last-event-id", FOREIGN)];
    service.request("GET", "/events", &twice, "").await.expect(400);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_epoch_is_410_and_the_way_out_is_told() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let epoch = service.get("/").await.json()["epoch"].clone();
    for (path, header) in [
        (format!("/events?after={FOREIGN}"), "x-none"),
        (format!("{}/events?after={FOREIGN}", made.path()), "x-none"),
        ("/events".to_owned(), "last-event-id"),
        (format!("/events?after={FOREIGN}&wait=60"), "x-none"),
    ] {
        for accept in ["application/json", "text/event-stream"] {
            let headers = [("accept", accept), (header, FOREIGN)];
            let gone = service.request("GET", &path, &headers, "").await.expect(410);
            let document = gone.problem().document;
            assert_eq!(document["epoch"], epoch);
            assert_eq!((&document["oldest"], &document["head"]), (&json!(1), &json!(1)));
            assert!(gone.links_to(&format!("{}/sensors", service.public_url)));
            let log = path.split('?').next().unwrap();
            assert!(gone.links_to(&format!("{}{log}", service.public_url)));
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_before_what_is_kept_is_410_in_every_form_and_without_one_the_log_begins_there() {
    let now_ms = Arc::new(AtomicI64::new(1_795_345_200_000));
    let hands = Arc::clone(&now_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |config| {
        (config.store.event_retention_hours, config.store.event_retention_min) = (1, 2);
    })
    .await;
    for number in 1..=5 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    let epoch = service.get("/").await.json()["epoch"].as_str().unwrap().to_owned();
    now_ms.fetch_add(2 * 3_600_000, Ordering::Relaxed);
    let before = format!("/events?after={epoch}.2");
    eventually("3 events are pruned", || async {
        service.get(&before).await.status == 410
    })
    .await;
    for (accept, wait) in [
        ("application/json", ""),
        ("application/json", "&wait=9"),
        ("text/event-stream", ""),
    ] {
        let path = format!("{before}{wait}");
        let gone = service
            .request("GET", &path, &[("accept", accept)], "")
            .await
            .expect(410);
        let document = gone.problem().document;
        assert_eq!((&document["oldest"], &document["head"]), (&json!(4), &json!(5)));
    }
    for wait in ["", "&wait=9"] {
        let log = format!("{}/events", service.get("/sensors/s1").await.expect(200).path());
        let gone = service.get(&format!("{log}?after={epoch}.2{wait}")).await.expect(410);
        let document = gone.problem().document;
        assert_eq!(link(&document, "first"), Some(format!("{PUBLIC_URL}{log}")));
    }
    for path in ["/events".to_owned(), format!("/events?after={epoch}.3")] {
        let page = service.get(&path).await.expect(200);
        let read = |event: &String| Event::read(event.as_bytes()).revision;
        assert_eq!(page.events().iter().map(read).collect::<Vec<_>>(), [4, 5]);
    }
    let mut socket = WebSocket::open(service.addr, "/events").await;
    assert_eq!(Event::read(socket.next().await.as_bytes()).revision, 4);
    assert!(matches!(socket.next_frame().await, Frame::Text(_) | Frame::Ping(_)));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_what_the_client_likes_best() {
    let service = Service::start().await;
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json, text/event-stream", "application/json"),
        ("text/event-stream, application/json;q=0.5", "text/event-stream"),
        ("text/event-stream, */*", "text/event-stream"),
        ("text/*", "text/event-stream"),
    ] {
        let answer = service.head_of("/events", accept).await;
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
    }
    for accept in ["text/html", "text/event-stream;q=0"] {
        let refused = service.request("GET", "/events", &[("accept", accept)], "").await;
        let detail = refused.expect(406).problem().detail;
        assert!(detail.contains("text/event-stream") && detail.contains("application/json"));
    }
    service.finish().await;
}
