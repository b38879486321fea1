use serde_json::json;

use crate::harness::{PATIENCE, Service};

const WRITERS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn of_100_writers_with_one_tag_exactly_one_succeeds() {
    let service = Service::start().await;
    let mut subscriber = service.subscribe().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let tag = made.etag();
    let writers = (0..WRITERS).map(|number| {
        let (http, tag, path) = ((*service).clone(), tag.clone(), made.path());
        tokio::spawn(async move {
            let condition = ("if-match", tag.as_str());
            let answer = match number % 3 {
                0 => {
                    http.put_if(&path, condition, &json!({"name": "s1", "value": number}))
                        .await
                }
                _ => http.patch_if(&path, condition, &json!({"value": number})).await,
            };
            (answer.status, number)
        })
    });
    let mut winners = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            (200, number) => winners.push(number),
            (status, _) => assert_eq!(status, 412),
        }
    }
    assert_eq!(winners.len(), 1);
    let now = service.get(&made.path()).await.json();
    assert_eq!((&now["value"], &now["revision"]), (&json!(winners[0]), &json!(2)));
    service.delete("/sensors/s1").await.expect(204);
    let kinds = [
        subscriber.next_event().await,
        subscriber.next_event().await,
        subscriber.next_event().await,
    ];
    assert_eq!(kinds.map(|event| event.kind), ["created", "modified", "deleted"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_create_under_one_id_with_if_none_match_exactly_one_succeeds() {
    let service = Service::start().await;
    let path = "/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
    let writers = (0..WRITERS).map(|number| {
        let http = (*service).clone();
        tokio::spawn(async move {
            let body = json!({"name": format!("s{number}")});
            http.put_if(path, ("if-none-match", "*"), &body).await.status
        })
    });
    let mut made = 0;
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            201 => made += 1,
            status => assert_eq!(status, 412),
        }
    }
    assert_eq!(made, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_without_a_tag_all_succeed_with_a_revision_of_their_own() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let writers = (0..WRITERS).map(|number| {
        let http = (*service).clone();
        tokio::spawn(async move {
            http.patch("/sensors/s1", &json!({"value": number}))
                .await
                .expect(200)
                .revision()
        })
    });
    let mut revisions = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        revisions.push(writer.await.unwrap());
    }
    revisions.sort_unstable();
    assert!(revisions.into_iter().eq(2..=101));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_a_revision_of_another_sensor_do_not_wait_for_each_other() {
    let service = Service::start().await;
    let sensor = service.create(&json!({"name": "s1"})).await;
    let other = service.create(&json!({"name": "s2"})).await;
    let path = format!("{}?revision={}", sensor.path(), other.revision());
    let asked = (0..32).map(|_| service.get(&path));
    let answers = tokio::time::timeout(PATIENCE, futures_util::future::join_all(asked));
    for answer in answers.await.expect("answers in 10 s") {
        answer.expect(404);
    }
    service.get("/sensors").await.expect(200);
    service.finish().await;
}
