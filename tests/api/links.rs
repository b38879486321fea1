use serde_json::{Value, json};

use crate::harness::{PUBLIC_URL, Service, exchange, link};

fn links(sensor: &Value) -> Vec<Value> {
    sensor["links"].as_array().expect("links").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_absolute_and_lead_to_the_sensor_and_the_collection() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let own = format!("{PUBLIC_URL}{}", made.path());
    assert_eq!(link(&made.json(), "self"), Some(own.clone()));
    assert_eq!(link(&made.json(), "collection"), Some(format!("{PUBLIC_URL}/sensors")));
    for item in links(&made.json()) {
        let href = item["href"].as_str().expect("an href");
        assert!(href.starts_with(PUBLIC_URL) || href.starts_with("mqtt"), "{href}");
        assert!(item["rel"].is_string());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_sensor_offers_activation_and_no_report_of_a_value() {
    let service = Service::start().await;
    let active = service.create(&json!({"name": "s1"})).await.json();
    let inactive = service
        .patch("/sensors/s1", &json!({"status": "inactive"}))
        .await
        .expect(200)
        .json();
    let rels = |sensor: &Value| -> Vec<String> {
        let with_method = |item: &&Value| item["method"].is_string();
        links(sensor)
            .iter()
            .filter(with_method)
            .map(|item| item["rel"].as_str().unwrap().to_owned())
            .collect()
    };
    let (while_active, while_inactive) = (rels(&active), rels(&inactive));
    assert!(
        while_active.iter().any(|rel| !while_inactive.contains(rel)),
        "a value can be reported: {active}"
    );
    assert!(
        while_inactive.iter().any(|rel| !while_active.contains(rel)),
        "it can be activated: {inactive}"
    );
    let verbs = ["PUT", "PATCH", "POST", "DELETE"];
    for item in links(&active).iter().chain(&links(&inactive)) {
        let method = item["method"].as_str();
        assert!(
            method.is_none_or(|verb| verbs.contains(&verb) || verb == "GET"),
            "{item}"
        );
    }
    let again = service
        .patch("/sensors/s1", &json!({"status": "active"}))
        .await
        .expect(200)
        .json();
    assert_eq!(again["links"], active["links"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_the_mqtt_topic_with_its_prefix() {
    let service = Service::start_with(|config| config.mqtt.topic_prefix = "plant7/".to_owned()).await;
    let made = service.create(&json!({"name": "s1"})).await;
    let topic = format!("plant7/sensors/{}", made.id());
    let gives_topic = links(&made.json()).iter().any(|item| item.to_string().contains(&topic));
    assert!(gives_topic, "{}", made.text());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_come_from_public_url_whatever_the_request_says() {
    let service = Service::start_with(|config| {
        config.http.public_url = "https://iot.example/base/".parse().unwrap();
    })
    .await;
    let made = service.create(&json!({"name": "s1"})).await;
    assert_eq!(
        link(&made.json(), "self"),
        Some(format!("https://iot.example/base{}", made.path()))
    );
    let quiet = service.get("/sensors/s1").await;
    let heads = [
        "Host: evil.example",
        "Host: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: ftp",
        "Host: x\r\nForwarded: host=evil.example;proto=ftp;for=1.2.3.4",
    ];
    for head in heads {
        for path in ["/sensors/s1", "/sensors", "/", "/nothing", "/sensors?limit=1"] {
            let request = format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n");
            let answer = exchange(service.addr, request.as_bytes()).await.expect("an answer");
            let whole = format!("{:?} {}", answer.headers, answer.text());
            assert!(
                !whole.contains("evil.example") && !whole.contains("ftp:"),
                "{path}: {whole}"
            );
            if path == "/sensors/s1" {
                assert_eq!(answer.body, quiet.body);
            }
        }
        let body = r#"{"name":"s2"}"#;
        let request = format!(
            "POST /sensors HTTP/1.1\r\n{head}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(service.addr, request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 201);
        let location = answer.header("location").expect("a Location");
        assert!(location.starts_with("https://iot.example/base/sensors/"), "{location}");
        service.delete("/sensors/s2").await.expect(204);
    }
    service.finish().await;
}
