use serde_json::{Value, json};

use crate::harness::Service;

const GIVEN: &str = "2001-02-03T04:05:06.789Z";

#[track_caller]
fn assert_is_now(sensor: &Value) {
    assert_eq!(sensor["measured_at"], sensor["updated_at"], "{sensor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_measured_at_was_measured_now() {
    let service = Service::start().await;
    assert_is_now(&service.create(&json!({"name": "s1", "value": 1})).await.json());
    service
        .patch("/sensors/s1", &json!({"measured_at": GIVEN}))
        .await
        .expect(200);
    assert_is_now(
        &service
            .patch("/sensors/s1", &json!({"value": 2}))
            .await
            .expect(200)
            .json(),
    );
    service
        .patch("/sensors/s1", &json!({"measured_at": GIVEN}))
        .await
        .expect(200);
    assert_is_now(
        &service
            .put("/sensors/s1", &json!({"value": 3}))
            .await
            .expect(200)
            .json(),
    );
    assert_is_now(
        &service
            .put("/sensors/s2", &json!({"value": 3}))
            .await
            .expect(201)
            .json(),
    );
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_value_there_is_no_measured_at() {
    let service = Service::start().await;
    let sensor = service.create(&json!({"name": "s1"})).await.json();
    assert!(sensor.get("measured_at").is_none(), "{sensor}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measured_at_is_kept_while_the_value_does_not_change() {
    let service = Service::start().await;
    let first = service
        .create(&json!({"name": "s1", "value": 1, "measured_at": GIVEN}))
        .await
        .json();
    assert_eq!(first["measured_at"], GIVEN);
    let patched = service
        .patch("/sensors/s1", &json!({"kind": "k"}))
        .await
        .expect(200)
        .json();
    assert_eq!(patched["measured_at"], GIVEN);
    let same = service
        .patch("/sensors/s1", &json!({"value": 1.0}))
        .await
        .expect(200)
        .json();
    assert_eq!((&same["measured_at"], &same["revision"]), (&json!(GIVEN), &json!(2)));
    let replaced = service
        .put("/sensors/s1", &json!({"value": 1}))
        .await
        .expect(200)
        .json();
    assert_eq!(replaced["measured_at"], GIVEN);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_measured_at_goes_with_a_new_value() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1", "value": 1})).await;
    let change = json!({"value": 2, "measured_at": GIVEN});
    let sensor = service.patch("/sensors/s1", &change).await.expect(200).json();
    assert_eq!(sensor["measured_at"], GIVEN);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_patch_removes_measured_at_unless_the_value_changes() {
    let service = Service::start().await;
    service
        .create(&json!({"name": "s1", "value": 1, "measured_at": GIVEN}))
        .await;
    let removed = service.patch("/sensors/s1", &json!({"measured_at": null})).await;
    let sensor = removed.expect(200).json();
    assert!(sensor.get("measured_at").is_none(), "{sensor}");
    let changed = json!({"value": 2, "measured_at": null});
    assert_is_now(&service.patch("/sensors/s1", &changed).await.expect(200).json());
    service.finish().await;
}
