use std::collections::BTreeSet;

use sensorcast::domain::Cursor;
use serde_json::{Value, json};

use crate::harness::{Message, Service, Subscriber, Version};

/// What a reference in the document refers to.
fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    document.pointer(pointer.expect("a reference")).expect("its target")
}

fn names(object: &Value) -> BTreeSet<&str> {
    object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// Every `$ref` below `value`.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            if members.contains_key("$ref") {
                found.push(value);
            }
            members.values().for_each(|member| references(member, found));
        }
        _ => (),
    }
}

/// Checks that a message came as the operation that sends it says.
fn assert_delivered_as_documented(document: &Value, operation: &str, name: &str, message: &Message) {
    let delivery = &document["operations"][operation]["bindings"]["mqtt"];
    assert_eq!(json!(message.qos), delivery["qos"], "{name}");
    assert_eq!(json!(message.retain), delivery["retain"], "{name}");
    let documented = &document["components"]["messages"][name];
    let content_type = &documented["bindings"]["mqtt"]["contentType"];
    assert_eq!(message.content_type.as_deref(), content_type.as_str(), "{name}");
    let sent: BTreeSet<_> = message.user_properties.iter().map(|(key, _)| key.as_str()).collect();
    let expected = match documented.get("headers") {
        Some(headers) => names(&resolve(document, headers)["properties"]),
        None => BTreeSet::new(),
    };
    // A broker may add some of its own, as the built-in one does.
    assert!(sent.is_superset(&expected), "{name}: {sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_asyncapi_document_is_served_as_json_and_yaml() {
    let service = Service::start().await;
    let document = service.get("/asyncapi.json").await.expect(200).json();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["servers"]["broker"]["host"], "broker.example:1883");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for reference in found {
        resolve(&document, reference);
    }
    let yaml = service.get("/asyncapi.yaml").await.expect(200);
    assert!(yaml.text().starts_with("asyncapi: 3.0.0\n"), "{}", &yaml.text()[..80]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_of_the_events_are_those_of_the_rest_side() {
    let service = Service::start().await;
    let events = service.get("/asyncapi.json").await.expect(200).json();
    let rest = service.get("/openapi.json").await.expect(200).json();
    let members = |document: &Value, name: &str| {
        let schema = &document["components"]["schemas"][name];
        names(&schema["properties"])
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    for name in ["Event", "SensorProperties", "SensorLocation", "Link"] {
        assert_eq!(members(&events, name), members(&rest, name), "{name}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_on_the_topics_and_in_the_form_that_the_asyncapi_document_says() {
    let service = Service::start_with(|config| {
        config.mqtt.topic_prefix = "plant7/".to_owned();
        config.mqtt.retain_state = true;
    })
    .await;
    let document = service.get("/asyncapi.json").await.expect(200).json();
    let address = |channel: &str| document["channels"][channel]["address"].as_str().unwrap();
    let every_sensor = address("sensor").replace("{id}", "+");
    let mut changes = Subscriber::start(Version::V5, service.broker(), &every_sensor).await;
    let mut marks = Subscriber::start(Version::V5, service.broker(), address("mark")).await;

    service.create(&json!({"name": "s1"})).await;
    service.patch("/sensors/s1", &json!({"value": 1})).await.expect(200);
    service.put("/sensors/s1", &json!({"value": 2})).await.expect(200);
    service.delete("/sensors/s1").await.expect(204);
    for name in ["created", "modified", "modified", "deleted"] {
        let message = changes.next().await;
        let event = message.event();
        assert_eq!(event.kind, name);
        assert_eq!(message.topic, address("sensor").replace("{id}", &event.sensor));
        assert_delivered_as_documented(&document, "announceChange", name, &message);
        let documented = &document["components"]["messages"][name];
        let schema = resolve(&document, &documented["payload"]["allOf"][0]);
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        assert!(names(&payload).is_subset(&names(&schema["properties"])), "{payload}");
        assert_eq!(documented["payload"]["allOf"][1]["properties"]["event"]["const"], name);
    }

    let mut head = Subscriber::start(Version::V5, service.broker(), address("collection")).await;
    let presence = head.next().await;
    assert_delivered_as_documented(&document, "announcePresence", "presence", &presence);
    let payload: Value = serde_json::from_slice(&presence.payload).unwrap();
    assert_eq!(
        names(&payload),
        names(&document["components"]["schemas"]["Presence"]["properties"])
    );
    let live = marks.next().await;
    let mut retained = Subscriber::start(Version::V5, service.broker(), address("mark")).await;
    let mark = retained.next().await;
    assert_delivered_as_documented(&document, "keepMark", "mark", &mark);
    assert_eq!(document["components"]["messages"]["mark"]["contentType"], "text/plain");
    for message in [live, mark] {
        let cursor = String::from_utf8(message.payload).unwrap();
        cursor.parse::<Cursor>().expect("a cursor");
    }
    let last_will = &document["servers"]["broker"]["bindings"]["mqtt"]["lastWill"];
    assert_eq!(last_will["topic"], address("collection"));
    service.finish().await;
}
