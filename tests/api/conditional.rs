use serde_json::json;

use crate::harness::{Answer, PUBLIC_URL, Service};

const IF_MATCH: &str = "if-match";
const IF_NONE_MATCH: &str = "if-none-match";

async fn write(service: &Service, verb: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = headers.to_vec();
    all.push(("content-type", "application/json"));
    let body = match verb {
        "DELETE" => String::new(),
        "PUT" => json!({"name": "s1", "value": verb}).to_string(),
        _ => json!({"value": verb}).to_string(),
    };
    service.request(verb, path, &all, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_lets_a_write_through_only_with_the_current_strong_tag() {
    let service = Service::start().await;
    for verb in ["PUT", "PATCH", "DELETE"] {
        let stale = service.create(&json!({"name": "s1"})).await.etag();
        let current = service.patch("/sensors/s1", &json!({"kind": "k"})).await.expect(200);
        let path = current.path();
        let tag = current.etag();
        let bare = tag.trim_matches('"').to_owned();
        let revision = current.revision();
        let other_epoch = format!("\"aaaaaaaa.{revision}\"");
        let weak = format!("W/{tag}");
        let future = tag.replace(&format!(".{revision}\""), &format!(".{}\"", revision + 1));
        let leading_zero = tag.replace(&format!(".{revision}\""), &format!(".0{revision}\""));
        let list_without = format!("{stale}, \"x\", {other_epoch}");
        let half_open = format!("\"{bare}");
        let rows = [
            stale.as_str(),
            &weak,
            &bare,
            "",
            "\"\"",
            "garbage",
            "\"garbage\"",
            &other_epoch,
            &future,
            &leading_zero,
            &list_without,
            &half_open,
            ",",
            "\"*\"",
        ];
        for condition in rows {
            let refused = write(&service, verb, &path, &[(IF_MATCH, condition)]).await;
            assert_eq!(refused.status, 412, "{verb} If-Match: {condition}");
            assert_eq!(refused.etag(), tag, "the 412 carries the current tag");
            assert!(refused.links_to(&format!("{PUBLIC_URL}{path}")), "{}", refused.text());
        }
        assert_eq!(service.get(&path).await.etag(), tag);
        let before = service.store_revision().await;
        let list_with = format!("\"x\", {stale} , {tag}");
        let accepted = write(&service, verb, &path, &[(IF_MATCH, &list_with)]).await;
        assert!(accepted.status < 300, "{verb}: {}", accepted.text());
        assert_eq!(service.store_revision().await, before + 1);
        service.delete("/sensors/s1").await;
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_on_two_lines_is_one_list() {
    let service = Service::start().await;
    let tag = service.create(&json!({"name": "s1"})).await.etag();
    let lines = [(IF_MATCH, "\"x\""), (IF_MATCH, tag.as_str())];
    write(&service, "PATCH", "/sensors/s1", &lines).await.expect(200);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_lets_a_write_on_something_through_and_on_nothing_not() {
    let service = Service::start().await;
    let star = [(IF_MATCH, "*")];
    let path = "/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
    for path in [path, "/sensors/s1"] {
        write(&service, "PUT", path, &star).await.expect(412);
        write(&service, "PATCH", path, &star).await.expect(404);
        write(&service, "DELETE", path, &star).await.expect(404);
    }
    assert_eq!(service.store_revision().await, 0);
    service.create(&json!({"name": "s1"})).await;
    write(&service, "PUT", "/sensors/s1", &star).await.expect(200);
    write(&service, "PATCH", "/sensors/s1", &star).await.expect(200);
    write(&service, "DELETE", "/sensors/s1", &star).await.expect(204);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_on_nothing_is_412_for_put_and_404_for_patch_and_delete() {
    let service = Service::start().await;
    let tag = service.create(&json!({"name": "gone"})).await.etag();
    service.delete("/sensors/gone").await.expect(204);
    let condition = [(IF_MATCH, tag.as_str())];
    write(&service, "PUT", "/sensors/gone", &condition).await.expect(412);
    write(&service, "PATCH", "/sensors/gone", &condition).await.expect(404);
    write(&service, "DELETE", "/sensors/gone", &condition).await.expect(404);
    assert_eq!(service.store_revision().await, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_star_on_put_creates_and_never_replaces() {
    let service = Service::start().await;
    let star = [(IF_NONE_MATCH, "*")];
    let made = write(&service, "PUT", "/sensors/s1", &star).await.expect(201);
    for path in ["/sensors/s1".to_owned(), made.path()] {
        let refused = write(&service, "PUT", &path, &star).await.expect(412);
        assert_eq!(refused.etag(), made.etag());
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_next_to_if_match_is_ignored() {
    let service = Service::start().await;
    let tag = service.create(&json!({"name": "s1"})).await.etag();
    let headers = [
        (IF_MATCH, tag.as_str()),
        ("if-unmodified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ];
    write(&service, "PATCH", "/sensors/s1", &headers).await.expect(200);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_require_if_match_a_write_on_an_existing_sensor_without_one_is_428() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    let made = write(&service, "PUT", "/sensors/s1", &[]).await.expect(201);
    for path in ["/sensors/s1".to_owned(), made.path()] {
        for verb in ["PUT", "PATCH", "DELETE"] {
            write(&service, verb, &path, &[]).await.expect(428);
        }
    }
    assert_eq!(service.get("/sensors/s1").await.etag(), made.etag());
    let star = [(IF_MATCH, "*")];
    let patched = write(&service, "PATCH", "/sensors/s1", &star).await.expect(200);
    let stale = made.etag();
    write(&service, "PATCH", "/sensors/s1", &[(IF_MATCH, &stale)])
        .await
        .expect(412);
    let tag = patched.etag();
    write(&service, "DELETE", "/sensors/s1", &[(IF_MATCH, &tag)])
        .await
        .expect(204);
    service.create(&json!({"name": "s1"})).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_write_with_the_right_tag_keeps_it_and_with_a_stale_one_is_412() {
    let service = Service::start().await;
    let stale = service.create(&json!({"name": "s1"})).await.etag();
    let tag = service.patch("/sensors/s1", &json!({"value": 1})).await.etag();
    let same = json!({"value": 1});
    let kept = service
        .patch_if("/sensors/s1", (IF_MATCH, &tag), &same)
        .await
        .expect(200);
    assert_eq!(kept.etag(), tag);
    service
        .patch_if("/sensors/s1", (IF_MATCH, &stale), &same)
        .await
        .expect(412);
    service.finish().await;
}
