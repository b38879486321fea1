use serde_json::json;

use crate::harness::{PUBLIC_URL, Service};

#[tokio::test(flavor = "multi_thread")]
async fn post_answers_201_with_location_etag_and_the_body_that_get_gives() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "boiler-temp", "value": 21.5})).await;
    let canonical = format!("{PUBLIC_URL}{}", made.path());
    assert_eq!(made.header("location"), Some(canonical.as_str()));
    let read = service.get(&made.path()).await.expect(200);
    assert_eq!(read.body, made.body);
    assert_eq!(read.etag(), made.etag());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sensor_has_an_id_of_version_7_and_the_members_that_were_sent() {
    let service = Service::start().await;
    let sent = json!({
        "name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 21.5,
        "measured_at": "2026-11-22T11:00:00.000Z", "status": "active",
        "location": {"type": "Point", "coordinates": [12.4924, 41.8902]},
        "metadata": {"room": "cellar", "owner": "facility", "nested": {"list": [1, null, "x"]}}
    });
    let made = service.create(&sent).await;
    let sensor = made.json();
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&sensor[name], value, "{name}");
    }
    let id: uuid::Uuid = made.id().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(sensor["created_at"], sensor["updated_at"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unset_member_is_omitted_and_null_at_post_is_the_same_as_absent() {
    let service = Service::start().await;
    let nulls = json!({"name": "s1", "value": null, "kind": null, "unit": null, "location": null,
        "metadata": null, "measured_at": null});
    let sensor = service.create(&nulls).await.json();
    let mut names: Vec<_> = sensor.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["created_at", "id", "links", "name", "revision", "status", "updated_at"]
    );
    assert_eq!(sensor["status"], "active");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_count_every_change_of_the_store_from_1() {
    let service = Service::start().await;
    assert_eq!(service.store_revision().await, 0);
    assert_eq!(service.create(&json!({"name": "s1"})).await.revision(), 1);
    assert_eq!(service.create(&json!({"name": "s2"})).await.revision(), 2);
    assert_eq!(
        service
            .patch("/sensors/s1", &json!({"value": 1}))
            .await
            .expect(200)
            .revision(),
        3
    );
    assert_eq!(service.store_revision().await, 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_a_conflict_with_a_link_to_the_holder() {
    let service = Service::start().await;
    let holder = service.create(&json!({"name": "s1"})).await;
    let refused = service.post(&json!({"name": "s1"})).await.expect(409);
    assert!(
        refused.links_to(&format!("{PUBLIC_URL}{}", holder.path())),
        "{}",
        refused.text()
    );
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instants_are_utc_with_milliseconds() {
    let service = Service::start().await;
    let sensor = service
        .create(&json!({"name": "s1", "measured_at": "2026-11-22T13:00:00+02:00"}))
        .await
        .json();
    assert_eq!(sensor["measured_at"], "2026-11-22T11:00:00.000Z");
    for name in ["created_at", "updated_at"] {
        let instant = sensor[name].as_str().unwrap();
        assert_eq!(instant.len(), "2026-11-22T11:00:00.000Z".len(), "{instant}");
        assert!(instant.ends_with('Z') && instant.as_bytes()[19] == b'.', "{instant}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_delete_create_under_one_name_goes_on_counting_and_repeats_no_tag() {
    let service = Service::start().await;
    let mut tags = Vec::new();
    for round in 0..5 {
        let made = service.create(&json!({"name": "s1"})).await;
        assert_eq!(made.revision(), 2 * round + 1);
        tags.push(made.etag());
        service.delete("/sensors/s1").await.expect(204);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_64_kib_is_taken_and_one_more_byte_is_too_much() {
    let service = Service::start().await;
    let json = [("content-type", "application/json")];
    for (length, status) in [(64 * 1024 + 1, 413), (64 * 1024, 201)] {
        let sensor = r#"{"name":"s1"}"#;
        let body = sensor.to_owned() + &" ".repeat(length - sensor.len());
        service.request("POST", "/sensors", &json, body).await.expect(status);
    }
    service.finish().await;
}
