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
async fn a_star_among_tags_is_passed_over_whether_it_has_a_line_of_its_own_or_not() {
    let service = Service::start().await;
    let current = service.create(&json!({"name": "s1"})).await.etag();
    for (tag, if_match, if_none_match) in [(current.as_str(), 200, 304), ("\"x\"", 412, 200)] {
        for (field, status) in [(IF_MATCH, if_match), (IF_NONE_MATCH, if_none_match)] {
            let (before, after) = (format!("*, {tag}"), format!("{tag} ,*"));
            for headers in [
                &[(field, before.as_str())][..],
                &[(field, &after)],
                &[(field, "*"), (field, tag)],
                &[(field, tag), (field, "*")],
            ] {
                let answer = service.request("GET", "/sensors/s1", headers, "").await;
                assert_eq!(answer.status, status, "{headers:?}");
            }
        }
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn what_adds_to_the_list_keeps_to_conditions_on_the_list() {
    let service = Service::start().await;
    let post = async |name: &str, condition: (&str, &str)| {
        let headers = [condition, ("content-type", "application/json")];
        service
            .request("POST", "/sensors", &headers, json!({"name": name}).to_string())
            .await
    };
    let empty = service.get("/sensors").await.etag();
    post("s1", (IF_MATCH, &empty)).await.expect(201);
    let refused = post("s2", (IF_MATCH, &empty)).await.expect(412);
    let list = service.get("/sensors").await.etag();
    assert_eq!(refused.etag(), list);
    assert!(refused.links_to(&format!("{PUBLIC_URL}/sensors")), "{}", refused.text());
    let malformed = [(IF_MATCH, empty.as_str()), ("content-type", "application/json")];
    service.request("POST", "/sensors", &malformed, "{").await.expect(412);
    for condition in ["*", &list] {
        post("s2", (IF_NONE_MATCH, condition)).await.expect(412);
    }
    assert_eq!(service.store_revision().await, 1);
    post("s2", (IF_NONE_MATCH, &empty)).await.expect(201);
    post("s3", (IF_MATCH, "*")).await.expect(201);
    // Lists have no instant.
    post("s4", ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"))
        .await
        .expect(201);
    let nowhere = [(IF_MATCH, "*"), ("content-type", "application/json")];
    service.request("POST", "/batch", &nowhere, "{}").await.expect(412);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_race_to_add_to_the_list_with_one_tag_one_succeeds() {
    let service = Service::start().await;
    let tag = service.get("/sensors").await.etag();
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let posts = names.iter().map(|name| {
        let headers = [(IF_MATCH, tag.as_str()), ("content-type", "application/json")];
        let body = json!({"name": name}).to_string();
        let service = &service;
        async move { service.request("POST", "/sensors", &headers, body).await.status }
    });
    let mut statuses = futures_util::future::join_all(posts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![412; 19]].concat());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_412_says_which_condition_does_not_hold() {
    let service = Service::start().await;
    let tag = service.create(&json!({"name": "s1"})).await.etag();
    let weak = format!("W/{tag}");
    for (verb, path, condition, detail) in [
        (
            "PUT",
            "/sensors/s1",
            (IF_NONE_MATCH, "*"),
            "If-None-Match: the sensor is there already",
        ),
        (
            "PATCH",
            "/sensors/s1",
            (IF_NONE_MATCH, tag.as_str()),
            "If-None-Match: the sensor has a state with one of these tags",
        ),
        (
            "PUT",
            "/sensors/s1",
            (IF_NONE_MATCH, weak.as_str()),
            "If-None-Match: the sensor has a state with one of these tags",
        ),
        (
            "DELETE",
            "/sensors/s1",
            (IF_MATCH, "\"x\""),
            "If-Match: the sensor has another state, whose tag is in the header ETag",
        ),
        ("PUT", "/sensors/s2", (IF_MATCH, "*"), "If-Match: there is no sensor s2"),
        (
            "PUT",
            "/sensors/s1",
            ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
            "If-Unmodified-Since: the sensor has changed since then",
        ),
    ] {
        let refused = write(&service, verb, path, &[condition]).await.expect(412);
        assert_eq!(refused.problem().detail, detail);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_only_to_create_need_not_say_which_state_is_replaced() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    service.create(&json!({"name": "s1"})).await;
    let create = [(IF_NONE_MATCH, "*")];
    write(&service, "PUT", "/sensors/s1", &create).await.expect(412);
    write(&service, "PUT", "/sensors/s1", &[]).await.expect(428);
    service.finish().await;
}
