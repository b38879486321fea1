use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{RawAnswer, Service, exchange, exchange_many};

const REFUSED: &[u16] = &[400];

/// What no client library would send: the words of the request, and the statuses that are right for it.
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(&'static str, String, &'static [u16])> {
    let post = |headers: &str, body: &str| {
        format!("POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
    };
    let get = |headers: &str| format!("GET /sensors HTTP/1.1\r\n{headers}\r\n");
    let body = r#"{"name":"s2"}"#;
    let chunk = "d\r\n{\"name\":\"s2\"}\r\n0\r\n\r\n";
    vec![
        (
            "length and encoding",
            post("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", chunk),
            REFUSED,
        ),
        (
            "encoding twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunk),
            REFUSED,
        ),
        (
            "encoding xchunked",
            post("Transfer-Encoding: xchunked\r\n", chunk),
            REFUSED,
        ),
        (
            "encoding twice in one line",
            post("Transfer-Encoding: chunked, chunked\r\n", chunk),
            REFUSED,
        ),
        (
            "two lengths",
            post("Content-Length: 13\r\nContent-Length: 14\r\n", body),
            REFUSED,
        ),
        ("length +13", post("Content-Length: +13\r\n", body), REFUSED),
        ("length -1", post("Content-Length: -1\r\n", body), REFUSED),
        ("length 13,13", post("Content-Length: 13,13\r\n", body), REFUSED),
        ("length 0x0d", post("Content-Length: 0x0d\r\n", body), REFUSED),
        (
            "length beyond 64 bits",
            post("Content-Length: 99999999999999999999999\r\n", body),
            REFUSED,
        ),
        (
            "chunk size nonsense",
            post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
            REFUSED,
        ),
        (
            "chunk size beyond 64 bits",
            post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{}"),
            REFUSED,
        ),
        ("bare LF", "GET /sensors HTTP/1.1\nHost: x\n\n".to_owned(), REFUSED),
        ("bare LF after a header", get("Host: x\r\nX-A: a\n"), REFUSED),
        ("bare CR in a header", get("Host: x\r\nX-A: a\rb\r\n"), REFUSED),
        ("folded header", get("Host: x\r\nX-A: a\r\n b\r\n"), REFUSED),
        ("space before the colon", get("Host: x\r\nX-A : a\r\n"), REFUSED),
        ("NUL in a header", get("Host: x\r\nX-A: a\0b\r\n"), REFUSED),
        ("NUL in a header name", get("Host: x\r\nX\0A: a\r\n"), REFUSED),
        ("no Host", get("X-A: a\r\n"), REFUSED),
        ("two Hosts", get("Host: x\r\nHost: y\r\n"), REFUSED),
        ("a Host that is none", get("Host: a b\r\n"), REFUSED),
        ("a Host with a user", get("Host: u@x\r\n"), REFUSED),
        ("a Host with a port that is none", get("Host: x:y\r\n"), REFUSED),
        ("a Host with two ports", get("Host: x:1:2\r\n"), REFUSED),
        ("a Host with an address that is none", get("Host: [::1\r\n"), REFUSED),
        ("no version", "GET /sensors\r\n\r\n".to_owned(), REFUSED),
        (
            "HTTP/9.9",
            "GET /sensors HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
            &[400, 505],
        ),
        (
            "space in the path",
            "GET /sensors /x HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            REFUSED,
        ),
        ("no path", "GET  HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), REFUSED),
        (
            "headers of 300 KiB",
            get(&format!(
                "Host: x\r\n{}",
                format!("X-A: {}\r\n", "a".repeat(4_000)).repeat(75)
            )),
            &[400, 431],
        ),
        (
            "500 headers",
            get(&format!("Host: x\r\n{}", "X-A: a\r\n".repeat(500))),
            &[400, 431],
        ),
        (
            "URI over 8 KiB",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9_000)),
            &[414],
        ),
        (
            "the longest URI that the parser takes",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(65_533)),
            &[414],
        ),
        (
            "one that is longer",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(65_534)),
            REFUSED,
        ),
        (
            "Expect nonsense",
            post("Content-Length: 13\r\nExpect: nonsense\r\n", body),
            &[417],
        ),
        ("TLS", "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n".to_owned(), REFUSED),
    ]
}

