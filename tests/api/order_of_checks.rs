use serde_json::json;

use crate::harness::Service;

const STALE: (&str, &str) = ("if-match", "\"aaaaaaaa.1\"");
const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");

const TEXT_STALE: &[(&str, &str)] = &[STALE, TEXT];
const JSON_STALE: &[(&str, &str)] = &[STALE, JSON];
/// Stands for a body over the limit.
const HUGE: &str = "huge";

/// Which check comes first, the request, its headers, its body, the status of the first check that fails.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    u16,
);

const ROWS: [Row; 15] = [
    ("route, method", "BREW /nothing", TEXT_STALE, HUGE, 404),
    ("method, size", "POST /sensors/s1", TEXT_STALE, HUGE, 405),
    ("size, type", "PATCH /sensors/s1", TEXT_STALE, HUGE, 413),
    ("size, type", "PUT /sensors/s1", TEXT_STALE, HUGE, 413),
    ("size, type", "POST /sensors", TEXT_STALE, HUGE, 413),
    ("type, tag", "PATCH /sensors/s1", TEXT_STALE, "{", 415),
    ("type, tag", "PUT /sensors/s1", TEXT_STALE, "{", 415),
    ("tag, syntax", "PATCH /sensors/s1", JSON_STALE, "{", 412),
    ("tag, syntax", "PUT /sensors/s1", JSON_STALE, "{", 412),
    ("tag, rules", "PATCH /sensors/s1", JSON_STALE, r#"{"name":5}"#, 412),
    ("tag, conflict", "PUT /sensors/s1", JSON_STALE, r#"{"name":"s2"}"#, 412),
    ("syntax, rules", "POST /sensors", &[JSON], r#"{"name":5"#, 400),
    ("rules, conflict", "POST /sensors", &[JSON], TAKEN_AND_WRONG, 422),
    ("rules, conflict", "PATCH /sensors/s2", &[JSON], TAKEN_AND_WRONG, 422),
    ("conflict", "POST /sensors", &[JSON], r#"{"name":"s1"}"#, 409),
];
const TAKEN_AND_WRONG: &str = r#"{"name":"s1","value":[]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_check_that_fails_gives_the_answer() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    service.create(&json!({"name": "s2"})).await;
    for (order, request, headers, body, status) in ROWS {
        let (method, path) = request.split_once(' ').expect("a verb and a path");
        let body = if body == HUGE {
            "x".repeat(70_000)
        } else {
            body.to_owned()
        };
        let answer = service.request(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{order}: {request}: {}", answer.text());
    }
    assert_eq!(service.store_revision().await, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_precondition_comes_before_the_body() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    service.create(&json!({"name": "s1"})).await;
    for body in ["{", r#"{"name":5}"#] {
        for method in ["PUT", "PATCH"] {
            service.request(method, "/sensors/s1", &[JSON], body).await.expect(428);
        }
    }
    service.request("PATCH", "/sensors/s1", &[TEXT], "{").await.expect(415);
    service.finish().await;
}
