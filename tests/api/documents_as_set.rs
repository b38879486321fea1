//! The documents and the pages of a service whose settings are not the usual ones.

use serde_json::{Value, json};

use crate::harness::Service;

/// Where the contract is told.
const TOLD_AT: [&str; 5] = [
    "/docs",
    "/docs/events",
    "/docs/rest/openapi.json",
    "/openapi.json",
    "/asyncapi.json",
];

async fn text(service: &Service, path: &str) -> String {
    service.get(path).await.expect(200).text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_before_every_topic_stands_before_those_that_are_told() {
    let service = Service::start_with(|config| config.mqtt.topic_prefix = "plant7/".to_owned()).await;
    for path in TOLD_AT {
        let text = text(&service, path).await;
        assert!(text.contains("plant7/sensors/{id}"), "{path}");
        for bare in ["`sensors/", "<code>sensors/", "'sensors/", "\"sensors/"] {
            // Examples in schemas are of any service.
            let text = text.replace("\"sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\"", "");
            assert!(!text.contains(bare), "{path}: {bare}");
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_quality_of_service_0_nobody_is_promised_every_event() {
    for (qos, promised, other) in [
        (0, "without a guarantee", "at least once"),
        (1, "at least once", "without a guarantee"),
    ] {
        let service = Service::start_with(|config| config.mqtt.qos = qos).await;
        for path in ["/docs/events", "/openapi.json", "/asyncapi.json"] {
            let text = text(&service, path).await;
            assert!(text.contains(promised) && !text.contains(other), "{path}");
        }
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_change_needs_if_match_the_documents_have_it() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    let page = text(&service, "/docs").await;
    assert!(
        page.contains("curl -X PATCH") && page.contains("-H 'If-Match: *'"),
        "{page}"
    );
    for path in ["/openapi.json", "/docs/rest/openapi.json"] {
        let document = service.get(path).await.expect(200).json();
        let sensor = &document["paths"]["/sensors/{sensor}"];
        let value = &document["paths"]["/sensors/{sensor}/value"];
        for (operation, required) in [
            (&sensor["patch"], true),
            (&sensor["delete"], true),
            (&value["put"], true),
            // It creates, too, and then there is nothing to match.
            (&sensor["put"], false),
        ] {
            let mut parameters = operation["parameters"].as_array().unwrap().iter();
            let if_match = parameters.find(|parameter| parameter["name"] == "If-Match");
            let if_match = if_match.unwrap_or_else(|| panic!("{path}: {operation}"));
            assert_eq!(if_match["example"], "*");
            assert_eq!(if_match["required"], required, "{path}: {}", operation["operationId"]);
        }
        let batch = &document["paths"]["/batch"]["post"]["requestBody"]["content"]["application/json"]["example"];
        let body = batch.to_string();
        let headers = [("content-type", "application/json"), ("prefer", "return=minimal")];
        if path == "/openapi.json" {
            service.request("POST", "/batch", &headers, body).await.expect(200);
        }
    }
    service.finish().await;

    let service = Service::start().await;
    let document: Value = service.get("/openapi.json").await.expect(200).json();
    let parameters = &document["paths"]["/sensors/{sensor}"]["patch"]["parameters"];
    assert_eq!(parameters[1], json!({"$ref": "#/components/parameters/If-Match"}));
    assert!(!text(&service, "/docs").await.contains("If-Match"));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reaches_the_broker_through_a_websocket_is_told_where_and_to_which_topics() {
    let url = "wss://broker.example/mqtt";
    let service = Service::start_with(|config| config.mqtt.public_url = url.parse().unwrap()).await;
    let page = text(&service, "/docs/events").await;
    let subscribe = page
        .split("<h2>Subscribe</h2>")
        .nth(1)
        .and_then(|rest| rest.split("<h2").next())
        .unwrap();
    for part in [url, "sensors/+", "<code>sensors</code>"] {
        assert!(subscribe.contains(part), "{part}: {subscribe}");
    }
    assert!(!subscribe.contains("mosquitto_sub"), "{subscribe}");
    service.finish().await;
}
