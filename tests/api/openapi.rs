use std::collections::HashSet;
use std::fs;

use sensorcast::http::Terms;
use sensorcast::wire::link::LinkBase;
use serde_json::Value;

use crate::harness::{Service, link};

const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// Every operation below `items` (paths or webhooks): `GET /sensors`, and what the document says of it.
fn operations(items: &Value) -> Vec<(String, &Value)> {
    let items = items.as_object().expect("paths");
    let of_path = |(path, item): (&String, &'static str)| format!("{} {path}", item.to_uppercase());
    let all = items.iter().flat_map(|(path, item)| {
        let methods = METHODS.into_iter().filter(|method| item.get(method).is_some());
        methods.map(move |method| (of_path((path, method)), &item[method]))
    });
    all.collect()
}

async fn document(service: &Service) -> Value {
    service.get("/openapi.json").await.expect(200).json()
}

#[test]
fn the_committed_document_is_what_the_binary_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.yaml");
    let committed = fs::read_to_string(path).unwrap();
    let links = LinkBase::new("http://localhost:8000", "mqtt://localhost:1883", "");
    let terms = Terms {
        qos: 1,
        retain_state: false,
        require_if_match: false,
    };
    let printed = sensorcast::http::openapi_yaml(&links, terms).unwrap();
    assert!(
        committed.trim_end() == printed.trim_end(),
        "openapi/openapi.yaml is stale: run make openapi and commit it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_licences_is_not_called_one_licence() {
    let service = Service::start().await;
    let told = document(&service).await;
    let shown = service.get("/docs/rest/openapi.json").await.expect(200).json();
    let name = serde_json::json!("MIT OR Apache-2.0");
    assert_eq!(
        told["info"]["license"],
        serde_json::json!({"name": name, "identifier": name})
    );
    // Swagger UI makes a link of an identifier, and there is no page of an expression.
    assert_eq!(shown["info"]["license"], serde_json::json!({"name": name}));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_that_nobody_has_to_log_in() {
    let service = Service::start().await;
    let document = document(&service).await;
    assert_eq!(document["security"], serde_json::json!([]));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_what_it_does_under_an_id_of_its_own() {
    let service = Service::start().await;
    let document = document(&service).await;
    let mut all = operations(&document["paths"]);
    assert!(all.len() > 25, "{}", all.len());
    all.extend(operations(&document["webhooks"]));
    let mut ids = HashSet::new();
    for (name, operation) in all {
        for member in ["operationId", "summary", "description"] {
            let text = operation[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name}: {member}");
        }
        assert!(
            ids.insert(operation["operationId"].to_string()),
            "{name}: its id is taken"
        );
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_the_defaults_of_the_document_gets_what_they_get_without() {
    let service = Service::start().await;
    let sensor = serde_json::json!({"name": "boiler-temp", "value": 21.5});
    service.post(&sensor).await.expect(201);
    let document = document(&service).await;
    for (name, operation) in operations(&document["paths"]) {
        let Some(path) = name.strip_prefix("GET ") else {
            continue;
        };
        let path = path.replace("{sensor}", "boiler-temp").replace("{slug}", "name-taken");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let defaults = parameters.filter_map(|parameter| {
            let default = parameter["schema"].get("default")?;
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            Some(format!("{}={default}", parameter["name"].as_str()?))
        });
        let query = defaults.collect::<Vec<_>>().join("&");
        service.get(&format!("{path}?{query}")).await.expect(200);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_lists_what_any_request_can_be_refused_with() {
    let service = Service::start().await;
    let document = document(&service).await;
    let (long, large) = ("x".repeat(9_000), "x".repeat(70_000));
    let header = "x".repeat(33_000);
    for (name, operation) in operations(&document["paths"]) {
        let (method, path) = name.split_once(' ').unwrap();
        let path = path.replace("{sensor}", "nobody").replace("{slug}", "name-taken");
        let too_long = format!("{path}?{long}");
        let answers = [
            service.request(method, &too_long, &[], "").await.expect(414),
            service.request(method, &path, &[("x", &header)], "").await.expect(431),
            service
                .request(method, &path, &[("expect", "a miracle")], "")
                .await
                .expect(417),
            service.request(method, &path, &[], large.clone()).await,
        ];
        for answer in answers {
            let status = answer.status.to_string();
            assert!(operation["responses"].get(&status).is_some(), "{name}: {status}");
        }
    }
    service.finish().await;
}

/// The names of the schemas that `schema` refers to.
fn references(schema: &Value) -> Vec<&str> {
    match schema {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|reference| reference.strip_prefix("#/components/schemas/"));
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_schema_contains_itself_which_generators_of_clients_leave_out() {
    let service = Service::start().await;
    let document = document(&service).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.len() > 20, "{}", schemas.len());
    for name in schemas.keys() {
        let (mut found, mut next) = (HashSet::new(), references(&schemas[name]));
        while let Some(reference) = next.pop() {
            assert_ne!(reference, name, "a schema that contains itself");
            if found.insert(reference) {
                next.extend(references(&schemas[reference]));
            }
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_changes_a_sensor_says_which_event_it_publishes_where() {
    let service = Service::start().await;
    let document = document(&service).await;
    let published = [
        ("POST /sensors", &["created"][..]),
        ("PUT /sensors/{sensor}", &["created", "modified"]),
        ("PATCH /sensors/{sensor}", &["modified"]),
        ("DELETE /sensors/{sensor}", &["deleted"]),
        ("PUT /sensors/{sensor}/value", &["modified"]),
    ];
    for (name, operation) in operations(&document["paths"]) {
        let description = operation["description"].as_str().unwrap_or_default();
        let events = published.iter().find(|(changing, _)| *changing == name);
        let events = events.map_or(&[][..], |(_, events)| *events);
        for event in ["created", "modified", "deleted"] {
            let says_so = description.contains(&format!("`{event}`")) && description.contains("`sensors/{id}`");
            assert_eq!(says_so, events.contains(&event), "{name}: {event}");
        }
    }
    for event in ["created", "modified", "deleted"] {
        let webhook = &document["webhooks"][event]["post"];
        assert_eq!(
            webhook["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/Event"
        );
        assert!(webhook["description"].as_str().unwrap().contains("`sensors/{id}`"));
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_problem_is_listed_and_has_a_page_with_what_happened_a_remedy_and_an_example() {
    let service = Service::start().await;
    let document = document(&service).await;
    let examples = document["components"]["examples"].as_object().unwrap();
    assert!(examples.len() >= 20, "{}", examples.len());
    let index = service.get("/problems").await.expect(200);
    for (slug, example) in examples.iter().filter(|(name, _)| *name != "sensor") {
        let example = &example["value"];
        let url = example["type"].as_str().unwrap();
        assert!(url.ends_with(&format!("/problems/{slug}")), "{url}");
        let page = service.follow(url).await.expect(200);
        let entry = format!("<a href=\"problems/{slug}\">{}</a>", example["title"].as_str().unwrap());
        assert!(index.text().contains(&entry), "{entry}: {}", index.text());
        for heading in ["What happened", "How to fix it", "For example"] {
            assert!(
                page.text().contains(&format!("<h2>{heading}</h2>")),
                "{slug}: {heading}"
            );
        }
        // RFC 9110 has newer names for two.
        for (status, line) in [(413, "413 Content Too Large"), (422, "422 Unprocessable Content")] {
            assert!(
                example["status"] != status || page.text().contains(line),
                "{slug}: {line}"
            );
        }
        let title = example["title"].as_str().unwrap();
        let text = page.text().replace("&quot;", "\"");
        assert!(text.contains(&format!("\"title\": \"{title}\"")), "{slug}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_answers_lead_to_this_service_and_its_broker() {
    let service = Service::start().await;
    let mut document = document(&service).await;
    let monitor = link(&document["components"]["examples"]["sensor"]["value"], "monitor").unwrap();
    assert!(monitor.starts_with("mqtt://broker.example:1883/"), "{monitor}");
    // What stands in a schema is an example of any service.
    document["components"]["schemas"].take();
    assert!(!document.to_string().contains("localhost"));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_looks_like_the_example_of_its_kind() {
    let service = Service::start().await;
    let document = document(&service).await;
    let refusal = service
        .post(&serde_json::json!({"name": "a", "value": []}))
        .await
        .expect(422);
    let answer = refusal.problem().document.clone();
    let example = &document["components"]["examples"]["invalid-sensor"]["value"];
    assert_eq!(&answer, example);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_about_sensors_that_succeeds_has_an_example_of_its_body() {
    let service = Service::start().await;
    let document = document(&service).await;
    let shown = |content: &Value| content.get("example").is_some() || content.get("examples").is_some();
    let paths = operations(&document["paths"]);
    let told = |operation: &Value| ["sensors", "events"].contains(&operation["tags"][0].as_str().unwrap());
    for (name, operation) in paths.into_iter().filter(|(_, operation)| told(operation)) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let contents = response["content"].as_object().into_iter().flatten();
            for (media_type, content) in contents.filter(|_| status.starts_with('2')) {
                assert!(shown(content), "{name} {status} {media_type}");
            }
        }
    }
    let sensor = &document["components"]["examples"]["sensor"]["value"];
    for member in ["id", "name", "value", "location", "metadata", "revision", "links"] {
        assert!(!sensor[member].is_null(), "{member}");
    }
    service.finish().await;
}
