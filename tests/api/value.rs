use serde_json::{Value, json};

use crate::harness::{Answer, PUBLIC_URL, Service, link};

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");
const VALUE: &str = "/sensors/s1/value";

async fn report(service: &Service, headers: &[(&str, &str)], body: &str) -> Answer {
    service.request("PUT", VALUE, headers, body.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_value_is_there_and_its_event_has_the_changes() {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "unit": "Cel", "metadata": {"a": 1}}))
        .await;
    let mut subscriber = service.subscribe().await;
    let answer = report(&service, &[JSON], "21.5").await.expect(200);
    let sensor = answer.json();
    assert_eq!((&sensor["value"], &sensor["unit"]), (&json!(21.5), &json!("Cel")));
    assert_eq!(sensor["measured_at"], sensor["updated_at"]);
    assert_eq!(
        answer.header("content-location"),
        Some(format!("{PUBLIC_URL}{}", made.path()).as_str())
    );
    let read = service.get("/sensors/s1").await;
    assert_eq!((&read.body, read.etag()), (&answer.body, answer.etag()));

    let event = subscriber.next_event().await;
    assert_eq!((event.kind.as_str(), event.revision), ("modified", answer.revision()));
    let mut mirrored = made.json();
    json_patch::merge(&mut mirrored, event.changes.as_ref().expect("changes"));
    assert_eq!(mirrored, sensor);

    let same = report(&service, &[JSON], "21.50").await.expect(200);
    assert_eq!(same.etag(), answer.etag());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_number_or_a_boolean_in_text_is_that_and_all_else_is_text() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let cases = [
        ("21.5", json!(21.5)),
        (" -3e2\n", json!(-300)),
        ("true", json!(true)),
        ("open", json!("open")),
        ("\"open\"", json!("\"open\"")),
        ("null", json!("null")),
        ("", json!("")),
        ("NaN", json!("NaN")),
        ("{\"a\":1}", json!("{\"a\":1}")),
        ("21,5", json!("21,5")),
        ("\u{e9}\u{1F321}", json!("\u{e9}\u{1F321}")),
    ];
    for (text, value) in cases {
        let answer = report(&service, &[("content-type", "text/plain; charset=utf-8")], text)
            .await
            .expect(200);
        assert_eq!(answer.json()["value"], value, "{text:?}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_read_as_json_and_as_text_with_the_tag_of_the_sensor() {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "value": "o\"pen", "metadata": {"value": 5}}))
        .await;
    let read = service.get(VALUE).await.expect(200);
    assert_eq!(
        (read.text(), read.header("content-type")),
        (r#""o\"pen""#, Some("application/json"))
    );
    assert_eq!(read.etag(), made.etag());
    assert_eq!(read.header("vary"), Some("Accept, Accept-Encoding"));
    let canonical = format!("{PUBLIC_URL}{}/value", made.path());
    assert_eq!(read.header("content-location"), Some(canonical.as_str()));
    let accept = ("accept", "text/plain");
    let text = service.request("GET", VALUE, &[accept], "").await.expect(200);
    assert_eq!(text.text(), "o\"pen");
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_ne!(text.etag(), read.etag());
    let head = service.head(VALUE).await.expect(200);
    assert_eq!(head.etag(), read.etag());

    // The tag of one form is not that of the other, but each has seen the state.
    let (json_tag, text_tag) = (read.etag(), text.etag());
    for (tag, accept, status) in [
        (&json_tag, "application/json", 304),
        (&text_tag, "text/plain", 304),
        (&json_tag, "text/plain", 200),
        (&text_tag, "application/json", 200),
    ] {
        let headers = [("if-none-match", tag.as_str()), ("accept", accept)];
        service.request("GET", VALUE, &headers, "").await.expect(status);
    }
    report(&service, &[TEXT, ("if-match", "\"aaaaaaaa.1\"")], "1")
        .await
        .expect(412);
    report(
        &service,
        &[TEXT, ("if-match", &format!("{}-x\"", text_tag.trim_end_matches('"')))],
        "1",
    )
    .await
    .expect(412);
    report(&service, &[TEXT, ("if-match", &text_tag)], "1")
        .await
        .expect(200);
    service
        .request("GET", VALUE, &[("if-match", &json_tag)], "")
        .await
        .expect(412);
    service
        .request("GET", VALUE, &[("accept", "image/png")], "")
        .await
        .expect(406);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_sensor_takes_no_value_and_says_how_to_activate_it() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1", "value": 1})).await;
    let href = link(&made.json(), "report").expect("a link to report at");
    assert_eq!(href, format!("{PUBLIC_URL}{}/value", made.path()));
    let off = service
        .patch("/sensors/s1", &json!({"status": "inactive"}))
        .await
        .expect(200);
    assert_eq!(link(&off.json(), "report"), None);
    let refused = report(&service, &[JSON], "2").await.expect(409);
    let way_out = refused.json()["links"][0].clone();
    assert_eq!(
        (&way_out["rel"], &way_out["method"]),
        (&json!("activate"), &json!("PATCH"))
    );
    report(&service, &[JSON], "1").await.expect(200);
    let path = way_out["href"]
        .as_str()
        .unwrap()
        .strip_prefix(PUBLIC_URL)
        .unwrap()
        .to_owned();
    service.patch(&path, &json!({"status": "active"})).await.expect(200);
    report(&service, &[JSON], "2").await.expect(200);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_value_is_refused() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    service.get(VALUE).await.expect(404);
    let long = format!("\"{}\"", "x".repeat(1025));
    for body in [
        "null",
        "[]",
        "[1]",
        "{\"value\":1}",
        "9007199254740993",
        "1000000000000000000000",
        "\"\\u0007\"",
        &long,
    ] {
        let refused = report(&service, &[JSON], body).await.expect(422);
        assert_eq!(refused.problem().pointers, [""], "{body:.40}");
    }
    for body in ["", "NaN", "1e400", "1 2", "\"\\ud800\"", "tru"] {
        report(&service, &[JSON], body).await.expect(400);
    }
    for body in ["open\n", "\u{7}", "9007199254740993", "100000000000000000000000", &long] {
        report(&service, &[TEXT], body).await.expect(422);
    }
    service.request("PUT", VALUE, &[TEXT], vec![0xff]).await.expect(400);
    for content_type in [
        "application/xml",
        "text/plain; charset=latin1",
        "application/merge-patch+json",
    ] {
        let refused = report(&service, &[("content-type", content_type)], "1")
            .await
            .expect(415);
        assert_eq!(refused.header("accept"), Some("application/json, text/plain"));
    }
    report(&service, &[], "1").await.expect(415);
    report(&service, &[TEXT], &"x".repeat(70_000)).await.expect(413);
    for method in ["POST", "PATCH", "DELETE"] {
        service.request(method, VALUE, &[JSON], "1").await.expect(405);
    }
    service
        .request("PUT", "/sensors/nobody/value", &[JSON], "1")
        .await
        .expect(404);
    service
        .request("PUT", "/sensors/s1/value?x=1", &[JSON], "1")
        .await
        .expect(400);
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reporting_needs_if_match_where_every_change_does() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    let made = service.create(&json!({"name": "s1"})).await;
    report(&service, &[JSON], "1").await.expect(428);
    let answer = report(&service, &[JSON, ("if-match", &made.etag())], "1")
        .await
        .expect(200);
    assert_eq!(answer.json()["value"], Value::from(1));
    service.finish().await;
}
