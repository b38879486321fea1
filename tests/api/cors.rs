use sensorcast::config::CorsOrigins;
use serde_json::json;

use crate::harness::{Answer, PUBLIC_URL, Service, WebSocket};

const ORIGIN: &str = "https://dashboard.example.com";
const FROM: (&str, &str) = ("origin", ORIGIN);
const ASKS: (&str, &str) = ("access-control-request-method", "PATCH");
const HEADERS: (&str, &str) = ("access-control-request-headers", "content-type,if-match");

async fn service(origins: CorsOrigins) -> Service {
    let service = Service::start_with(|config| config.http.cors_origins = origins).await;
    service.create(&json!({"name": "s1"})).await;
    service
}

fn cors_headers(answer: &Answer) -> Vec<String> {
    let names = answer.headers.keys().map(ToString::to_string);
    let mut found: Vec<_> = names.filter(|name| name.starts_with("access-control-")).collect();
    found.sort();
    found
}

fn words<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let lines = answer.headers.get_all(name).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(", "))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_no_answer_speaks_of_origins() {
    let service = service(CorsOrigins::None).await;
    for method in ["GET", "OPTIONS"] {
        let answer = service.request(method, "/sensors/s1", &[FROM, ASKS, HEADERS], "").await;
        assert!(answer.status < 300 && cors_headers(&answer).is_empty(), "{answer:?}");
        assert!(!words(&answer, "vary").contains(&"Origin"), "{answer:?}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_says_what_options_says() {
    let service = service(CorsOrigins::These(vec![ORIGIN.to_owned()])).await;
    let plain = service.request("OPTIONS", "/sensors/s1", &[], "").await.expect(204);
    let preflight = service
        .request("OPTIONS", "/sensors/s1", &[FROM, ASKS, HEADERS], "")
        .await
        .expect(204);
    assert_eq!(preflight.allow(), plain.allow());
    assert_eq!(preflight.header("access-control-allow-methods"), plain.header("allow"));
    assert_eq!(preflight.header("access-control-allow-origin"), Some(ORIGIN));
    for header in ["Content-Type", "If-Match", "If-None-Match", "Prefer"] {
        assert!(
            words(&preflight, "access-control-allow-headers").contains(&header),
            "{preflight:?}"
        );
    }
    assert!(words(&preflight, "vary").contains(&"Origin"));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    let no_preflight = service.request("OPTIONS", "/sensors/s1", &[FROM], "").await.expect(204);
    assert_eq!(
        cors_headers(&no_preflight),
        ["access-control-allow-origin", "access-control-expose-headers"]
    );
    let nowhere = service
        .request("OPTIONS", "/nothing", &[FROM, ASKS], "")
        .await
        .expect(404);
    assert_eq!(nowhere.header("access-control-allow-methods"), None);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_an_allowed_origin_sees_every_answer() {
    let service = service(CorsOrigins::These(vec![
        "http://other.example".to_owned(),
        ORIGIN.to_owned(),
    ]))
    .await;
    let etag = service.get("/sensors/s1").await.etag();
    let unchanged = ("if-none-match", etag.as_str());
    let answers = [
        service.request("GET", "/sensors/s1", &[FROM], "").await.expect(200),
        service
            .request("GET", "/sensors/s1", &[FROM, unchanged], "")
            .await
            .expect(304),
        service.request("GET", "/sensors/nobody", &[FROM], "").await.expect(404),
        service.request("GET", "/sensors?x=1", &[FROM], "").await.expect(400),
        service.request("BREW", "/sensors", &[FROM], "").await.expect(405),
        service.request("POST", "/sensors", &[FROM], "{}").await.expect(415),
        service.request("DELETE", "/sensors/s1", &[FROM], "").await.expect(204),
    ];
    for answer in &answers {
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{answer:?}");
        for header in ["ETag", "Link", "Location"] {
            assert!(words(answer, "access-control-expose-headers").contains(&header));
        }
        assert!(answer.header("access-control-allow-credentials").is_none());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_another_origin_is_served_and_sees_nothing() {
    let service = service(CorsOrigins::These(vec![ORIGIN.to_owned()])).await;
    for origin in [
        "https://evil.example",
        "null",
        "https://dashboard.example.com.evil.example",
        "",
        "https://DASHBOARD.example.com",
    ] {
        for method in ["GET", "OPTIONS"] {
            let answer = service
                .request(method, "/sensors/s1", &[("origin", origin), ASKS], "")
                .await;
            assert!(
                answer.status < 300 && cors_headers(&answer).is_empty(),
                "{origin}: {answer:?}"
            );
            assert!(
                words(&answer, "vary").contains(&"Origin"),
                "a cache must not mix them up: {answer:?}"
            );
        }
    }
    let no_script = service.get("/sensors/s1").await.expect(200);
    assert!(cors_headers(&no_script).is_empty() && words(&no_script, "vary").contains(&"Origin"));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_everybody() {
    let service = service(CorsOrigins::Any).await;
    for origin in [ORIGIN, "null", "https://evil.example"] {
        let answer = service
            .request("GET", "/sensors/s1", &[("origin", origin)], "")
            .await
            .expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(!words(&answer, "vary").contains(&"Origin"), "{answer:?}");
        let opened = WebSocket::open_from(service.addr, "/events", Some(origin)).await;
        assert_eq!(opened.err(), None, "{origin}");
    }
    assert!(cors_headers(&service.get("/sensors/s1").await.expect(200)).is_empty());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_only_own_pages_get_a_websocket() {
    let service = service(CorsOrigins::None).await;
    for (origin, status) in [(PUBLIC_URL, None), (ORIGIN, Some(403))] {
        let opened = WebSocket::open_from(service.addr, "/events", Some(origin)).await;
        assert_eq!(opened.err(), status, "{origin}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_gets_no_websocket() {
    let service = service(CorsOrigins::These(vec![ORIGIN.to_owned()])).await;
    let own = format!("http://{}", service.addr);
    for (origin, status) in [
        (None, None),
        (Some(ORIGIN), None),
        (Some(own.as_str()), None),
        (Some(PUBLIC_URL), None),
        (Some("http://evil.example"), Some(403)),
        (Some("null"), Some(403)),
    ] {
        let opened = WebSocket::open_from(service.addr, "/events", origin).await;
        assert_eq!(opened.err(), status, "{origin:?}");
    }
    service.finish().await;
}
