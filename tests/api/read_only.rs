use serde_json::json;

use crate::harness::Service;

const ID: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
const OTHER: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e91";

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_the_server_are_refused_in_post_and_patch() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let sensor = made.json();
    for member in ["revision", "created_at", "updated_at", "links"] {
        let mut body = json!({});
        for value in [sensor[member].clone(), json!(null), json!("x")] {
            body[member] = value;
            let patched = service.patch("/sensors/s1", &body).await.expect(422);
            assert_eq!(patched.problem().pointers, [format!("/{member}")]);
            let mut new = body.clone();
            new["name"] = json!("s2");
            let posted = service.post(&new).await.expect(422);
            assert_eq!(posted.problem().pointers, [format!("/{member}")]);
        }
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_the_server_are_ignored_in_put() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let body = json!({"name": "s1", "value": 1, "revision": 99, "created_at": "1999-01-01T00:00:00Z",
        "updated_at": "nonsense", "links": {"any": "thing"}});
    let put = service.put(&made.path(), &body).await.expect(200).json();
    assert_eq!(put["revision"], 2);
    assert_eq!(put["created_at"], made.json()["created_at"]);
    assert_eq!(service.get("/sensors/s1").await.json(), put);
    service
        .put("/sensors/s2", &json!({"revision": 1, "links": []}))
        .await
        .expect(201);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_a_put_body_must_be_the_sensors_own_and_elsewhere_it_is_refused() {
    let service = Service::start().await;
    let path = format!("/sensors/{ID}");
    service.put(&path, &json!({"id": ID, "name": "s1"})).await.expect(201);
    service
        .put(&path, &json!({"id": ID, "name": "s1", "value": 1}))
        .await
        .expect(200);
    service
        .put("/sensors/s1", &json!({"id": ID, "value": 2}))
        .await
        .expect(200);
    for (path, id) in [
        (path.as_str(), json!(OTHER)),
        ("/sensors/s1", json!(OTHER)),
        (&path, json!("x")),
        (&path, json!(5)),
    ] {
        let refused = service.put(path, &json!({"id": id, "name": "s1"})).await.expect(422);
        assert_eq!(refused.problem().pointers, ["/id"], "{path} {id}");
    }
    let posted = service.post(&json!({"id": OTHER, "name": "s2"})).await.expect(422);
    assert_eq!(posted.problem().pointers, ["/id"]);
    let patched = service.patch("/sensors/s1", &json!({"id": ID})).await.expect(422);
    assert_eq!(patched.problem().pointers, ["/id"]);
    let made = service.put("/sensors/s3", &json!({"id": OTHER})).await;
    assert_eq!(made.expect(422).problem().pointers, ["/id"]);
    assert_eq!(service.store_revision().await, 3);
    service.finish().await;
}
