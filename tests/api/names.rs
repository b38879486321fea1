use serde_json::json;

use crate::harness::Service;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_could_not_stand_in_a_url_or_a_topic_is_refused() {
    let service = Service::start().await;
    service.create(&json!({"name": "there"})).await;
    let long = "x".repeat(65);
    let huge = "x".repeat(60_000);
    let wrong = [
        "",
        "+",
        "#",
        "/",
        "$SYS",
        "a/b",
        "a+b",
        "a#",
        "a\u{0}b",
        "a b",
        " a",
        "a ",
        "é",
        "日本",
        ".",
        "..",
        ".a",
        "-a",
        "_a",
        "a\n",
        "a\u{202e}b",
        "a%2Fb",
        "a:b",
        "a~b",
        &long,
        &huge,
        "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
        "01936F0E-7C1B-7D61-9D0E-2F1C3B5A7E90",
        "00000000-0000-0000-0000-000000000000",
    ];
    for name in wrong {
        let body = json!({"name": name});
        let answers = [
            service.post(&body).await,
            service.put("/sensors/there", &body).await,
            service
                .put("/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e91", &body)
                .await,
            service.patch("/sensors/there", &body).await,
        ];
        for refused in answers {
            assert_eq!(refused.status, 422, "{name:.80}: {}", refused.text());
            assert_eq!(refused.problem().pointers, ["/name"]);
        }
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_allowed_characters_is_taken_and_leads_to_its_sensor() {
    let service = Service::start().await;
    let long = "x".repeat(64);
    for name in ["a", "0", "Z", "a.b_c-D9", "a..", "9-", "01936f0e-7c1b-7d61-9d0e", &long] {
        let made = service.create(&json!({"name": name})).await;
        assert_eq!(
            service.get(&format!("/sensors/{name}")).await.expect(200).id(),
            made.id()
        );
    }
    let lower = service.create(&json!({"name": "case"})).await;
    let upper = service.create(&json!({"name": "CASE"})).await;
    assert_ne!(lower.id(), upper.id());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_creates_nothing_under_a_wrong_name_in_the_path() {
    let service = Service::start().await;
    for name in [
        "-a",
        "%2B",
        "%23",
        "a%20b",
        "%C3%A9",
        "a%00",
        "%24SYS",
        "x".repeat(65).as_str(),
    ] {
        let refused = service.put(&format!("/sensors/{name}"), &json!({"value": 1})).await;
        assert!(matches!(refused.status, 400 | 404 | 422), "{name}: {}", refused.status);
    }
    assert_eq!(service.store_revision().await, 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uuid_in_upper_case_is_the_same_sensor() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let upper = format!("/sensors/{}", made.id().to_uppercase());
    assert_eq!(service.get(&upper).await.expect(200).body, made.body);
    let fresh = "/sensors/01936F0E-7C1B-7D61-9D0E-2F1C3B5A7E90";
    let put = service.put(fresh, &json!({"name": "s2"})).await.expect(201);
    assert_eq!(put.id(), "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_posts_that_race_for_one_name_make_one_sensor() {
    let service = Service::start().await;
    let posts = (0..20).map(|_| {
        let http = (*service).clone();
        tokio::spawn(async move { http.post(&json!({"name": "s1"})).await.status })
    });
    let mut made = 0;
    for post in posts.collect::<Vec<_>>() {
        match post.await.unwrap() {
            201 => made += 1,
            status => assert_eq!(status, 409),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_a_name_meets_the_sensor_that_has_it_by_then() {
    let service = Service::start().await;
    let first = service.create(&json!({"name": "first"})).await.id();
    let second = service.create(&json!({"name": "second"})).await.id();
    // Nobody reads: the writes alone tell the writer who has the names.
    for path in ["/sensors/first", "/sensors/second"] {
        service.patch(path, &json!({"value": 1})).await.expect(200);
    }
    let moves = json!({"atomic": false, "operations": [
        {"method": "PATCH", "path": "/sensors/first", "body": {"name": "aside"}},
        {"method": "PATCH", "path": "/sensors/first", "body": {"value": 2}},
        {"method": "PATCH", "path": "/sensors/second", "body": {"name": "first"}},
        {"method": "PATCH", "path": "/sensors/first", "body": {"value": 3}},
    ]});
    let answer = service
        .request(
            "POST",
            "/batch",
            &[("content-type", "application/json")],
            moves.to_string(),
        )
        .await
        .expect(200);
    let answer = answer.json();
    let outcomes = answer["outcomes"].as_array().unwrap();
    assert!(
        outcomes
            .iter()
            .map(|outcome| &outcome["status"])
            .eq([200, 404, 200, 200].iter()),
        "{answer}"
    );
    for (path, id) in [("/sensors/first", &second), ("/sensors/aside", &first)] {
        assert_eq!(&service.patch(path, &json!({"value": 4})).await.expect(200).id(), id);
    }
    assert_eq!(service.patch("/sensors/second", &json!({"value": 5})).await.status, 404);
    service.finish().await;
}
