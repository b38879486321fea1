use serde_json::{Value, json};

use crate::harness::Service;

/// A body that breaks one rule, and the pointer to the member that does.
#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong_members() -> Vec<(Value, &'static str)> {
    let deep = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({"a": inner}));
    vec![
        (json!({"name": 5}), "/name"),
        (json!({"name": true}), "/name"),
        (json!({"name": []}), "/name"),
        (json!({"name": {}}), "/name"),
        (json!({"name": null}), "/name"),
        (json!({"kind": ""}), "/kind"),
        (json!({"kind": "k".repeat(65)}), "/kind"),
        (json!({"kind": "é".repeat(33)}), "/kind"),
        (json!({"kind": "a\u{7}"}), "/kind"),
        (json!({"kind": 1}), "/kind"),
        (json!({"unit": ""}), "/unit"),
        (json!({"unit": "u".repeat(65)}), "/unit"),
        (json!({"unit": []}), "/unit"),
        (json!({"value": []}), "/value"),
        (json!({"value": {}}), "/value"),
        (json!({"value": "x".repeat(1025)}), "/value"),
        (json!({"value": "é".repeat(513)}), "/value"),
        (json!({"value": "a\u{0}b"}), "/value"),
        (json!({"value": "a\nb"}), "/value"),
        (json!({"value": 9_007_199_254_740_993_u64}), "/value"),
        (json!({"value": -9_007_199_254_740_993_i64}), "/value"),
        (json!({"value": u64::MAX}), "/value"),
        (json!({"measured_at": "yesterday"}), "/measured_at"),
        (json!({"measured_at": "2026-02-30T00:00:00Z"}), "/measured_at"),
        (json!({"measured_at": "2026-11-22T11:00:00"}), "/measured_at"),
        (json!({"measured_at": 1_795_345_200}), "/measured_at"),
        (json!({"status": "broken"}), "/status"),
        (json!({"status": "Active"}), "/status"),
        (json!({"status": 1}), "/status"),
        (json!({"location": "here"}), "/location"),
        (json!({"location": [1, 2]}), "/location"),
        (json!({"location": {"type": "Point"}}), "/location"),
        (json!({"location": {"coordinates": [1, 2]}}), "/location"),
        (
            json!({"location": {"type": "Polygon", "coordinates": [1, 2]}}),
            "/location",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1]}}),
            "/location/coordinates",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1, 2, 3, 4]}}),
            "/location/coordinates",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [180.1, 2]}}),
            "/location/coordinates/0",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [-180.1, 2]}}),
            "/location/coordinates/0",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1, 2, 9_007_199_254_740_993_u64]}}),
            "/location/coordinates/2",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1, -90.1]}}),
            "/location/coordinates/1",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1, 90.1]}}),
            "/location/coordinates/1",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1, "2"]}}),
            "/location",
        ),
        (
            json!({"location": {"type": "Point", "coordinates": [1, 2], "crs": 1}}),
            "/location/crs",
        ),
        (json!({"metadata": []}), "/metadata"),
        (json!({"metadata": "x"}), "/metadata"),
        (json!({"metadata": deep(9)}), "/metadata"),
        (json!({"metadata": {"a": "x".repeat(17_000)}}), "/metadata"),
        (json!({"metadata": {"a": "x\u{1}"}}), "/metadata/a"),
        (json!({"metadata": {"a\u{1}": 1}}), "/metadata/a"),
        (json!({"metadata": {"a": [0, {"b": "x\u{0}"}]}}), "/metadata/a/1/b"),
        (json!({"metadata": {"a": 9_007_199_254_740_993_u64}}), "/metadata/a"),
        (json!({"colour": "red"}), "/colour"),
        (json!({"Value": 1}), "/Value"),
        (json!({"a/b~c": 1}), "/a~1b~0c"),
        (json!({"": 1}), "/"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_breaks_a_rule_is_422_with_its_pointer_for_every_verb() {
    let service = Service::start().await;
    service.create(&json!({"name": "there"})).await;
    let rows = wrong_members();
    let mut wrong = Vec::new();
    for (body, pointer) in &rows {
        let mut whole = body.clone();
        if whole.get("name").is_none() {
            whole["name"] = json!("s1");
        }
        let answers = [
            ("POST", service.post(&whole).await),
            ("PUT", service.put("/sensors/there", &whole).await),
            ("PATCH", service.patch("/sensors/there", body).await),
        ];
        for (verb, answer) in answers {
            let right = answer.status == 422 && {
                let pointers = answer.problem().pointers;
                pointers.len() == 1 && pointers[0].starts_with(pointer)
            };
            if !right {
                let shown: String = body.to_string().chars().take(120).collect();
                wrong.push(format!("{verb} {shown} ({pointer}): {}", answer.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(service.store_revision().await, 1);
    println!("{} cases", rows.len() * 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_members_are_reported_at_once() {
    let service = Service::start().await;
    let body = json!({"name": 5, "kind": "", "unit": 3, "value": [], "measured_at": "x", "status": "y",
        "location": {"type": "Point", "coordinates": [200, 100]}, "metadata": 3, "revision": 4, "colour": 1, "id": "x"});
    let expected = [
        "/colour",
        "/id",
        "/kind",
        "/location/coordinates/0",
        "/location/coordinates/1",
        "/measured_at",
        "/metadata",
        "/name",
        "/revision",
        "/status",
        "/unit",
        "/value",
    ];
    let refused = service.post(&body).await.expect(422);
    assert_eq!(refused.problem().pointers, expected);
    service.create(&json!({"name": "s1"})).await;
    assert_eq!(
        service.patch("/sensors/s1", &body).await.expect(422).problem().pointers,
        expected
    );
    let without_read_only: Vec<_> = expected.into_iter().filter(|pointer| *pointer != "/revision").collect();
    assert_eq!(
        service.put("/sensors/s1", &body).await.expect(422).problem().pointers,
        without_read_only
    );
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_name_is_422_at_post() {
    let service = Service::start().await;
    let refused = service.post(&json!({})).await.expect(422);
    assert_eq!(refused.problem().pointers, ["/name"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_at_the_edge_of_its_rule_is_taken() {
    let service = Service::start().await;
    let deep = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({"a": inner}));
    let rows = [
        json!({"kind": "k".repeat(64)}),
        json!({"unit": "u".repeat(64)}),
        json!({"value": "x".repeat(1024)}),
        json!({"value": 9_007_199_254_740_992_u64}),
        json!({"value": false}),
        json!({"location": {"type": "Point", "coordinates": [-180, 90]}}),
        json!({"location": {"type": "Point", "coordinates": [180, -90, -400.5]}}),
        json!({"metadata": deep(8)}),
        json!({"metadata": {}}),
        json!({"metadata": {"a": "x".repeat(16_000)}}),
        json!({"measured_at": "1970-01-01T00:00:00Z"}),
    ];
    for mut body in rows {
        body["name"] = json!("s1");
        let sensor = service.create(&body).await.json();
        for (name, value) in body
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "measured_at")
        {
            assert_eq!(&sensor[name], value);
        }
        service.delete("/sensors/s1").await.expect(204);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_judged_by_what_it_makes_of_the_sensor() {
    let service = Service::start().await;
    service
        .create(&json!({"name": "s1", "metadata": {"a": "x".repeat(10_000)}}))
        .await;
    let grown = json!({"metadata": {"b": "x".repeat(10_000)}});
    service.patch("/sensors/s1", &grown).await.expect(422);
    let exchanged = json!({"metadata": {"a": null, "b": "x".repeat(10_000)}});
    service.patch("/sensors/s1", &exchanged).await.expect(200);
    let half = json!({"location": {"coordinates": [1, 2]}});
    let refused = service.patch("/sensors/s1", &half).await.expect(422);
    assert!(refused.problem().pointers[0].starts_with("/location"));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integer_that_64_bits_do_not_hold_is_pointed_at_where_it_means_something_and_passed_over_where_not() {
    const HUGE: &str = "100000000000000000000";
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let media_type = [("content-type", "application/json")];
    let body = format!(r#"{{"name":"a b","unit":"","value":-{HUGE},"metadata":{{"x":{HUGE}}},"foo":{HUGE}}}"#);
    let refused = service.request("POST", "/sensors", &media_type, body).await.expect(422);
    assert_eq!(
        refused.problem().pointers,
        ["/foo", "/metadata/x", "/name", "/unit", "/value"]
    );
    let body = format!(r#"{{"value":1,"revision":{HUGE}}}"#);
    service
        .request("PUT", "/sensors/s1", &media_type, body)
        .await
        .expect(200);
    let patch = [("content-type", "application/json-patch+json")];
    let body = format!(
        r#"[{{"op":"test","path":"/value","value":1,"x":{HUGE}}},{{"op":"test","path":"/value","value":{HUGE}}}]"#
    );
    let refused = service.request("PATCH", "/sensors/s1", &patch, body).await.expect(409);
    assert!(
        refused.problem().detail.starts_with("operation 1"),
        "{}",
        refused.text()
    );
    let text = [("content-type", "text/plain")];
    service
        .request("PUT", "/sensors/s1/value", &text, HUGE)
        .await
        .expect(422);
    let body = format!(
        r#"{{"atomic":false,"operations":[{{"method":"PATCH","path":"/sensors/s1","body":{{"kind":"k"}}}},{{"method":"PATCH","path":"/sensors/s1","body":{{"value":{HUGE}}}}}]}}"#
    );
    let outcomes = service
        .request("POST", "/batch", &media_type, body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&outcomes["outcomes"][0]["status"], &outcomes["outcomes"][1]["status"]),
        (&json!(200), &json!(422))
    );
    service.finish().await;
}
