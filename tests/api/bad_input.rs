use bytes::Bytes;
use serde_json::Value;

use crate::harness::{RawAnswer, Service, exchange};

/// A request as bytes and the statuses that the table of bad input allows for it.
struct Case {
    what: String,
    request: Vec<u8>,
    allowed: &'static [u16],
}

fn case(what: &str, request: impl Into<Vec<u8>>, allowed: &'static [u16]) -> Case {
    Case {
        what: what.to_owned(),
        request: request.into(),
        allowed,
    }
}

/// A request with a body, its length said.
fn with_body(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
    request.extend_from_slice(body);
    request
}

const JSON: &str = "Content-Type: application/json\r\n";
const MISSING: &[u16] = &[400, 404];

fn paths() -> Vec<Case> {
    let long = "x".repeat(7_000);
    let segments = [
        "%00",
        "s1%00",
        "s1%2F",
        "s%2F1",
        "%2e",
        "%2e%2e",
        "..%2fsensors",
        "%ff",
        "%c0%af",
        "%2573%2531",
        "s1;x=y",
        "s1%3Bx=y",
        "%73%31x",
        "s1%20",
        "s1+",
        "s1*",
        "%",
        "%2",
        "%zz",
        "s1%0d%0a",
        "{s1}",
        "s1'--",
        "01936f0e7c1b7d619d0e2f1c3b5a7e90",
        "%7B01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90%7D",
        "urn:uuid:01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
        &long,
    ];
    let mut cases: Vec<_> = segments
        .iter()
        .flat_map(|segment| ["GET", "DELETE"].map(|method| (method, segment)))
        .map(|(method, segment)| {
            let request = format!("{method} /sensors/{segment} HTTP/1.1\r\nHost: x\r\n\r\n");
            case(&format!("path {method} {segment:.40}"), request, MISSING)
        })
        .collect();
    for path in [
        "/sensors/s1/..",
        "/sensors/../sensors/s1",
        "/./sensors/s1",
        "//sensors/s1",
        "/sensors//s1",
        "/sensors/s1/",
    ] {
        let request = format!("DELETE {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        cases.push(case(&format!("path {path}"), request, &[400, 404, 405]));
    }
    let huge = format!("GET /sensors/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(10_000));
    cases.push(case("path of 10,000 characters", huge, &[400, 404, 414]));
    cases
}

fn media_types() -> Vec<Case> {
    let good = br#"{"name":"s2"}"#;
    let mut cases = Vec::new();
    for headers in [
        "",
        "Content-Type: \r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/jsonp\r\n",
        "Content-Type: */*\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
        "Content-Type: application/problem+json\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: ;\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br\r\n",
        "Content-Type: application/json\r\nContent-Encoding: nonsense\r\n",
    ] {
        for (method, path) in [("POST", "/sensors"), ("PUT", "/sensors/s1"), ("PATCH", "/sensors/s1")] {
            let what = format!("media type {method} {headers:?}");
            cases.push(case(&what, with_body(method, path, headers, good), &[415]));
        }
    }
    for accept in ["image/png", "text/html;q=1", "application/json;q=0", "application/cbor"] {
        let request = format!("GET /sensors/s1 HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        cases.push(case(&format!("accept {accept}"), request, &[406]));
    }
    for accept in ["///", "application", "a/b;q=x", ";;;"] {
        let request = format!("GET /sensors/s1 HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        cases.push(case(&format!("malformed accept {accept}"), request, &[400, 406]));
    }
    cases
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn syntax() -> Vec<Case> {
    let deep_array = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep_member = format!(r#"{{"name":"s2","metadata":{{"a":{}}}}}"#, deep_array(32));
    let deep_object = format!(r#"{{"name":"s2","x":{}1{}}}"#, r#"{"a":"#.repeat(40), "}".repeat(40));
    let very_deep = deep_array(20_000);
    let bodies: Vec<(&str, Bytes)> = vec![
        ("empty", Bytes::new()),
        ("spaces", "   ".into()),
        ("truncated object", r#"{"name":"s2""#.into()),
        ("truncated text", r#"{"name":"s2"#.into()),
        ("byte order mark", "\u{feff}{\"name\":\"s2\"}".into()),
        ("text after the value", r#"{"name":"s2"} x"#.into()),
        ("a second value", r#"{"name":"s2"}{"name":"s3"}"#.into()),
        ("comment", "{\"name\":\"s2\"/* hi */}".into()),
        ("line comment", "// hi\n{\"name\":\"s2\"}".into()),
        ("trailing comma", r#"{"name":"s2",}"#.into()),
        ("single quotes", "{'name':'s2'}".into()),
        ("bare member", r#"{name:"s2"}"#.into()),
        ("NaN", r#"{"name":"s2","value":NaN}"#.into()),
        ("Infinity", r#"{"name":"s2","value":Infinity}"#.into()),
        ("-Infinity", r#"{"name":"s2","value":-Infinity}"#.into()),
        ("1e400", r#"{"name":"s2","value":1e400}"#.into()),
        ("-1e400", r#"{"name":"s2","metadata":{"a":-1e400}}"#.into()),
        ("leading zero", r#"{"name":"s2","value":01}"#.into()),
        ("plus", r#"{"name":"s2","value":+1}"#.into()),
        ("bare point", r#"{"name":"s2","value":1.}"#.into()),
        ("hexadecimal", r#"{"name":"s2","value":0x10}"#.into()),
        ("lone high surrogate", r#"{"name":"s2","value":"\ud800"}"#.into()),
        ("lone low surrogate", r#"{"name":"s2","value":"\udc00"}"#.into()),
        (
            "surrogates in the wrong order",
            r#"{"name":"s2","value":"\udc00\ud800"}"#.into(),
        ),
        ("unknown escape", r#"{"name":"s2","value":"\x41"}"#.into()),
        ("raw line feed in a text", "{\"name\":\"s2\",\"value\":\"a\nb\"}".into()),
        ("raw NUL in a text", "{\"name\":\"s2\",\"value\":\"a\0b\"}".into()),
        (
            "invalid UTF-8",
            Bytes::from_static(b"{\"name\":\"s2\",\"value\":\"\xff\"}"),
        ),
        (
            "overlong UTF-8",
            Bytes::from_static(b"{\"name\":\"s2\",\"value\":\"\xc0\xaf\"}"),
        ),
        (
            "UTF-8 surrogate",
            Bytes::from_static(b"{\"name\":\"s2\",\"value\":\"\xed\xa0\x80\"}"),
        ),
        ("UTF-16", Bytes::from_static(b"\xff\xfe{\0}\0")),
        ("duplicate member", r#"{"name":"s2","name":"s3"}"#.into()),
        ("duplicate member, escaped", r#"{"name":"s2","n\u0061me":"s3"}"#.into()),
        ("duplicate member, equal", r#"{"name":"s2","value":1,"value":1}"#.into()),
        (
            "duplicate in metadata",
            r#"{"name":"s2","metadata":{"a":1,"a":1}}"#.into(),
        ),
        (
            "duplicate below an array",
            r#"{"name":"s2","metadata":{"a":[{"b":1,"b":2}]}}"#.into(),
        ),
        (
            "duplicate in an unknown member",
            r#"{"name":"s2","colour":{"b":1,"b":2}}"#.into(),
        ),
        ("depth over 32", deep_member.into()),
        ("depth over 32 of objects", deep_object.into()),
        ("depth 20,000", very_deep.into()),
        ("nothing but a minus", "-".into()),
        ("not JSON", "name=s2".into()),
    ];
    let doors = [("POST", "/sensors"), ("PUT", "/sensors/s1"), ("PATCH", "/sensors/s1")];
    let both = bodies.iter().flat_map(|row| doors.map(|door| (row, door)));
    both.map(|((what, body), (method, path))| {
        case(
            &format!("JSON {method} {what}"),
            with_body(method, path, JSON, body),
            &[400],
        )
    })
    .collect()
}

fn shapes_and_sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for body in ["[]", "[{}]", "\"s2\"", "5", "null", "true"] {
        for (method, path) in [("POST", "/sensors"), ("PUT", "/sensors/s1"), ("PATCH", "/sensors/s1")] {
            cases.push(case(
                &format!("shape {method} {body}"),
                with_body(method, path, JSON, body.as_bytes()),
                &[422],
            ));
        }
    }
    let big = format!(r#"{{"name":"s2","value":"{}"}}"#, "x".repeat(65_536));
    let chunked = format!(
        "Host: x\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{big}\r\n0\r\n\r\n",
        big.len()
    );
    for (method, path) in [("POST", "/sensors"), ("PUT", "/sensors/s1"), ("PATCH", "/sensors/s1")] {
        cases.push(case(
            &format!("size {method}, said"),
            with_body(method, path, JSON, big.as_bytes()),
            &[413],
        ));
        let request = format!("{method} {path} HTTP/1.1\r\n{chunked}");
        cases.push(case(&format!("size {method}, not said"), request, &[413]));
    }
    let announced = format!("POST /sensors HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 99999999999\r\n\r\n");
    cases.push(case("size announced and not sent", announced, &[413]));
    cases
}

fn preconditions() -> Vec<Case> {
    let mut cases = Vec::new();
    for tag in [
        "",
        "x",
        "\"x\"",
        "\"",
        "W/\"x\"",
        "\"aaaaaaaa.1\"",
        ",,,",
        "\"x\",\"y\"",
        "*x",
        "\"\u{e9}\"",
        "*, \"x\"",
    ] {
        for (method, path) in [
            ("PUT", "/sensors/s1"),
            ("PATCH", "/sensors/s1"),
            ("DELETE", "/sensors/s1"),
        ] {
            let headers = format!("{JSON}If-Match: {tag}\r\n");
            let request = with_body(method, path, &headers, br#"{"value":5}"#);
            cases.push(case(&format!("If-Match {method} {tag:?}"), request, &[412]));
        }
    }
    let headers = format!("{JSON}If-None-Match: *\r\n");
    cases.push(case(
        "If-None-Match *",
        with_body("PUT", "/sensors/s1", &headers, b"{}"),
        &[412],
    ));
    cases
}

fn assert_is_a_problem(what: &str, answer: &RawAnswer) {
    let content_type = answer.header("content-type").unwrap_or_default();
    assert!(
        content_type.starts_with("application/problem+json"),
        "{what}: {answer:?}"
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["status"], answer.status, "{what}: {document}");
    let pointers = document["errors"].as_array().map_or(0, Vec::len);
    assert_eq!(answer.status == 422, pointers > 0, "{what}: {document}");
}

/// The one rule: a clear problem document, nothing written, no event, no 5xx, and the next good request works.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_a_clear_problem_and_changes_nothing() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let made = service.create(&serde_json::json!({"name": "s1", "value": 1})).await;
    let cases: Vec<_> = [paths(), media_types(), syntax(), shapes_and_sizes(), preconditions()]
        .into_iter()
        .flatten()
        .collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let answer = exchange(service.addr, &case.request).await;
        match &answer {
            Some(answer) if case.allowed.contains(&answer.status) => assert_is_a_problem(&case.what, answer),
            Some(answer) => wrong.push(format!("{}: {} {}", case.what, answer.status, answer.text())),
            None => wrong.push(format!("{}: no answer", case.what)),
        }
        assert_eq!(service.get("/sensors/s1").await.body, made.body, "{}", case.what);
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(service.store_revision().await, 1);
    service.delete("/sensors/s1").await.expect(204);
    assert_eq!(subscriber.next_event().await.revision, 1);
    assert_eq!(subscriber.next_event().await.revision, 2);
    println!("{} cases", cases.len());
    service.finish().await;
}
