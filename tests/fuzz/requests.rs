use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use bolero::check;
use sensorcast::domain::{Epoch, Tags};
use sensorcast::http::parsers;

use crate::words::{spell, spell_text, time};

const TAG_WORDS: [&str; 16] = [
    "\"k3f7q2vt.42\"",
    "\"",
    "W/",
    "*",
    ",",
    ", ",
    "k3f7q2vt",
    ".",
    "42",
    "\"\"",
    "\"k3f7q2vt.9223372036854775808\"",
    "W/\"k3f7q2vt.1\"",
    " ",
    "\t",
    "\"x\"",
    "\\",
];
const QUERY_WORDS: [&str; 48] = [
    "after=",
    "limit=",
    "wait=",
    "event=",
    "name=",
    "cursor=",
    "&",
    "=",
    "now",
    "k3f7q2vt.42",
    "created",
    ",",
    "modified",
    "deleted",
    "10",
    "-1",
    "99999999999",
    "%",
    "%41",
    "%00",
    "%ff",
    "%2",
    "+",
    "boiler-",
    "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
    ";",
    "#",
    "é",
    "status=",
    "sort=",
    "kind=",
    "?",
    "fields=",
    "count=exact",
    "metadata.",
    "value_min=",
    "updated_since=",
    "bbox=",
    "near=",
    "radius_m=",
    "from=",
    "to=",
    "2026-11-22T11:00:00Z",
    "12.5,41.9",
    "-updated_at",
    "id,links",
    "updated_at~1795348800000~7",
    "before~",
];
const PREFER_WORDS: [&str; 16] = [
    "return",
    "minimal",
    "representation",
    "wait",
    "=",
    ",",
    ";",
    "\"",
    " ",
    "0",
    "60",
    "99999999999",
    "-",
    "é",
    "respond-async",
    "\t",
];
const ACCEPT_WORDS: [&str; 16] = [
    "application/json",
    "text/event-stream",
    "*/*",
    "*",
    "/",
    ";q=",
    "0.5",
    "1",
    ",",
    ";",
    "charset=",
    "identity",
    "\"",
    " ",
    "text/*",
    "é",
];

/// A request with these bytes in a header; `None` when no header can have them.
fn with_header(name: HeaderName, bytes: &[u8]) -> Option<TestRequest> {
    let value = HeaderValue::from_bytes(bytes).ok()?;
    Some(TestRequest::default().insert_header((name, value)))
}

#[test]
fn a_list_of_tags() {
    let epoch: Epoch = "k3f7q2vt".parse().unwrap();
    check!().with_test_time(time()).for_each(move |bytes| {
        let spelled = spell(bytes, &TAG_WORDS);
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            let Some(request) = with_header(name.clone(), &spelled) else {
                return;
            };
            let precondition = parsers::preconditions(&request.to_http_request(), &epoch);
            let tags = if name == header::IF_MATCH {
                precondition.if_match
            } else {
                precondition.if_none_match
            };
            // What cannot be read is a condition all the same.
            let is_star = String::from_utf8_lossy(&spelled).trim() == "*";
            assert_eq!(tags.map(|tags| tags == Tags::Any), Some(is_star), "{spelled:?}");
        }
    });
}

#[test]
fn a_query() {
    check!().with_test_time(time()).for_each(|bytes| {
        let query = spell_text(bytes, &QUERY_WORDS);
        let uri = format!("/events?{query}");
        if uri.parse::<actix_web::http::Uri>().is_err() {
            return;
        }
        let request = TestRequest::with_uri(&uri).to_http_request();
        let _ = (parsers::events_query(&request), parsers::list_query(&request));
        let _ = parsers::history_query(&request);
        if let Some(request) = with_header(HeaderName::from_static("last-event-id"), query.as_bytes()) {
            let _ = parsers::events_query(&request.to_http_request());
        }
    });
}

#[test]
fn a_path() {
    check!().with_test_time(time()).for_each(|bytes| {
        let segment = spell_text(bytes, &QUERY_WORDS);
        let request = TestRequest::default().param("sensor", segment).to_http_request();
        let _ = parsers::sensor_path(&request);
    });
}

#[test]
fn a_preference() {
    check!().with_test_time(time()).for_each(|bytes| {
        if let Some(request) = with_header(HeaderName::from_static("prefer"), &spell(bytes, &PREFER_WORDS)) {
            let _ = parsers::prefers(&request.to_http_request());
        }
    });
}

#[test]
fn a_key() {
    check!().with_test_time(time()).for_each(|bytes| {
        if let Some(request) = with_header(HeaderName::from_static("idempotency-key"), &spell(bytes, &PREFER_WORDS))
            && let Some(key) = parsers::key(&request.to_http_request())
        {
            assert!((1..=255).contains(&key.len()) && key.chars().all(|character| (' '..='~').contains(&character)));
        }
    });
}

#[test]
fn what_is_accepted() {
    check!().with_test_time(time()).for_each(|bytes| {
        for name in [header::ACCEPT, header::ACCEPT_ENCODING] {
            if let Some(request) = with_header(name, &spell(bytes, &ACCEPT_WORDS)) {
                let _ = parsers::accepts_json(&request.to_http_request());
            }
        }
    });
}
