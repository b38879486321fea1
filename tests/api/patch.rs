use serde_json::json;

use crate::harness::{MERGE_PATCH, PUBLIC_URL, Service};

#[tokio::test(flavor = "multi_thread")]
async fn patch_merges_and_answers_with_the_body_that_get_gives() {
    let service = Service::start().await;
    service
        .create(&json!({"name": "s1", "kind": "temperature", "metadata": {"a": 1, "b": 2}}))
        .await;
    let patch = json!({"value": 3, "metadata": {"a": null, "c": [1]}});
    let patched = service.patch("/sensors/s1", &patch).await.expect(200);
    let sensor = patched.json();
    assert_eq!(sensor["value"], 3);
    assert_eq!(sensor["kind"], "temperature");
    assert_eq!(sensor["metadata"], json!({"b": 2, "c": [1]}));
    let read = service.get(&patched.path()).await;
    assert_eq!((read.body.clone(), read.etag()), (patched.body.clone(), patched.etag()));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_removes_an_optional_member_and_an_array_replaces() {
    let service = Service::start().await;
    service
        .create(
            &json!({"name": "s1", "kind": "k", "unit": "Cel", "value": 1, "metadata": {"list": [1, 2, 3]},
            "location": {"type": "Point", "coordinates": [1, 2, 3]}}),
        )
        .await;
    let patch = json!({"kind": null, "unit": null, "value": null, "metadata": {"list": [4]},
        "location": {"coordinates": [5, 6]}});
    let sensor = service.patch("/sensors/s1", &patch).await.expect(200).json();
    for gone in ["kind", "unit", "value"] {
        assert!(sensor.get(gone).is_none(), "{gone}");
    }
    assert_eq!(sensor["metadata"], json!({"list": [4]}));
    assert_eq!(sensor["location"], json!({"type": "Point", "coordinates": [5, 6]}));
    // One with `null` would vanish in the merge; it is refused as any other.
    let unknown = json!({"location": {"bbox": null, "crs": 1}});
    let refused = service.patch("/sensors/s1", &unknown).await.expect(422);
    assert_eq!(refused.problem().pointers, ["/location/bbox", "/location/crs"]);
    let bare = json!({"location": null, "metadata": null});
    let sensor = service.patch("/sensors/s1", &bare).await.expect(200).json();
    assert!(sensor.get("location").is_none() && sensor.get("metadata").is_none());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_for_the_name_is_refused_and_a_new_name_is_taken() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let refused = service.patch("/sensors/s1", &json!({"name": null})).await.expect(422);
    assert_eq!(refused.problem().pointers, ["/name"]);
    service.patch("/sensors/s1", &json!({"name": "s2"})).await.expect(200);
    service.get("/sensors/s1").await.expect(404);
    assert_eq!(service.get("/sensors/s2").await.id(), made.id());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_patch_and_one_of_equal_values_change_nothing() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let made = service
        .create(&json!({"name": "s1", "value": 21, "metadata": {"a": 1}}))
        .await;
    let same = [
        json!({}),
        json!({"value": 21}),
        json!({"value": 21.0, "kind": null, "status": "active"}),
        json!({"metadata": {"a": 1, "b": null}}),
    ];
    for patch in same {
        let answer = service.patch("/sensors/s1", &patch).await.expect(200);
        assert_eq!(
            (answer.etag(), answer.body.clone()),
            (made.etag(), made.body.clone()),
            "{patch}"
        );
    }
    service.delete("/sensors/s1").await.expect(204);
    assert_eq!(subscriber.next_event().await.kind, "created");
    assert_eq!(subscriber.next_event().await.kind, "deleted");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn application_json_is_taken_as_a_merge_patch() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1", "kind": "k"})).await;
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=US-ASCII",
        "application/json ; charset=utf-8",
        "application/json ;;charset=\"utf-8\" ;",
        "Application/Merge-Patch+JSON",
    ] {
        let headers = [("content-type", content_type)];
        let body = json!({"kind": content_type}).to_string();
        let answer = service
            .request("PATCH", "/sensors/s1", &headers, body)
            .await
            .expect(200);
        assert_eq!(answer.json()["kind"], content_type);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_media_type_is_415_and_names_the_ones_that_are_taken() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for content_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "nonsense",
    ] {
        let headers = [("content-type", content_type)];
        let refused = service
            .request("PATCH", "/sensors/s1", &headers, "{}")
            .await
            .expect(415);
        let accepted = refused.header("accept-patch").unwrap_or_default();
        assert!(accepted.contains(MERGE_PATCH), "{content_type}: {accepted}");
        let refused = service
            .request("POST", "/sensors", &headers, r#"{"name":"s2"}"#)
            .await
            .expect(415);
        let accepted = refused.header("accept-post").unwrap_or_default();
        assert!(accepted.contains("application/json"), "{content_type}: {accepted}");
        service.request("PUT", "/sensors/s1", &headers, "{}").await.expect(415);
    }
    let identity = [("content-type", "application/json"), ("content-encoding", "Identity")];
    service
        .request("PATCH", "/sensors/s1", &identity, "{}")
        .await
        .expect(200);
    let encoded = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let refused = service
        .request("PATCH", "/sensors/s1", &encoded, "{}")
        .await
        .expect(415);
    assert_eq!(refused.header("accept-encoding"), Some("identity"));
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_to_a_name_that_is_taken_is_a_conflict_with_a_link_to_the_holder() {
    let service = Service::start().await;
    let holder = service.create(&json!({"name": "s1"})).await;
    service.create(&json!({"name": "s2"})).await;
    let refused = service
        .patch("/sensors/s2", &json!({"name": "s1", "value": 1}))
        .await
        .expect(409);
    assert!(
        refused.links_to(&format!("{PUBLIC_URL}{}", holder.path())),
        "{}",
        refused.text()
    );
    assert_eq!(service.store_revision().await, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_nothing_is_404() {
    let service = Service::start().await;
    service.patch("/sensors/nobody", &json!({"value": 1})).await.expect(404);
    service
        .patch("/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90", &json!({}))
        .await
        .expect(404);
    assert_eq!(service.store_revision().await, 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_large_patch_wrote_is_what_the_next_one_changes() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1", "value": 1})).await;
    let text = "x".repeat(8_000);
    let large = json!({"metadata": {"text": text}});
    service.patch("/sensors/s1", &large).await.expect(200);
    let sensor = service
        .patch("/sensors/s1", &json!({"value": 2}))
        .await
        .expect(200)
        .json();
    assert_eq!((&sensor["value"], &sensor["metadata"]), (&json!(2), &large["metadata"]));
    let small = json!({"metadata": null, "value": 3});
    service.patch("/sensors/s1", &small).await.expect(200);
    let sensor = service
        .patch("/sensors/s1", &json!({"unit": "Cel"}))
        .await
        .expect(200)
        .json();
    assert_eq!((&sensor["value"], sensor.get("metadata")), (&json!(3), None));
    assert_eq!(service.get("/sensors/s1").await.json(), sensor);
    service.finish().await;
}
