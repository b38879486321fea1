use serde_json::json;

use crate::harness::{Service, exchange};

const READ_ONLY: [&str; 10] = [
    "/",
    "/events",
    "/sensors/s1/events",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/openapi.yaml",
    "/asyncapi.json",
    "/asyncapi.yaml",
];
const SENSOR: [&str; 6] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"];

#[tokio::test(flavor = "multi_thread")]
async fn options_answers_204_and_the_verbs_of_the_route() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let sensors = service.request("OPTIONS", "/sensors", &[], "").await.expect(204);
    assert_eq!(sensors.allow(), ["GET", "HEAD", "OPTIONS", "POST"]);
    assert_eq!(sensors.header("accept-post"), Some("application/json"));
    assert_eq!(sensors.header("accept-patch"), None);
    for path in [
        "/sensors/s1",
        "/sensors/nobody",
        "/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
    ] {
        let sensor = service.request("OPTIONS", path, &[], "").await.expect(204);
        assert_eq!(sensor.allow(), SENSOR, "{path}");
        assert!(
            sensor
                .header("accept-patch")
                .unwrap()
                .contains("application/json-patch+json")
        );
    }
    let batch = service.request("OPTIONS", "/batch", &[], "").await.expect(204);
    assert_eq!(batch.allow(), ["OPTIONS", "POST"]);
    let value = service
        .request("OPTIONS", "/sensors/s1/value", &[], "")
        .await
        .expect(204);
    assert_eq!(value.allow(), ["GET", "HEAD", "OPTIONS", "PUT"]);
    for path in READ_ONLY {
        let answer = service.request("OPTIONS", path, &[], "").await.expect(204);
        assert_eq!(answer.allow(), ["GET", "HEAD", "OPTIONS"], "{path}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_verb_is_405_and_the_answer_names_those_of_the_route() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for verb in ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"] {
        let refused = service.request(verb, "/sensors", &[], "").await.expect(405);
        assert_eq!(refused.allow(), ["GET", "HEAD", "OPTIONS", "POST"], "{verb}");
    }
    for verb in ["POST", "TRACE", "BREW"] {
        let refused = service.request(verb, "/sensors/s1", &[], "").await.expect(405);
        assert_eq!(refused.allow(), SENSOR, "{verb}");
    }
    for path in READ_ONLY {
        for verb in ["POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            let refused = service.request(verb, path, &[], "").await.expect(405);
            assert_eq!(refused.allow(), ["GET", "HEAD", "OPTIONS"], "{verb} {path}");
        }
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_route_is_404_for_every_verb() {
    let service = Service::start().await;
    for path in [
        "/nothing",
        "/sensors/s1/nothing",
        "/sensor",
        "/health",
        "/sensors/s1/state/x",
        "/SENSORS",
    ] {
        for verb in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            service.request(verb, path, &[], "").await.expect(404);
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_is_refused() {
    let service = Service::start().await;
    let request = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let status = exchange(service.addr, request).await.map(|answer| answer.status);
    assert!(matches!(status, Some(400 | 404 | 405 | 501)), "{status:?}");
    service.get("/health/live").await.expect(200);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_the_documents_answer_the_verbs_as_any_other_route() {
    let service = Service::start().await;
    for path in [
        "/docs",
        "/docs/",
        "/docs/events",
        "/docs/rest",
        "/docs/rest/",
        "/docs/rest/openapi.json",
        "/docs/style.css",
    ] {
        let head = service.request("HEAD", path, &[], "").await;
        assert!(
            matches!(head.status, 200 | 308) && head.body.is_empty(),
            "{path}: {}",
            head.status
        );
        let answer = service.request("OPTIONS", path, &[], "").await.expect(204);
        assert_eq!(answer.allow(), ["GET", "HEAD", "OPTIONS"], "{path}");
        let refused = service.request("POST", path, &[], "").await.expect(405);
        assert_eq!(refused.allow(), ["GET", "HEAD", "OPTIONS"], "{path}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_service_as_a_whole_is_answered() {
    let service = Service::start().await;
    let request = b"OPTIONS * HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let answer = exchange(service.addr, request).await.expect("an answer");
    assert_eq!(answer.status, 204);
    assert!(answer.header("allow").unwrap().contains("PATCH"));
    service.finish().await;
}
