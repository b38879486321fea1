use serde_json::json;

use crate::harness::{Event, Service};

const TEXTS: [&str; 10] = [
    "</script><script>alert(1)</script>",
    "\"onload=",
    "&<]]>",
    "=cmd()|' /C calc'!A0",
    "\u{202e}abc\u{202c}",
    "🌡️👩‍🔬",
    "𝒳𐍈",
    "\u{2028}\u{2029}",
    "\\u0041 \\ / \"",
    "%0d%0aSet-Cookie: a=b",
];

#[tokio::test(flavor = "multi_thread")]
async fn any_text_comes_back_the_same_over_http_and_mqtt() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    for text in TEXTS {
        let kind: String = text.chars().take(10).collect();
        let body = json!({"name": "s1", "kind": kind, "value": text, "metadata": {text: [text]}});
        let made = service.create(&body).await;
        let read = service.get(&made.path()).await.json();
        for member in ["kind", "value", "metadata"] {
            assert_eq!(read[member], body[member]);
        }
        let created = subscriber.next_event().await;
        assert_eq!(created.state.as_deref(), Some(made.text()));
        service.delete("/sensors/s1").await.expect(204);
        subscriber.next_event().await;
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_from_a_request_makes_no_header_and_no_markup() {
    let service = Service::start().await;
    for path in [
        "/%0d%0aX-Evil:%201",
        "/sensors/%0d%0aX-Evil:%201",
        "/sensors?limit=%0d%0aX-Evil:1",
        "/%3Cscript%3E",
    ] {
        let answer = service.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(answer.header("x-evil").is_none(), "{path}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_their_value_and_equal_ones_have_one_spelling() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    service.create(&json!({"name": "s1"})).await;
    subscriber.next().await;
    for number in [
        "9007199254740992",
        "-9007199254740992",
        "0.1",
        "5e-324",
        "1.7976931348623157e308",
        "-0.5",
        "21.7",
    ] {
        let headers = [("content-type", "application/json")];
        let body = format!(r#"{{"value":{number}}}"#);
        let patched = service
            .request("PATCH", "/sensors/s1", &headers, body)
            .await
            .expect(200);
        let expected: f64 = number.parse().unwrap();
        assert_eq!(patched.json()["value"].as_f64(), Some(expected));
        let event: Event = subscriber.next_event().await;
        assert_eq!(event.changes.unwrap()["value"], patched.json()["value"]);
    }
    service.finish().await;
}
