//! Cursors and parameters that the log cannot take.

use serde_json::json;

use crate::harness::Service;

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
    for id in ["", "now", "1", "aaaaaaaa", "aaaaaaaa.-1", "aaaaaaaa.1, aaaaaaaa.1", "é"] {
        let headers = [stream, ("last-event-id", id)];
        let answer = service.request("GET", "/events", &headers, "").await.expect(400);
        assert!(answer.problem().detail.contains("Last-Event-ID"), "{id}");
    }
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
            assert!(gone.links_to(&format!("{}/events", service.public_url)));
        }
    }
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
