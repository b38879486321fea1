use serde_json::json;

use crate::harness::{PUBLIC_URL, Service};

const ID: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";

#[tokio::test(flavor = "multi_thread")]
async fn put_by_id_creates_under_the_id_that_the_client_chose() {
    let service = Service::start().await;
    let path = format!("/sensors/{ID}");
    let made = service.put(&path, &json!({"name": "s1", "value": 1})).await.expect(201);
    assert_eq!(made.id(), ID);
    assert_eq!(made.header("location"), Some(format!("{PUBLIC_URL}{path}").as_str()));
    let read = service.get(&path).await.expect(200);
    assert_eq!((read.body.clone(), read.etag()), (made.body.clone(), made.etag()));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_by_name_creates_and_the_body_may_omit_the_name() {
    let service = Service::start().await;
    let made = service
        .put("/sensors/sensor2", &json!({"value": "237"}))
        .await
        .expect(201);
    assert_eq!(made.json()["name"], "sensor2");
    assert_eq!(made.json()["value"], "237");
    assert_eq!(
        made.header("location"),
        Some(format!("{PUBLIC_URL}{}", made.path()).as_str())
    );
    assert_eq!(service.get("/sensors/sensor2").await.body, made.body);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_replaces_all_writable_members() {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "kind": "temperature", "unit": "Cel", "value": 1,
            "status": "inactive", "metadata": {"room": "cellar"},
            "location": {"type": "Point", "coordinates": [1, 2]}}))
        .await;
    let replaced = service
        .put(&made.path(), &json!({"name": "s2", "value": 7}))
        .await
        .expect(200);
    let sensor = replaced.json();
    for gone in ["kind", "unit", "metadata", "location"] {
        assert!(sensor.get(gone).is_none(), "{gone}");
    }
    assert_eq!(sensor["name"], "s2");
    assert_eq!(sensor["value"], 7);
    assert_eq!(sensor["status"], "active");
    assert_eq!(sensor["id"], made.json()["id"]);
    assert_eq!(sensor["created_at"], made.json()["created_at"]);
    assert_eq!(service.get(&made.path()).await.body, replaced.body);
    service.get("/sensors/s1").await.expect(404);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_by_name_replaces_and_keeps_the_id() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1", "kind": "temperature"})).await;
    let replaced = service.put("/sensors/s1", &json!({"value": 1})).await.expect(200);
    assert_eq!(replaced.id(), made.id());
    assert!(replaced.json().get("kind").is_none());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_by_id_needs_a_name() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    for path in [made.path(), format!("/sensors/{ID}")] {
        let refused = service.put(&path, &json!({"value": 1})).await.expect(422);
        assert_eq!(refused.problem().pointers, ["/name"]);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_the_body_and_the_name_of_a_new_sensor_have_to_be_its_own() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let elsewhere = format!("/sensors/{ID}");
    for (path, body) in [
        (made.path().as_str(), json!({"name": "s1", "id": ID})),
        ("/sensors/s1", json!({"id": ID})),
        (&elsewhere, json!({"name": "s2", "id": made.id()})),
        ("/sensors/s2", json!({"id": ID})),
    ] {
        let refused = service.put(path, &body).await.expect(422);
        assert_eq!(refused.problem().pointers, ["/id"], "{path}");
    }
    // Who means to rename a sensor that is gone is told so.
    let renamed = service.put("/sensors/s2", &json!({"name": "s3"})).await.expect(422);
    assert_eq!(renamed.problem().pointers, ["/name"]);
    assert_eq!(service.store_revision().await, 1);
    service
        .put(&elsewhere, &json!({"name": "s2", "id": ID}))
        .await
        .expect(201);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_body_sent_back_with_put_changes_nothing() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let made = service
        .create(
            &json!({"name": "s1", "value": 21.5, "kind": "temperature", "metadata": {"a": [1, 2.5]},
            "location": {"type": "Point", "coordinates": [12.4924, 41.8902, 3]}}),
        )
        .await;
    let read = service.get(&made.path()).await;
    for path in [made.path().as_str(), "/sensors/s1"] {
        let answer = service.put(path, &read.json()).await.expect(200);
        assert_eq!(answer.etag(), made.etag());
        assert_eq!(answer.body, made.body);
    }
    service.patch("/sensors/s1", &json!({"value": 2})).await.expect(200);
    assert_eq!(subscriber.next_event().await.revision, 1);
    assert_eq!(subscriber.next_event().await.revision, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_to_a_name_that_another_sensor_has_is_a_conflict_with_a_link_to_it() {
    let service = Service::start().await;
    let holder = service.create(&json!({"name": "s1"})).await;
    let other = service.create(&json!({"name": "s2"})).await;
    for path in [other.path(), "/sensors/s2".to_owned(), format!("/sensors/{ID}")] {
        let refused = service.put(&path, &json!({"name": "s1"})).await.expect(409);
        assert!(
            refused.links_to(&format!("{PUBLIC_URL}{}", holder.path())),
            "{}",
            refused.text()
        );
    }
    assert_eq!(service.store_revision().await, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_delete_create_under_one_uuid_goes_on_counting() {
    let service = Service::start().await;
    let path = format!("/sensors/{ID}");
    for round in 0..4 {
        let made = service.put(&path, &json!({"name": "s1"})).await.expect(201);
        assert_eq!(made.revision(), 2 * round + 1);
        service.delete(&path).await.expect(204);
        service.get(&path).await.expect(404);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_value_can_be_put_as_number_boolean_or_text() {
    let service = Service::start().await;
    for value in [json!(0), json!(-1.5e-9), json!(true), json!("237"), json!("")] {
        let answer = service.put("/sensors/s1", &json!({"value": value})).await;
        assert!(answer.status < 300, "{}", answer.text());
        assert_eq!(service.get("/sensors/s1").await.json()["value"], value);
    }
    service.finish().await;
}

/// 972790.3412264365 is a number that a reader which rounds carelessly takes for its neighbour.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_sixteen_digits_is_what_it_was_sent_as() {
    const NUMBER: &str = "972790.3412264365";
    let service = Service::start().await;
    let headers = [("content-type", "application/json")];
    let body = format!("{{\"value\":{NUMBER}}}");
    let answer = service.request("PUT", "/sensors/s1", &headers, body).await.expect(201);
    assert!(
        answer.text().contains(&format!("\"value\":{NUMBER},")),
        "{}",
        answer.text()
    );
    service.patch("/sensors/s1", &json!({"unit": "Cel"})).await.expect(200);
    let read = service.get("/sensors/s1").await;
    assert!(read.text().contains(&format!("\"value\":{NUMBER},")), "{}", read.text());
    service.finish().await;
}
