use serde_json::json;

use crate::harness::Service;

#[tokio::test(flavor = "multi_thread")]
async fn the_value_of_a_sensor_that_stays_inactive_does_not_change_by_whatever_door() {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "value": 1, "status": "inactive"}))
        .await;
    let path = made.path();
    for patch in [
        json!({"value": 2}),
        json!({"value": null}),
        json!({"value": 2, "status": "inactive"}),
    ] {
        service.patch(&path, &patch).await.expect(409);
    }
    for body in [
        json!({"name": "s1", "value": 2, "status": "inactive"}),
        json!({"name": "s1", "status": "inactive"}),
    ] {
        service.put(&path, &body).await.expect(409);
        service.put("/sensors/s1", &body).await.expect(409);
    }
    assert_eq!(service.get(&path).await.etag(), made.etag());
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_sensor_takes_other_changes_and_the_same_value() {
    let service = Service::start().await;
    service
        .create(&json!({"name": "s1", "value": 1, "status": "inactive"}))
        .await;
    let patched = service
        .patch("/sensors/s1", &json!({"kind": "k", "value": 1}))
        .await
        .expect(200);
    assert_eq!(patched.revision(), 2);
    let replaced = service
        .put("/sensors/s1", &json!({"value": 1, "status": "inactive"}))
        .await
        .expect(200);
    assert_eq!(replaced.revision(), 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_status_may_bring_a_value() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1", "value": 1})).await;
    let off = service
        .patch("/sensors/s1", &json!({"status": "inactive", "value": 2}))
        .await
        .expect(200);
    assert_eq!(off.json()["value"], 2);
    let on = service
        .patch("/sensors/s1", &json!({"status": "active", "value": 3}))
        .await
        .expect(200);
    assert_eq!(on.json()["value"], 3);
    service.finish().await;
}
