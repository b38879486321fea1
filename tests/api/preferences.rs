use serde_json::{Value, json};

use crate::harness::Service;

const JSON: (&str, &str) = ("content-type", "application/json");
const MINIMAL: (&str, &str) = ("prefer", "return=minimal");

#[tokio::test(flavor = "multi_thread")]
async fn whoever_prefers_little_gets_no_body() {
    let service = Service::start().await;
    let requests = [
        ("POST", "/sensors", r#"{"name":"s1"}"#, 201),
        ("PUT", "/sensors/s2", "{}", 201),
        ("PUT", "/sensors/s1", r#"{"unit":"Cel"}"#, 204),
        ("PATCH", "/sensors/s1", r#"{"value":1}"#, 204),
        ("PATCH", "/sensors/s1", r#"{"value":1}"#, 204),
        ("PUT", "/sensors/s1/value", "2", 204),
    ];
    for (method, path, body, status) in requests {
        let answer = service
            .request(method, path, &[JSON, MINIMAL], body)
            .await
            .expect(status);
        assert_eq!(
            (answer.text(), answer.header("content-type")),
            ("", None),
            "{method} {path}"
        );
        assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
        assert_eq!(answer.header("location").is_some(), status == 201, "{method} {path}");
        assert!(answer.header("last-modified").is_some());
        let sensor = if path == "/sensors/s2" { path } else { "/sensors/s1" };
        assert_eq!(service.get(sensor).await.etag(), answer.etag(), "{method} {path}");
    }
    service.finish().await;
}

/// Some clients ask for codings without being told to.
#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_an_answer_without_a_body_is_that_of_what_the_client_would_read() {
    let service = Service::start().await;
    for (number, codings) in ["gzip, deflate", "br", "identity", "gzip;q=0"].into_iter().enumerate() {
        let path = format!("/sensors/s{number}");
        let asks = ("accept-encoding", codings);
        for (body, status) in [("{}", 201), (r#"{"value":1}"#, 204)] {
            let put = service
                .request("PUT", &path, &[JSON, MINIMAL, asks], body)
                .await
                .expect(status);
            let read = service.request("GET", &path, &[asks], "").await.expect(200);
            assert_eq!(put.etag(), read.etag(), "{codings}");
            let known = [asks, ("if-none-match", &put.etag())];
            service.request("GET", &path, &known, "").await.expect(304);
            let same = [JSON, MINIMAL, ("if-match", &put.etag())];
            service.request("PUT", &path, &same, body).await.expect(204);
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_preferences_change_nothing_and_errors_are_told_in_full() {
    let service = Service::start().await;
    let made = service
        .request(
            "POST",
            "/sensors",
            &[JSON, ("prefer", "respond-async, return=representation")],
            r#"{"name":"s1"}"#,
        )
        .await
        .expect(201);
    assert_eq!(made.json()["name"], "s1");
    assert_eq!(made.header("preference-applied"), Some("return=representation"));
    for preference in ["return=nothing", "handling=strict", ";;,=", "return"] {
        let answer = service
            .request("PATCH", "/sensors/s1", &[JSON, ("prefer", preference)], "{}")
            .await
            .expect(200);
        assert_eq!(
            (&answer.body, answer.header("preference-applied")),
            (&made.body, None),
            "{preference}"
        );
    }
    let refused = service
        .request("PATCH", "/sensors/s1", &[JSON, MINIMAL], r#"{"value":[]}"#)
        .await
        .expect(422);
    assert_eq!(refused.problem().pointers, ["/value"]);
    service
        .request("DELETE", "/sensors/s1", &[MINIMAL], "")
        .await
        .expect(204);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preferred_wait_is_a_long_poll() {
    let service = Service::start().await;
    let poll = service.request("GET", "/events?after=now", &[("prefer", "wait=30")], "");
    let writing = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        service.create(&json!({"name": "s1"})).await
    };
    let (answer, _) = tokio::join!(poll, writing);
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    let events = answer.expect(200).events();
    assert_eq!(serde_json::from_str::<Value>(&events[0]).unwrap()["event"], "created");
    let ordered = service
        .request("GET", "/events?after=now&wait=1", &[("prefer", "wait=30")], "")
        .await
        .expect(200);
    assert_eq!(
        (ordered.events().len(), ordered.header("preference-applied")),
        (0, None)
    );
    service.finish().await;
}
