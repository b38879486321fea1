use serde_json::json;

use crate::harness::Service;

#[tokio::test(flavor = "multi_thread")]
async fn delete_answers_204_by_id_and_by_name_and_then_404() {
    let service = Service::start().await;
    let first = service.create(&json!({"name": "s1"})).await.path();
    service.create(&json!({"name": "s2"})).await;
    for path in [first.as_str(), "/sensors/s2"] {
        service.delete(path).await.expect(204);
        service.get(path).await.expect(404);
        service.delete(path).await.expect(404);
    }
    assert_eq!(service.store_revision().await, 4);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_is_deleted_while_others_patch_it_ends_deleted() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let patches = (0..20).map(|number| {
        let (http, path) = ((*service).clone(), made.path());
        tokio::spawn(async move { http.patch(&path, &json!({"value": number})).await.status })
    });
    let patches: Vec<_> = patches.collect();
    service.delete(&made.path()).await.expect(204);
    let mut changes = 2;
    for patch in patches {
        let status = patch.await.unwrap();
        assert!(status == 200 || status == 404, "{status}");
        changes += i64::from(status == 200);
    }
    service.get(&made.path()).await.expect(404);
    assert_eq!(service.store_revision().await, changes);
    service.finish().await;
}