/// What is missing in a refusal that was not made by a handler.
fn is_no_problem(answer: &RawAnswer) -> Option<String> {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let slug = match answer.status {
        400 => "malformed-request",
        408 => "request-timeout",
        414 => "uri-too-long",
        417 => "expectation-failed",
        431 => "headers-too-large",
        _ => "?",
    };
    let is_told = document["status"] == answer.status
        && document["type"].as_str().is_some_and(|url| url.ends_with(slug))
        && document["detail"].is_string()
        && answer.header("content-type") == Some("application/problem+json")
        && answer.header("x-content-type-options") == Some("nosniff")
        && answer.header("x-request-id").is_some()
        && answer.header("date").is_some();
    (!is_told).then(|| format!("{:?} {document}", answer.headers))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_framed_wrongly_is_refused_and_changes_nothing() {
    let service = Service::start().await;
    let rows = cases();
    let mut wrong = Vec::new();
    for (what, request, allowed) in &rows {
        let answer = exchange(service.addr, request.as_bytes()).await;
        let status = answer.as_ref().map(|answer| answer.status);
        if status.is_none_or(|status| !allowed.contains(&status)) {
            wrong.push(format!("{what}: {status:?} is not {allowed:?}"));
        }
        if let Some(complaint) = answer.and_then(|answer| is_no_problem(&answer)) {
            wrong.push(format!("{what}: {complaint}"));
        }
        if service.store_revision().await != 0 {
            wrong.push(format!("{what}: it was written"));
            service.delete("/sensors/s2").await;
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} cases", rows.len());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_early_writes_nothing() {
    let service = Service::start().await;
    let whole = "POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{\"name\":\"s2\"}";
    let mut stream = TcpStream::connect(service.addr).await.unwrap();
    stream.write_all(whole.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(service.store_revision().await, 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_pipelined_requests_get_sixteen_answers_in_order() {
    let service = Service::start().await;
    for number in 0..16 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    let requests: Vec<_> = (0..16)
        .map(|number| format!("GET /sensors/s{number} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .collect();
    let answers = exchange_many(service.addr, requests.concat().as_bytes(), 16).await;
    assert_eq!(answers.len(), 16);
    for (number, answer) in answers.iter().enumerate() {
        assert!(
            answer.text().contains(&format!("\"name\":\"s{number}\"")),
            "{number}: {}",
            answer.text()
        );
    }
    service.finish().await;
}

/// Sends these bytes and reads all that comes, until the service closes the connection.
async fn conversation(service: &Service, text: &str) -> String {
    let mut stream = TcpStream::connect(service.addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    String::from_utf8(answers).unwrap()
}

/// The framework reads ahead, and once answered each request of a burst as the last one of it wanted it.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_pipelined_requests_is_answered_as_it_wants_it() {
    let service = Service::start().await;
    let post = |name: &str| {
        let body = format!(r#"{{"name":"{name}"}}"#);
        format!(
            "POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let requests = [
        post("s1"),
        "HEAD /sensors?limit=1 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        post("s2"),
        "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "HEAD /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let said = conversation(&service, &requests.concat()).await;
    let answers: Vec<_> = said.split("HTTP/1.1 ").skip(1).collect();
    let expected = [
        ("201", true),
        ("200", false),
        ("201", true),
        ("404", true),
        ("200", false),
    ];
    assert_eq!(answers.len(), expected.len(), "{said}");
    for (number, (answer, (status, has_body))) in answers.iter().zip(expected).enumerate() {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(status), "{number}: {answer}");
        assert_eq!(body.is_empty(), !has_body, "{number}: {answer}");
        assert_eq!(head.contains("connection: close"), number == 4, "{number}: {answer}");
        if has_body {
            assert!(
                head.contains(&format!("content-length: {}", body.len())),
                "{number}: {answer}"
            );
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_lf_is_refused_behind_a_chunked_body_as_well() {
    let service = Service::start().await;
    let said = conversation(
        &service,
        "POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         d\r\n{\"name\":\"s1\"}\r\n0\r\n\r\nDELETE /sensors/s1 HTTP/1.1\nHost: x\n\n",
    )
    .await;
    assert!(said.starts_with("HTTP/1.1 201"), "{said}");
    assert!(said.contains("HTTP/1.1 400 Bad Request\r\n"), "{said}");
    assert!(said.ends_with('}'), "{said}");
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_whose_body_is_cut_off_malformed_or_too_large_is_not_done() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let large = format!("Content-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    for (body, status) in [
        ("Content-Length: 100\r\n\r\n{", 400),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n12", 400),
        ("Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n12345XX", 400),
        (large.as_str(), 413),
    ] {
        let mut stream = TcpStream::connect(service.addr).await.unwrap();
        let request = format!("DELETE /sensors/s1 HTTP/1.1\r\nHost: x\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{body:.60}: {answer}"
        );
        assert!(answer.ends_with('}'), "{body:.60}: {answer}");
        assert_eq!(service.store_revision().await, 1, "{body:.60}");
    }
    let whole = "DELETE /sensors/s1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let said = conversation(&service, whole).await;
    assert!(said.starts_with("HTTP/1.1 204"), "{said}");
    service.finish().await;
}

/// The framework alone would wait for the rest for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_wrong_type_is_refused_before_it_has_come_and_costs_no_connection_when_it_comes() {
    let service = Service::start().await;
    for (method, path) in [
        ("POST", "/sensors"),
        ("PUT", "/sensors/s1"),
        ("PATCH", "/sensors/s1"),
        ("POST", "/batch"),
    ] {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\n");
        let said = conversation(&service, &head).await;
        assert!(said.starts_with("HTTP/1.1 415 "), "{method} {path}: {said}");

        let mut stream = TcpStream::connect(service.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let rest = "a,b\n1,2\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).await.unwrap();
        let answers = String::from_utf8(answers).unwrap();
        let has_both = answers.starts_with("HTTP/1.1 415 ") && answers.contains("HTTP/1.1 404 ");
        assert!(has_both, "{method} {path}: {answers}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_needed_holds_a_connection_for_a_moment_only() {
    let service = Service::start_with(|config| config.http.limits.body_timeout = Duration::from_millis(300)).await;
    service.create(&json!({"name": "s1"})).await;
    let head = |method: &str, path: &str, field: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{field}\r\n\r\n")
    };
    for (request, status) in [
        (head("GET", "/sensors/s1", "Transfer-Encoding: chunked"), 200),
        (head("GET", "/sensors", "Transfer-Encoding: chunked") + "2\r\n{", 200),
        (
            head("GET", "/nope", "Transfer-Encoding: chunked") + "0\r\nX: y\n\r\n",
            404,
        ),
        (head("GET", "/health/live", "Content-Length: 5") + "12", 200),
        (head("DELETE", "/sensors/s1", "Transfer-Encoding: chunked"), 408),
        (
            head("PATCH", "/sensors/s1", "Transfer-Encoding: chunked") + "1\r\n{\r\n",
            408,
        ),
        (
            head("PATCH", "/sensors/s1", "Transfer-Encoding: chunked") + "0\r\nX: y\n\r\n",
            400,
        ),
    ] {
        let said = timeout(Duration::from_secs(30), conversation(&service, &request)).await;
        let said = said.unwrap_or_else(|_| panic!("it waits for ever: {request}"));
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {said}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_one_that_closes_the_connection_is_not_done() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let requests = "GET /sensors/s1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n\
        DELETE /sensors/s1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let answers = exchange_many(service.addr, requests.as_bytes(), 2).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].status, 200);
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_is_answered_and_the_request_done() {
    let service = Service::start().await;
    let body = r#"{"name":"s1"}"#;
    let request = format!(
        "POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(service.addr, request.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_taken_as_any_other() {
    let service = Service::start().await;
    let request = "POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
        8\r\n{\"name\":\r\n5\r\n\"s1\"}\r\n0\r\n\r\n";
    let answer = exchange(service.addr, request.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    service.finish().await;
}

/// What a head and a body may take.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// Sends the beginning of a request, which may come after whole ones, and waits until the service gives up; true when it did, and not
/// too soon.
async fn is_cut_off(service: &Service, beginning: &str) -> bool {
    let mut stream = TcpStream::connect(service.addr).await.unwrap();
    let began_at = Instant::now();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end = timeout(Duration::from_mins(1), stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer);
    let last = text.rfind("HTTP/1.1 ").map_or("", |at| &text[at..]);
    end.is_ok() && began_at.elapsed() >= TIME_LIMIT && last.starts_with("HTTP/1.1 408") && last.ends_with('}')
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_or_a_body_that_does_not_come_is_answered_with_408() {
    let service = Service::start_with(|config| {
        config.http.limits.head_timeout = TIME_LIMIT;
        config.http.limits.body_timeout = TIME_LIMIT;
    })
    .await;
    let head = "POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let body = format!("{head}Content-Length: 30\r\n\r\n{{\"name\":");
    let whole = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let beginnings = [
        String::new(),
        "\r\n".to_owned(),
        "POST".to_owned(),
        head.to_owned(),
        body.clone(),
        format!("{whole}P"),
        format!("{whole}{head}"),
        format!("{whole}{whole}{body}"),
    ];
    let ends = join_all(beginnings.iter().map(|beginning| is_cut_off(&service, beginning))).await;
    let others: Vec<_> = beginnings
        .iter()
        .zip(ends)
        .filter(|(_, is_cut_off)| !is_cut_off)
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(service.store_revision().await, 0);
    service.finish().await;
}
