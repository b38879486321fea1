//! The forms of a representation: JSON, HAL, XML and CSV.

use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

use crate::harness::{Answer, Service};

const HAL: &str = "application/hal+json";
const XML: &str = "application/xml";
const CSV: &str = "text/csv";

async fn read(service: &Service, path: &str, accept: &str) -> Answer {
    service.request("GET", path, &[("accept", accept)], "").await
}

/// A sensor with every member, and with all that a form could get wrong.
async fn everything(service: &Service) -> Answer {
    let body = json!({
        "name": "s1", "kind": "=HYPERLINK(\"x\")", "unit": "'", "value": "<b>&amp;\"quoted\", and  more ]]> é\u{2028}",
        "location": {"type": "Point", "coordinates": [12.4924, -41.8902, 7]},
        "metadata": {"a b": {"<": [1, "1", true, null, {}, [], ""]}, "link": "x", "name": "y", "xml": 1.50e-7, "_links": {}},
    });
    service.create(&body).await
}

/// The JSON that an element says.
fn json_of(element: Node) -> Value {
    let elements = || element.children().filter(Node::is_element);
    match element.attribute("type") {
        None => Value::from(element.text().unwrap_or_default()),
        Some("null") => Value::Null,
        Some("array") => elements().map(json_of).collect(),
        Some("object") => Value::Object(members_of(element)),
        Some(_) => serde_json::from_str(element.text().unwrap()).unwrap(),
    }
}

fn members_of(element: Node) -> Map<String, Value> {
    let elements = element.children().filter(Node::is_element);
    let member = |element: Node| {
        let name = element.attribute("name").unwrap_or(element.tag_name().name());
        (name.to_owned(), json_of(element))
    };
    elements.map(member).collect()
}

/// The JSON of a sensor or a page, whose links and items are elements of their own.
fn resource_of(element: Node) -> Value {
    let (mut links, mut items, mut members) = (Vec::new(), Vec::new(), Map::new());
    for child in element.children().filter(Node::is_element) {
        match child.tag_name().name() {
            "link" => links.push(
                child
                    .attributes()
                    .map(|a| (a.name().to_owned(), Value::from(a.value())))
                    .collect(),
            ),
            "sensor" => items.push(resource_of(child)),
            name => drop(members.insert(name.to_owned(), json_of(child))),
        }
    }
    members.insert("links".to_owned(), Value::Array(links));
    if element.tag_name().name() == "sensors" {
        members.insert("items".to_owned(), Value::Array(items));
    }
    Value::Object(members)
}

/// The JSON of a HAL document.
fn without_hal(mut hal: Value) -> Value {
    let members = hal.as_object_mut().unwrap();
    let mut links = Vec::new();
    for (relation, targets) in members.remove("_links").unwrap().as_object().unwrap() {
        let targets = targets.as_array().cloned().unwrap_or_else(|| vec![targets.clone()]);
        links.extend(targets.into_iter().map(|mut target| {
            target["rel"] = json!(relation);
            target
        }));
    }
    members.insert("links".to_owned(), Value::Array(links));
    if let Some(embedded) = members.remove("_embedded") {
        let items = embedded["item"].as_array().unwrap().iter().cloned().map(without_hal);
        members.insert("items".to_owned(), items.collect());
    }
    hal
}

