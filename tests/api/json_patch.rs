use serde_json::{Value, json};

use crate::harness::{Answer, PUBLIC_URL, Service};

const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

async fn patch(service: &Service, operations: &Value) -> Answer {
    patch_if(service, ("if-match", "*"), operations).await
}

async fn patch_if(service: &Service, condition: (&str, &str), operations: &Value) -> Answer {
    let headers = [JSON_PATCH, condition];
    service
        .request("PATCH", "/sensors/s1", &headers, operations.to_string())
        .await
}

async fn service_with_a_sensor() -> (Service, Answer) {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "unit": "Cel", "value": 21, "metadata": {"room": "cellar", "tags": ["a", "b"]}}))
        .await;
    (service, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_change_a_sensor_and_its_event_has_the_changes() {
    let (service, made) = service_with_a_sensor().await;
    let mut subscriber = service.subscribe().await;
    let answer = patch(
        &service,
        &json!([
            {"op": "test", "path": "/value", "value": 21.0},
            {"op": "test", "path": "/revision", "value": made.revision()},
            {"op": "replace", "path": "/value", "value": 22.5},
            {"op": "add", "path": "/kind", "value": "temperature"},
            {"op": "remove", "path": "/unit"},
            {"op": "move", "from": "/metadata/room", "path": "/metadata/place"},
            {"op": "copy", "from": "/id", "path": "/metadata/own"},
            {"op": "add", "path": "/metadata/tags/-", "value": "c"},
            {"op": "add", "path": "/metadata/a~1b", "value": 1},
        ]),
    )
    .await
    .expect(200);
    let sensor = answer.json();
    assert_eq!(
        (&sensor["value"], &sensor["kind"]),
        (&json!(22.5), &json!("temperature"))
    );
    assert!(sensor.get("unit").is_none());
    let metadata = json!({"a/b": 1, "own": made.id(), "place": "cellar", "tags": ["a", "b", "c"]});
    assert_eq!(sensor["metadata"], metadata);
    assert_ne!(sensor["measured_at"], Value::Null);
    let read = service.get(&answer.path()).await;
    assert_eq!((read.body.clone(), read.etag()), (answer.body.clone(), answer.etag()));

    let event = subscriber.next_event().await;
    assert_eq!((event.kind.as_str(), event.revision), ("modified", answer.revision()));
    let mut mirrored = made.json();
    json_patch::merge(&mut mirrored, event.changes.as_ref().expect("changes"));
    assert_eq!(mirrored, sensor);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_and_a_place_that_is_not_there_are_conflicts_and_nothing_is_done() {
    let (service, made) = service_with_a_sensor().await;
    let first = json!({"op": "replace", "path": "/value", "value": 99});
    let failing = [
        (
            json!({"op": "test", "path": "/value", "value": 21}),
            "/value has another value",
        ),
        (
            json!({"op": "test", "path": "", "value": {}}),
            "the sensor as a whole is not this",
        ),
        (
            json!({"op": "test", "path": "/kind", "value": null}),
            "there is no /kind",
        ),
        (json!({"op": "remove", "path": "/kind"}), "there is no /kind"),
        (
            json!({"op": "replace", "path": "/location", "value": null}),
            "there is no /location",
        ),
        (
            json!({"op": "add", "path": "/location/type", "value": "Point"}),
            "there is no /location for /location/type to be in; add that first",
        ),
        (
            json!({"op": "add", "path": "/metadata/tags/7", "value": 1}),
            "there is no /metadata/tags/7",
        ),
        (
            json!({"op": "add", "path": "/metadata/tags/01", "value": 1}),
            "there is no /metadata/tags/01",
        ),
        (
            json!({"op": "remove", "path": "/metadata/tags/-"}),
            "there is no /metadata/tags/-",
        ),
        (
            json!({"op": "add", "path": "/name/x", "value": 1}),
            "there is no /name/x",
        ),
        (
            json!({"op": "move", "from": "/kind", "path": "/unit"}),
            "there is no /kind",
        ),
        (
            json!({"op": "copy", "from": "/metadata/nothing", "path": "/metadata/a"}),
            "there is no /metadata/nothing",
        ),
        (
            json!({"op": "copy", "from": "/value", "path": "/metadata/nothing/a"}),
            "there is no /metadata/nothing for /metadata/nothing/a to be in; add that first",
        ),
    ];
    for (operation, detail) in failing {
        let refused = patch(&service, &json!([first, operation])).await.expect(409);
        assert_eq!(
            refused.problem().detail,
            format!("operation 1: {detail}"),
            "{operation}"
        );
        assert_eq!(refused.etag(), made.etag());
        assert!(refused.links_to(&format!("{PUBLIC_URL}{}", made.path())));
    }
    assert_eq!(service.get("/sensors/s1").await.body, made.body);
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_patch_or_writes_what_is_the_servers_is_refused_with_every_fault() {
    let (service, _) = service_with_a_sensor().await;
    let body = json!([
        {"op": "replace", "path": "/revision", "value": 7},
        {"op": "test", "path": "/id", "value": "x"},
        {"op": "remove", "path": "/links/0"},
        {"op": "move", "from": "/created_at", "path": "/metadata/a"},
        {"op": "add", "path": "/id", "value": "x"},
        {"op": "copy", "from": "/id", "path": "/updated_at"},
        {"op": "replace", "path": "", "value": {"name": "s2"}},
        {"op": "add", "path": "/value"},
        {"op": "add", "path": "no-slash", "value": 1},
        {"op": "add", "path": "/bad~2escape", "value": 1},
        {"op": "merge", "path": "/value", "value": 1},
        {"path": "/value", "value": 1},
        {"op": "copy", "path": "/value"},
        "remove",
    ]);
    let refused = patch(&service, &body).await.expect(422).problem();
    let wrong = [
        "/0/path", "/10/op", "/11/op", "/12/from", "/13", "/2/path", "/3/from", "/4/path", "/5/path", "/6/path",
        "/7/value", "/8/path", "/9/path",
    ];
    assert_eq!(refused.pointers, wrong, "{}", refused.document);
    assert!(
        refused.detail.starts_with("the JSON Patch cannot be run"),
        "{}",
        refused.detail
    );
    for body in [json!({"value": 1}), json!("x"), json!(null)] {
        assert_eq!(patch(&service, &body).await.expect(422).problem().pointers, [""]);
    }
    for body in ["", "[", "[{\"op\":\"test\",\"op\":\"test\"}]", "[] x"] {
        service
            .request("PATCH", "/sensors/s1", &[JSON_PATCH], body)
            .await
            .expect(400);
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_breaks_a_rule_is_pointed_at_in_the_patch() {
    let (service, _) = service_with_a_sensor().await;
    let cases = [
        (json!({"op": "replace", "path": "/value", "value": [1]}), "/0/value"),
        (
            json!({"op": "replace", "path": "/value", "value": 9_007_199_254_740_993_u64}),
            "/0/value",
        ),
        (json!({"op": "remove", "path": "/name"}), "/0"),
        (json!({"op": "replace", "path": "/name", "value": "a b"}), "/0/value"),
        (json!({"op": "add", "path": "/colour", "value": null}), "/0/value"),
        (json!({"op": "copy", "from": "/links", "path": "/value"}), "/0"),
        (json!({"op": "move", "from": "/metadata", "path": "/metadata/a"}), "/0"),
        (
            json!({"op": "add", "path": "/metadata/room", "value": {"x": "\u{7}"}}),
            "/0/value/x",
        ),
        (
            json!({"op": "add", "path": "/location", "value": {"type": "Point", "coordinates": [200, 0]}}),
            "/0/value/coordinates/0",
        ),
    ];
    for (operation, pointer) in cases {
        let refused = patch(&service, &json!([operation])).await.expect(422).problem();
        assert_eq!(refused.pointers, [pointer], "{operation}: {}", refused.document);
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_cannot_grow_beyond_its_bounds() {
    let (service, _) = service_with_a_sensor().await;
    let test = json!({"op": "test", "path": "/value", "value": 21});
    patch(&service, &json!(vec![test.clone(); 100])).await.expect(200);
    let refused = patch(&service, &json!(vec![test; 101])).await.expect(422);
    assert_eq!(refused.problem().pointers, [""]);
    // Each copy doubles what is there.
    let bomb: Vec<_> = (0..60)
        .map(|index| json!({"op": "copy", "from": "/metadata", "path": format!("/metadata/{index}")}))
        .collect();
    let refused = patch(&service, &json!(bomb)).await.expect(422).json();
    let detail = refused["errors"][0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("copies and moves"), "{refused}");
    // Each copy doubles how deep it is: by bytes it is small, and nobody's stack is deep enough for what it becomes.
    let tower = "[".repeat(29) + &"]".repeat(29);
    let (mut operations, mut depth) = (
        format!(r#"[{{"op":"add","path":"/metadata","value":{{"a":{tower}}}}}"#),
        29,
    );
    while operations.len() < 40_000 {
        let top = "/0".repeat(depth - 1) + "/0";
        let copy = [
            r#",{"op":"copy","from":"/metadata/a","path":"/metadata/a"#,
            &top,
            r#""}"#,
        ];
        operations.extend(copy);
        depth *= 2;
    }
    let patch = [JSON_PATCH, ("if-match", "*")];
    let refused = service.request("PATCH", "/sensors/s1", &patch, operations + "]").await;
    let refused = refused.expect(422).json();
    let detail = refused["errors"][0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("deeper"), "{refused}");
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_may_nest_as_deep_as_a_body_and_no_deeper() {
    let (service, _) = service_with_a_sensor().await;
    let place = "/metadata/tags/0";
    let (mut arrays, mut objects) = (json!([]), json!({}));
    // As deep as it can be three levels below the sensor.
    for _ in 1..29 {
        arrays = json!([arrays, 0]);
        objects = json!({"a": 0, "b": objects});
    }
    let run = async |value: Value| {
        let operations = json!([{"op": "add", "path": place, "value": value}, {"op": "remove", "path": place}]);
        patch(&service, &operations).await
    };
    for fitting in [arrays, objects] {
        run(fitting.clone()).await.expect(200);
        let refused = run(json!([fitting])).await.expect(422);
        assert_eq!(refused.problem().pointers, ["/0"], "{}", refused.text());
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_patch_moves_counts_as_what_it_copies_does() {
    let (service, _) = service_with_a_sensor().await;
    let metadata = json!({"large": vec![0; 8_000], "small": 1});
    service
        .patch("/sensors/s1", &json!({"metadata": metadata}))
        .await
        .expect(200);
    let to_and_fro = |name: &str| {
        let (one, other) = (format!("/metadata/{name}"), format!("/metadata/{name}-moved"));
        let both = json!([{"op": "move", "from": one, "path": other}, {"op": "move", "from": other, "path": one}]);
        json!(
            vec![both; 50]
                .iter()
                .flat_map(|both| both.as_array().unwrap())
                .collect::<Vec<_>>()
        )
    };
    patch(&service, &to_and_fro("small")).await.expect(200);
    let refused = patch(&service, &to_and_fro("large")).await.expect(422);
    // The fifth move of 16 KB.
    assert_eq!(refused.problem().pointers, ["/4"]);
    // With its quotes an eighth of what a patch may carry.
    let metadata = json!({"large": null, "eighth": "x".repeat(8_190)});
    service
        .patch("/sensors/s1", &json!({"metadata": metadata}))
        .await
        .expect(200);
    let mut whole = to_and_fro("eighth");
    whole.as_array_mut().unwrap().truncate(8);
    patch(&service, &whole).await.expect(200);
    let more = json!({"op": "move", "from": "/metadata/small", "path": "/metadata/other"});
    whole.as_array_mut().unwrap().push(more);
    let refused = patch(&service, &whole).await.expect(422);
    assert_eq!(refused.problem().pointers, ["/8"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_patch_that_changes_nothing_makes_no_event_and_measured_at_follows_the_rules() {
    let (service, made) = service_with_a_sensor().await;
    for operations in [
        json!([]),
        json!([{"op": "replace", "path": "/value", "value": 21.0}]),
        json!([{"op": "add", "path": "/metadata/x", "value": null}]),
        json!([{"op": "add", "path": "/kind", "value": 1}, {"op": "remove", "path": "/kind"}]),
    ] {
        let same = patch(&service, &operations).await.expect(200);
        assert_eq!((same.etag(), &same.body), (made.etag(), &made.body), "{operations}");
    }
    let removed = patch(&service, &json!([{"op": "remove", "path": "/measured_at"}]))
        .await
        .expect(200);
    assert!(removed.json().get("measured_at").is_none());
    let at = "2026-01-01T00:00:00.000Z";
    let given =
        json!([{"op": "add", "path": "/measured_at", "value": at}, {"op": "replace", "path": "/value", "value": 5}]);
    assert_eq!(patch(&service, &given).await.expect(200).json()["measured_at"], at);
    let now = patch(&service, &json!([{"op": "replace", "path": "/value", "value": 6}]))
        .await
        .expect(200);
    assert_ne!(now.json()["measured_at"], at);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_patch_keeps_to_preconditions_and_to_an_inactive_sensors_value() {
    let (service, made) = service_with_a_sensor().await;
    let set = json!([{"op": "replace", "path": "/value", "value": 1}]);
    patch_if(&service, ("if-match", "\"aaaaaaaa.1\""), &set)
        .await
        .expect(412);
    patch_if(&service, ("if-match", "\"aaaaaaaa.1\""), &json!([7]))
        .await
        .expect(412);
    patch_if(&service, ("if-match", &made.etag()), &set).await.expect(200);
    let off = json!([{"op": "replace", "path": "/status", "value": "inactive"}]);
    patch(&service, &off).await.expect(200);
    let refused = patch(&service, &json!([{"op": "replace", "path": "/value", "value": 2}]))
        .await
        .expect(409);
    assert_eq!(refused.json()["links"][0]["rel"], "activate");
    service.delete("/sensors/s1").await.expect(204);
    patch(&service, &set).await.expect(404);
    service.finish().await;
}
