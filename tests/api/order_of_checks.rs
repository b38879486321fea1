use serde_json::json;

use crate::harness::Service;

const STALE: (&str, &str) = ("if-match", "\"aaaaaaaa.1\"");
const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");

#[tokio::test(flavor = "multi_thread")]
async fn the_first_check_that_fails_gives_the_answer() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    service.create(&json!({"name": "s2"})).await;
    let huge = "x".repeat(70_000);
    let rows = [
        (
            "route before method",
            "BREW",
            "/nothing",
            vec![STALE, TEXT],
            huge.as_str(),
            404,
        ),
        (
            "method before size",
            "POST",
            "/sensors/s1",
            vec![STALE, TEXT],
            huge.as_str(),
            405,
        ),
        (
            "size before media type",
            "PATCH",
            "/sensors/s1",
            vec![STALE, TEXT],
            huge.as_str(),
            413,
        ),
        (
            "size before media type",
            "PUT",
            "/sensors/s1",
            vec![STALE, TEXT],
            huge.as_str(),
            413,
        ),
        (
            "size before media type",
            "POST",
            "/sensors",
            vec![TEXT],
            huge.as_str(),
            413,
        ),
        (
            "media type before precondition",
            "PATCH",
            "/sensors/s1",
            vec![STALE, TEXT],
            "{",
            415,
        ),
        (
            "media type before precondition",
            "PUT",
            "/sensors/s1",
            vec![STALE, TEXT],
            "{",
            415,
        ),
        (
            "precondition before syntax",
            "PATCH",
            "/sensors/s1",
            vec![STALE, JSON],
            "{",
            412,
        ),
        (
            "precondition before syntax",
            "PUT",
            "/sensors/s1",
            vec![STALE, JSON],
            "{",
            412,
        ),
        (
            "precondition before rules",
            "PATCH",
            "/sensors/s1",
            vec![STALE, JSON],
            r#"{"name":5}"#,
            412,
        ),
        (
            "precondition before conflict",
            "PUT",
            "/sensors/s1",
            vec![STALE, JSON],
            r#"{"name":"s2"}"#,
            412,
        ),
        (
            "syntax before rules",
            "POST",
            "/sensors",
            vec![JSON],
            r#"{"name":5"#,
            400,
        ),
        (
            "rules before conflict",
            "POST",
            "/sensors",
            vec![JSON],
            r#"{"name":"s1","value":[]}"#,
            422,
        ),
        (
            "rules before conflict",
            "PATCH",
            "/sensors/s2",
            vec![JSON],
            r#"{"name":"s1","value":[]}"#,
            422,
        ),
        ("conflict last", "POST", "/sensors", vec![JSON], r#"{"name":"s1"}"#, 409),
    ];
    for (rule, method, path, headers, body, status) in rows {
        let answer = service.request(method, path, &headers, body.to_owned()).await;
        assert_eq!(answer.status, status, "{rule}: {method} {path}: {}", answer.text());
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