/// With the links sorted, because HAL has them by relation.
fn sorted(mut json: Value) -> Value {
    for item in json["items"].as_array_mut().into_iter().flatten() {
        *item = sorted(item.take());
    }
    json["links"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    if json["items"].is_null() {
        json.as_object_mut().unwrap().remove("items");
    }
    json
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_and_hal_tell_the_same_facts_as_json() {
    let service = Service::start().await;
    let path = everything(&service).await.path();
    service.create(&json!({"name": "s2", "value": -5})).await;
    service
        .create(&json!({"name": "s3", "value": false, "status": "inactive"}))
        .await;
    for path in [
        path.as_str(),
        "/sensors/s2",
        "/sensors/s3",
        "/sensors",
        "/sensors?limit=1",
    ] {
        let json = sorted(read(&service, path, "application/json").await.expect(200).json());
        let xml = read(&service, path, XML).await.expect(200);
        assert_eq!(xml.header("content-type"), Some(XML));
        let document = Document::parse(xml.text()).unwrap();
        assert_eq!(sorted(resource_of(document.root_element())), json, "{}", xml.text());
        let hal = read(&service, path, HAL).await.expect(200);
        assert_eq!(hal.header("content-type"), Some(HAL));
        assert_eq!(sorted(without_hal(hal.json())), json, "{}", hal.text());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_has_a_header_row_and_a_row_a_sensor_and_no_formula() {
    let service = Service::start().await;
    let made = everything(&service).await.json();
    let second = service.create(&json!({"name": "s2", "value": -5})).await.json();
    let csv = read(&service, "/sensors", CSV).await.expect(200);
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    let mut rows = csv::Reader::from_reader(csv.body.as_ref());
    let header: Vec<String> = rows.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<Map<String, Value>> = rows
        .records()
        .map(|row| {
            header
                .iter()
                .cloned()
                .zip(row.unwrap().iter().map(Value::from))
                .collect()
        })
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["id"], made["id"]);
    assert_eq!(rows[0]["kind"], "'=HYPERLINK(\"x\")");
    assert_eq!(rows[0]["unit"], "''");
    assert_eq!(rows[0]["value"], made["value"]);
    let parsed = |cell: &Value| serde_json::from_str::<Value>(cell.as_str().unwrap()).unwrap();
    assert_eq!(parsed(&rows[0]["metadata"]), made["metadata"]);
    assert_eq!(parsed(&rows[0]["location"]), made["location"]);
    assert_eq!(rows[1]["value"], "-5");
    assert_eq!(rows[1]["kind"], "");
    assert_eq!(rows[1]["updated_at"], second["updated_at"]);
    assert!(csv.text().lines().next().unwrap().starts_with("id,name,kind"));
    for (query, named) in [("count=exact", "count"), ("fields=id,links", "fields")] {
        let path = format!("/sensors?{query}");
        let refused = read(&service, &path, CSV).await.expect(400);
        assert!(refused.problem().detail.contains(named), "{}", refused.text());
        read(&service, &path, XML).await.expect(200);
    }
    assert!(csv.text().ends_with("\r\n"));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_the_one_that_the_client_likes_best() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let json = "application/json";
    for (accept, sensor, list) in [
        ("*/*", json, json),
        ("application/*", json, json),
        ("application/json;q=0.5, application/xml", XML, XML),
        ("application/xml;q=0.5, application/json;q=0.6", json, json),
        ("application/xml;q=0.2, application/hal+json;q=0.3", HAL, HAL),
        ("APPLICATION/XML", XML, XML),
        ("application/json;q=0, */*;q=0.1", HAL, HAL),
        ("text/csv, application/json;q=0.1", json, CSV),
        ("text/csv;q=0.1, application/xml;q=0.2", XML, XML),
        ("application/xml, */*", XML, XML),
        // A browser, which shows JSON well.
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            json,
            json,
        ),
        ("text/html, application/xml;q=0.9", XML, XML),
    ] {
        for (path, expected) in [("/sensors/s1", sensor), ("/sensors", list)] {
            let answer = read(&service, path, accept).await.expect(200);
            let content_type = answer.header("content-type").unwrap();
            assert_eq!(content_type.split(';').next(), Some(expected), "{path} {accept}");
        }
    }
    for (path, accept) in [
        ("/sensors/s1", "text/csv"),
        ("/sensors/s1", "image/svg+xml"),
        ("/sensors", "text/xml"),
        ("/sensors", "application/json;q=0, application/*;q=0"),
        ("/sensors", "nonsense"),
    ] {
        let refused = read(&service, path, accept).await.expect(406);
        assert_eq!(
            refused.problem().document["type"]
                .as_str()
                .unwrap()
                .split('/')
                .next_back(),
            Some("not-acceptable")
        );
    }
    let offered = read(&service, "/sensors", "image/png")
        .await
        .expect(406)
        .problem()
        .detail;
    for form in [json, HAL, XML, CSV] {
        assert!(offered.contains(form), "{offered}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_has_a_tag_of_its_own_that_works_for_reading_and_writing() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    for (path, forms) in [
        (made.path(), vec![HAL, XML]),
        ("/sensors".to_owned(), vec![HAL, XML, CSV]),
    ] {
        let plain = service.get(&path).await.expect(200);
        assert_eq!(plain.header("vary"), Some("Accept, Accept-Encoding"));
        let mut tags = vec![plain.etag()];
        for form in forms {
            let answer = read(&service, &path, form).await.expect(200);
            assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
            let tag = answer.etag();
            assert!(!tags.contains(&tag), "{tag}");
            for method in ["GET", "HEAD"] {
                let headers = [("accept", form), ("if-none-match", tag.as_str())];
                let unchanged = service.request(method, &path, &headers, "").await.expect(304);
                assert_eq!(unchanged.etag(), tag);
                let other = [("accept", form), ("if-none-match", tags[0].as_str())];
                service.request(method, &path, &other, "").await.expect(200);
            }
            service
                .request("GET", &path, &[("if-none-match", tag.as_str())], "")
                .await
                .expect(200);
            service
                .request("GET", &path, &[("if-match", tag.as_str())], "")
                .await
                .expect(200);
            tags.push(tag);
        }
    }
    let xml = read(&service, "/sensors/s1", XML).await.expect(200).etag();
    let made_up = xml.replace("-xml", "-yaml");
    service
        .patch_if("/sensors/s1", ("if-match", &made_up), &json!({"kind": "k"}))
        .await
        .expect(412);
    service
        .patch_if("/sensors/s1", ("if-match", &xml), &json!({"kind": "k"}))
        .await
        .expect(200);
    service
        .patch_if("/sensors/s1", ("if-match", &xml), &json!({"kind": "l"}))
        .await
        .expect(412);
    let hal = read(&service, "/sensors/s1", HAL).await.expect(200).etag();
    service
        .put_if("/sensors/s1", ("if-none-match", &hal), &json!({}))
        .await
        .expect(412);
    service
        .request("DELETE", "/sensors/s1", &[("if-match", hal.as_str())], "")
        .await
        .expect(204);
    service.finish().await;
}
