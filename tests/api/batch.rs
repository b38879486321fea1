use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Answer, PUBLIC_URL, Service};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn batch(service: &Service, body: &Value) -> Answer {
    service.request("POST", "/batch", &[JSON], body.to_string()).await
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let outcomes = answer.json()["outcomes"].as_array().expect("outcomes").clone();
    outcomes
        .iter()
        .map(|outcome| outcome["status"].as_u64().expect("a status"))
        .collect()
}

/// Every kind of write once, each building on those before it.
fn every_write() -> Value {
    json!([
        {"method": "POST", "path": "/sensors", "body": {"name": "s1"}},
        {"method": "PUT", "path": "/sensors/s2", "body": {"unit": "Cel"}},
        {"method": "PATCH", "path": "/sensors/s1", "body": {"value": 1}},
        {"method": "PATCH", "path": "/sensors/s1", "headers": {"Content-Type": "application/json-patch+json", "If-Match": "*"},
            "body": [{"op": "test", "path": "/value", "value": 1}, {"op": "add", "path": "/kind", "value": "k"}]},
        {"method": "PUT", "path": format!("{PUBLIC_URL}/sensors/s2/value"), "body": "open"},
        {"method": "PUT", "path": "/sensors/s2/value", "headers": {"content-type": "text/plain"}, "body": "open"},
        {"method": "PUT", "path": "/sensors/s2/value", "headers": {"content-type": "text/plain"}, "body": "21.5"},
        {"method": "DELETE", "path": "/sensors/s1"},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_done_in_their_order_and_each_is_answered_as_by_itself() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let answer = batch(&service, &json!({"operations": every_write()})).await.expect(200);
    assert_eq!(statuses(&answer), [201, 201, 200, 200, 200, 200, 200, 204]);
    let outcomes = answer.json()["outcomes"].clone();
    assert_eq!(
        outcomes[0]["headers"]["location"],
        format!("{PUBLIC_URL}/sensors/{}", outcomes[0]["body"]["id"].as_str().unwrap())
    );
    assert_eq!(outcomes[3]["body"]["kind"], "k");
    assert!(outcomes[7].get("body").is_none());
    let read = service.get("/sensors/s2").await.expect(200);
    assert_eq!(read.json(), outcomes[6]["body"]);
    assert_eq!(read.etag(), outcomes[6]["headers"]["etag"].as_str().unwrap());

    // The second "open" changed nothing, so that there are seven events.
    let mut first = None;
    for index in 0..7 {
        let event = subscriber.next_event().await;
        assert_eq!(event.revision, index + 1);
        let place = event.batch.clone().expect("a batch");
        let id = first.get_or_insert_with(|| place["id"].clone()).clone();
        assert_eq!(place, json!({"id": id, "index": index, "count": 7}));
        if event.kind == "created" && index == 0 {
            assert_eq!(
                serde_json::from_str::<Value>(event.state.as_ref().unwrap()).unwrap(),
                outcomes[0]["body"]
            );
        }
    }
    service.create(&json!({"name": "s3"})).await;
    assert_eq!(subscriber.next_event().await.batch, None);
    service.finish().await;
}

/// Operations that cannot be done on the sensors `s1` and `off` and after the creation of `new`, and their statuses.
fn failing_operations() -> Vec<(Value, u16)> {
    vec![
        (
            json!({"method": "POST", "path": "/sensors", "body": {"name": "s1"}}),
            409,
        ),
        (
            json!({"method": "POST", "path": "/sensors", "body": {"name": "new"}}),
            409,
        ),
        (json!({"method": "PATCH", "path": "/sensors/nobody", "body": {}}), 404),
        (json!({"method": "PUT", "path": "/sensors/off/value", "body": 2}), 409),
        (
            json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"If-Match": "\"aaaaaaaa.1\""}, "body": 5}),
            412,
        ),
        (
            json!({"method": "PUT", "path": "/sensors/s1", "headers": {"If-None-Match": "*"}, "body": {}}),
            412,
        ),
        (
            json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"Content-Type": "text/xml"}, "body": {}}),
            415,
        ),
        (
            json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"Content-Encoding": "gzip"}, "body": {}}),
            415,
        ),
        (json!({"method": "PATCH", "path": "/sensors/s1", "body": null}), 422),
        (json!({"method": "PATCH", "path": "/sensors/s1"}), 400),
        (
            json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"a b": "c"}, "body": {}}),
            400,
        ),
        (
            json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"If-Match": "a\nb"}, "body": {}}),
            400,
        ),
        (
            json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"Idempotency-Key": "\"k\""}, "body": {}}),
            400,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_batch_is_done_as_a_whole_or_not_at_all() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1", "value": 1})).await;
    let before = service
        .create(&json!({"name": "off", "value": 1, "status": "inactive"}))
        .await;
    let good = json!({"method": "PATCH", "path": "/sensors/s1", "body": {"value": 2}});
    let new = json!({"method": "POST", "path": "/sensors", "body": {"name": "new"}});
    for (operation, status) in failing_operations() {
        let body = json!({"operations": [good, new, operation, {"method": "DELETE", "path": "/sensors/nobody"}]});
        let refused = batch(&service, &body).await;
        assert_eq!(refused.status, status, "{operation}: {}", refused.text());
        assert_eq!(refused.json()["index"], 2, "{operation}");
        assert_eq!(refused.header("accept-patch"), None, "a batch takes no PATCH");
        if status == 412 {
            assert_eq!(
                refused.etag(),
                made.etag(),
                "the state that is there, not the one that was undone"
            );
        }
    }
    let wrong =
        json!({"operations": [new, {"method": "PATCH", "path": "/sensors/new", "body": {"value": [], "x": 1}}]});
    let refused = batch(&service, &wrong).await.expect(422).problem();
    assert_eq!(refused.pointers, ["/operations/1/body/value", "/operations/1/body/x"]);
    for (path, known) in [("/sensors/s1", &made), ("/sensors/off", &before)] {
        let read = service.get(path).await.expect(200);
        assert_eq!((&read.body, read.etag()), (&known.body, known.etag()), "{path}");
    }
    service.get("/sensors/new").await.expect(404);
    assert_eq!(service.store_revision().await, 2);
    service.patch("/sensors/s1", &json!({"value": 3})).await.expect(200);
    assert_eq!(service.store_revision().await, 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_a_batch_that_is_not_atomic_fail_each_for_itself() {
    let service = Service::start().await;
    let body = json!({"atomic": false, "operations": [
        {"method": "POST", "path": "/sensors", "body": {"name": "s1"}},
        {"method": "POST", "path": "/sensors", "body": {"name": "s1"}},
        {"method": "POST", "path": "/sensors", "body": {"name": "a b"}},
        {"method": "PATCH", "path": "/sensors/s1", "body": {"value": 1}},
        {"method": "PATCH", "path": "/sensors/s1"},
    ]});
    let answer = batch(&service, &body).await.expect(200);
    assert_eq!(statuses(&answer), [201, 409, 422, 200, 400]);
    let outcomes = answer.json()["outcomes"].clone();
    let id = outcomes[0]["body"]["id"].as_str().unwrap();
    assert_eq!(
        outcomes[1]["body"]["links"][0]["href"],
        format!("{PUBLIC_URL}/sensors/{id}")
    );
    assert_eq!(outcomes[2]["body"]["errors"][0]["pointer"], "/name");
    assert_eq!(service.store_revision().await, 2);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_batch_is_refused_with_every_fault() {
    let service = Service::start().await;
    let operation = json!({"method": "PUT", "path": "/sensors/s1", "body": {}});
    let cases = [
        (json!([]), vec![""]),
        (json!({}), vec!["/operations"]),
        (json!({"operations": []}), vec!["/operations"]),
        (json!({"operations": {"a": 1}}), vec!["/operations"]),
        (json!({"operations": vec![operation.clone(); 501]}), vec!["/operations"]),
        (
            json!({"operations": [operation], "atomic": "yes", "x": 1}),
            vec!["/atomic", "/x"],
        ),
        (
            json!({"operations": [{"method": "PUT"}, operation, 5, {"method": "PUT", "path": "/sensors/a", "query": 1}, {"method": 1, "path": ""},
                {"method": "PUT", "path": "/sensors/a", "headers": {"If-Match": 5, "a/b": null}}]}),
            vec![
                "/operations/0/path",
                "/operations/2",
                "/operations/3/query",
                "/operations/4/method",
                "/operations/5/headers/If-Match",
                "/operations/5/headers/a~1b",
            ],
        ),
    ];
    for (body, pointers) in cases {
        let refused = batch(&service, &body).await.expect(422);
        assert_eq!(refused.problem().pointers, pointers, "{}", refused.text());
        assert!(
            refused.problem().detail.starts_with("the batch cannot be run"),
            "{}",
            refused.text()
        );
    }
    let read = json!({"operations": [{"method": "GET", "path": "/sensors"}]});
    let refused = batch(&service, &read).await.expect(422).json();
    let detail = "must be POST in an operation whose path is /sensors";
    assert_eq!(
        refused["errors"],
        json!([{"pointer": "/operations/0/method", "detail": detail}])
    );
    for body in ["", "{", "{\"operations\":[],\"operations\":[]}"] {
        service.request("POST", "/batch", &[JSON], body).await.expect(400);
    }
    service.request("POST", "/batch", &[], "{}").await.expect(415);
    service.request("POST", "/batch?x=1", &[JSON], "{}").await.expect(400);
    service
        .request("POST", "/batch", &[JSON, ("accept", "image/png")], "{}")
        .await
        .expect(406);
    let conditional = [JSON, ("if-match", "*")];
    service
        .request(
            "POST",
            "/batch",
            &conditional,
            json!({"operations": [operation]}).to_string(),
        )
        .await
        .expect(412);
    service
        .request("POST", "/batch", &[JSON], " ".repeat(4 * 1024 * 1024 + 1))
        .await
        .expect(413);
    service.get("/batch").await.expect(405);
    assert_eq!(service.store_revision().await, 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_no_write_here_is_pointed_at_atomic_or_not() {
    let service = Service::start().await;
    let misplaced = [
        ("PATCH", "/sensors/a%20b", "path"),
        ("PATCH", "/elsewhere", "path"),
        ("PATCH", "/sensors/s1?x=1", "path"),
        ("PATCH", "http://elsewhere.example/sensors/s1", "path"),
        ("PATCH", "/sensors/s1/", "path"),
        ("GET", "/sensors/s1", "method"),
        ("BREW", "/sensors/s1", "method"),
        ("patch", "/sensors/s1", "method"),
        ("DELETE", "/sensors", "method"),
        ("PATCH", "/sensors/s1/value", "method"),
    ];
    let wrong: Vec<_> = misplaced
        .iter()
        .map(|(method, path, _)| json!({"method": method, "path": path, "body": {}}))
        .collect();
    for atomic in [true, false] {
        let refused = batch(&service, &json!({"operations": wrong, "atomic": atomic}))
            .await
            .expect(422);
        let mut pointers = misplaced
            .iter()
            .zip(0..)
            .map(|((.., member), index)| format!("/operations/{index}/{member}"))
            .collect::<Vec<_>>();
        pointers.sort();
        assert_eq!(refused.problem().pointers, pointers, "{}", refused.text());
    }
    assert_eq!(service.store_revision().await, 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_operations_go_through_and_may_say_little() {
    let service = Service::start().await;
    let operations: Vec<_> = (0..500)
        .map(|index| json!({"method": "PUT", "path": format!("/sensors/s{index}"), "body": {"metadata": {"text": "x".repeat(1000)}}}))
        .collect();
    let headers = [JSON, ("prefer", "return=minimal")];
    let body = json!({"operations": operations}).to_string();
    assert!(body.len() > 500_000);
    let answer = service.request("POST", "/batch", &headers, body).await.expect(200);
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
    assert_eq!(statuses(&answer), vec![201; 500]);
    assert!(answer.json()["outcomes"][499].get("body").is_none());
    assert_eq!(service.store_revision().await, 500);
    let page = service.get("/events?limit=500").await.expect(200).events();
    for (index, event) in page.iter().enumerate() {
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(
            (&event["batch"]["index"], &event["batch"]["count"]),
            (&json!(index), &json!(500))
        );
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_need_if_match_where_every_change_does() {
    let service = Service::start_with(|config| config.http.require_if_match = true).await;
    let made = service.create(&json!({"name": "s1"})).await;
    let delete = json!({"operations": [{"method": "DELETE", "path": "/sensors/s1"}]});
    batch(&service, &delete).await.expect(428);
    let delete =
        json!({"operations": [{"method": "DELETE", "path": "/sensors/s1", "headers": {"if-match": made.etag()}}]});
    assert_eq!(statuses(&batch(&service, &delete).await.expect(200)), [204]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_operation_made_so_is_told_to_be() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1", "value": 1})).await;
    let change = json!({"method": "PATCH", "path": "/sensors/s1", "body": {"value": 2}});
    let tag = json!({"if-match": made.etag()});
    let again = json!({"method": "PATCH", "path": "/sensors/s1", "headers": tag, "body": {"value": 3}});
    let create = json!({"method": "PUT", "path": "/sensors/new", "headers": {"if-none-match": "*"}, "body": {}});
    let delete = json!({"method": "DELETE", "path": "/sensors/s1"});
    let inactive = json!({"method": "PATCH", "path": "/sensors/s1", "body": {"status": "inactive"}});
    let report = json!({"method": "PUT", "path": "/sensors/s1/value", "body": 5});
    let add = json!({"method": "POST", "path": "/sensors", "headers": tag, "body": {"name": "s2"}});
    for (operations, status, detail) in [
        (json!([change, again]), 412, "If-Match: the sensor has another state"),
        (
            json!([create, create]),
            412,
            "If-None-Match: the sensor is there already",
        ),
        (json!([delete, change]), 404, "there is no sensor s1"),
        (json!([change, add]), 412, "If-Match: the list has another state"),
    ] {
        let refused = batch(&service, &json!({"operations": operations})).await.expect(status);
        let problem = refused.problem();
        assert!(problem.detail.contains(detail), "{}", refused.text());
        assert!(
            problem.detail.contains("an earlier operation of the same batch"),
            "{}",
            refused.text()
        );
        if status == 412 && detail.contains("has another state") {
            assert_eq!(refused.etag(), made.etag(), "{}", refused.text());
        }
    }
    let tried = batch(&service, &json!({"operations": [inactive, report]}))
        .await
        .expect(409);
    assert!(
        tried.problem().detail.contains("the operations before it"),
        "{}",
        tried.text()
    );
    let wrong = json!({"method": "PATCH", "path": "/sensors/s1", "body": {"value": []}});
    let other = json!({"method": "PATCH", "path": "/sensors/s1", "headers": {"if-match": "\"x\""}, "body": {}});
    let never =
        json!({"method": "POST", "path": "/sensors", "headers": {"if-none-match": "*"}, "body": {"name": "s3"}});
    for (operation, status) in [(wrong, 422), (other, 412), (never, 412)] {
        let refused = batch(&service, &json!({"operations": [change, operation]}))
            .await
            .expect(status);
        let detail = refused.problem().detail;
        assert!(!detail.contains("operation"), "no other operation is why: {detail}");
    }
    assert_eq!(service.store_revision().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_may_say_itself_what_its_answer_is_to_contain() {
    let service = Service::start().await;
    let little = json!({"Prefer": "return=minimal"});
    let body = json!({"operations": [
        {"method": "PUT", "path": "/sensors/s1", "body": {}, "headers": little},
        {"method": "PUT", "path": "/sensors/s1/value", "body": 1},
        {"method": "PUT", "path": "/sensors/s1/value", "body": 2, "headers": little},
    ]});
    let outcomes = batch(&service, &body).await.expect(200).json()["outcomes"].clone();
    let has_body = [0, 1, 2].map(|index| outcomes[index].get("body").is_some());
    assert_eq!(has_body, [false, true, false], "{outcomes}");
    assert_eq!(outcomes[2]["status"], 204);
    assert_eq!(outcomes[2]["headers"]["preference-applied"], "return=minimal");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_next_to_nothing_of_a_batch_keep_nobody_out() {
    let service = Service::start().await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut client = TcpStream::connect(service.addr).await.unwrap();
        let head =
            "POST /batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n{";
        client.write_all(head.as_bytes()).await.unwrap();
        slow.push(client);
    }
    let body = json!({"operations": [{"method": "PUT", "path": "/sensors/s1", "body": {}}]});
    for _ in 0..10 {
        batch(&service, &body).await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(slow);
    service.finish().await;
}

/// Also where the answer is made before the operations are committed, as with a key.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_the_list_that_an_earlier_operation_broke_is_told_with_the_tag_of_the_list_since() {
    let service = Service::start().await;
    let before = service.create(&json!({"name": "s1", "value": 1})).await.etag();
    let change = |value: i64| json!({"method": "PATCH", "path": "/sensors/s1", "body": {"value": value}});
    for (round, headers) in [vec![JSON], vec![JSON, ("idempotency-key", "\"k\"")]]
        .into_iter()
        .enumerate()
    {
        let tag = service.get("/sensors").await.expect(200).etag();
        let name = format!("new{round}");
        let add = json!({"method": "POST", "path": "/sensors", "headers": {"if-match": tag}, "body": {"name": name}});
        let operations = json!([change(7 + i64::try_from(round).unwrap()), add]);
        let body = json!({"atomic": false, "operations": operations}).to_string();
        let done = service.request("POST", "/batch", &headers, body).await.expect(200);
        assert_eq!(statuses(&done), [200, 412]);
        let told = &done.json()["outcomes"][1]["headers"];
        let now = service.get("/sensors").await.expect(200).etag();
        let told = told["ETag"].as_str().or(told["etag"].as_str());
        assert_eq!(told, Some(now.as_str()), "{headers:?}: {}", done.text());
        assert_ne!(now, before);
    }
    service.finish().await;
}
