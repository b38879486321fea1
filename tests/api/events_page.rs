//! The log as pages and as a long poll.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Event, Mirror, Service, link};

/// Three sensors, 6 events: 3 created, 1 modified, 1 renamed, 1 deleted.
async fn with_history() -> Service {
    let service = Service::start().await;
    for name in ["boiler-a", "boiler-b", "pump"] {
        service.create(&json!({"name": name})).await;
    }
    service.patch("/sensors/pump", &json!({"value": 1})).await.expect(200);
    service
        .patch("/sensors/boiler-b", &json!({"name": "spare"}))
        .await
        .expect(200);
    service.delete("/sensors/boiler-a").await.expect(204);
    service
}

fn revisions(page: &Answer) -> Vec<i64> {
    let read = |event: &String| Event::read(event.as_bytes()).revision;
    page.events().iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_log_is_an_empty_page() {
    let service = Service::start().await;
    let page = service.get("/events").await.expect(200);
    assert!(page.events().is_empty());
    assert_eq!(page.json()["head"], 0);
    assert_eq!(link(&page.json(), "next"), None);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_the_log_make_the_list() {
    let service = with_history().await;
    let mut mirror = Mirror::default();
    let epoch = service.get("/").await.json()["epoch"].as_str().unwrap().to_owned();
    for event in service.events_after(&format!("{epoch}.0")).await {
        mirror.apply(&Event::read(event.as_bytes()));
    }
    mirror.assert_equals(&service.all_pages(10).await);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_at_most_limit_events_and_links_to_the_next_one_until_the_head() {
    let service = with_history().await;
    let first = service.get("/events?limit=4").await.expect(200);
    assert_eq!(revisions(&first), [1, 2, 3, 4]);
    assert_eq!(first.json()["head"], 6);
    let second = service.follow(&link(&first.json(), "next").unwrap()).await.expect(200);
    assert_eq!(revisions(&second), [5, 6]);
    assert_eq!(link(&second.json(), "next"), None);
    let own = service.follow(&link(&second.json(), "self").unwrap()).await.expect(200);
    assert_eq!(own.body, second.body);
    let back = service
        .follow(&link(&second.json(), "first").unwrap())
        .await
        .expect(200);
    assert_eq!(back.events(), first.events());
    service.delete("/sensors/pump").await.expect(204);
    let resumed = service
        .follow(&link(&second.json(), "resume").unwrap())
        .await
        .expect(200);
    assert_eq!(revisions(&resumed), [7]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_of_the_list_links_to_the_changes_after_it() {
    let service = with_history().await;
    let list = service.get("/sensors?limit=1").await.expect(200).json();
    service.delete("/sensors/pump").await.expect(204);
    let changes = service.follow(&link(&list, "events").unwrap()).await.expect(200);
    assert_eq!(revisions(&changes), [7]);
    let second = service.follow(&link(&list, "next").unwrap()).await.expect(200).json();
    assert_eq!(
        link(&second, "events"),
        None,
        "from there the first page would be missed"
    );
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_now_begins_at_the_head() {
    let service = with_history().await;
    let page = service.get("/events?after=now").await.expect(200);
    assert!(page.events().is_empty());
    service.delete("/sensors/pump").await.expect(204);
    let resumed = service.follow(&link(&page.json(), "resume").unwrap()).await.expect(200);
    assert_eq!(revisions(&resumed), [7]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_passes_over_events_and_the_cursor_moves_on() {
    let service = with_history().await;
    for (query, expected) in [
        ("event=deleted", vec![6]),
        ("event=created,deleted", vec![1, 2, 3, 6]),
        ("name=boiler-", vec![1, 2, 5, 6]),
        ("name=spare", vec![5]),
        ("name=boiler-*", vec![1, 2, 5, 6]),
        ("name=boiler-&event=modified", vec![5]),
        ("name=pump", vec![3, 4]),
        ("name=nobody", vec![]),
    ] {
        let page = service.get(&format!("/events?{query}")).await.expect(200);
        assert_eq!(revisions(&page), expected, "{query}");
        let resume = link(&page.json(), "resume").unwrap();
        assert!(resume.contains(".6&"), "{query}: {resume}");
        let more = service.follow(&resume).await.expect(200);
        assert!(more.events().is_empty(), "{query}");
        let mut one_by_one = Vec::new();
        let mut page = service.get(&format!("/events?limit=1&{query}")).await.expect(200);
        loop {
            one_by_one.extend(revisions(&page));
            let Some(next) = link(&page.json(), "next") else { break };
            page = service.follow(&next).await.expect(200);
        }
        assert_eq!(one_by_one, expected, "{query}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_has_a_log_of_its_own_by_id_and_by_name_and_after_its_end() {
    let service = with_history().await;
    let pump = service.get("/sensors/pump").await.expect(200);
    let by_link = service.follow(&link(&pump.json(), "events").unwrap()).await.expect(200);
    assert_eq!(revisions(&by_link), [3, 4]);
    let by_name = service.get("/sensors/pump/events").await.expect(200);
    assert_eq!(by_name.events(), by_link.events());
    assert_eq!(by_name.json()["head"], 6);
    service.delete("/sensors/pump").await.expect(204);
    let page = service.get(&format!("{}/events?event=deleted", pump.path())).await;
    assert_eq!(revisions(&page.expect(200)), [7]);
    service.get("/sensors/pump/events").await.expect(404);
    service
        .get("/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90/events")
        .await
        .expect(404);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_memory_holds_is_read_from_the_log_without_a_hole() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    service.create(&json!({"name": "other"})).await;
    for batch in 0..30 {
        let patches = (0..50).map(|number| {
            let http = (*service).clone();
            tokio::spawn(async move {
                let body = json!({"value": batch * 50 + number});
                http.patch("/sensors/s1", &body).await.expect(200);
            })
        });
        for patch in patches.collect::<Vec<_>>() {
            patch.await.unwrap();
        }
    }
    let mut all = Vec::new();
    let mut page = service.get("/events?limit=333").await.expect(200);
    loop {
        all.extend(revisions(&page));
        let Some(next) = link(&page.json(), "next") else { break };
        page = service.follow(&next).await.expect(200);
    }
    assert_eq!(all, (1..=1502).collect::<Vec<_>>());
    let rare = service.get("/events?name=other&limit=1").await.expect(200);
    assert_eq!(revisions(&rare), [2]);
    let none = service.get("/sensors/other/events").await.expect(200);
    assert_eq!(revisions(&none), [2]);
    assert!(link(&none.json(), "resume").unwrap().contains(".1502&"));
    service.finish().await;
}

async fn long_poll(service: &Service, path: &str) -> (Duration, Answer) {
    let started = Instant::now();
    let page = service.get(path).await.expect(200);
    (started.elapsed(), page)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_answers_as_soon_as_there_is_an_event() {
    let service = with_history().await;
    let (took, page) = long_poll(&service, "/events?wait=60").await;
    assert!(took < Duration::from_secs(5) && page.events().len() == 6);
    let write = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        service.create(&json!({"name": "s9"})).await;
        service.patch("/sensors/pump", &json!({"value": 2})).await.expect(200);
    };
    let poll = long_poll(&service, "/events?after=now&wait=60&name=pump");
    let ((took, page), ()) = tokio::join!(poll, write);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(revisions(&page), [8]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_without_an_event_answers_when_the_time_is_up() {
    let service = with_history().await;
    let write = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        service.create(&json!({"name": "s9"})).await;
    };
    let poll = long_poll(&service, "/events?after=now&wait=1&name=pump");
    let ((took, page), ()) = tokio::join!(poll, write);
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert!(page.events().is_empty());
    assert_eq!(page.json()["head"], 7);
    assert!(link(&page.json(), "resume").unwrap().contains(".7&"), "it has moved on");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_writer_has_the_answer_to_is_in_the_log() {
    let service = Service::start().await;
    for number in 1..=200 {
        let made = service.create(&json!({"name": format!("s{number}")})).await;
        let cursor = made.etag().trim_matches('"').to_owned();
        let page = service.get(&format!("/events?after={cursor}")).await.expect(200);
        assert_eq!(page.json()["head"], json!(number));
        let head: Value = service.get("/").await.json()["revision"].clone();
        assert_eq!(head, json!(number));
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_events_ends_early_and_the_next_ones_have_the_rest() {
    const SENSORS: i64 = 300;
    const MAX_BYTES: usize = 2 << 20;
    let service = Service::start().await;
    let metadata = json!({"text": "x".repeat(16_000)});
    for number in 0..SENSORS {
        let name = format!("s{number}");
        service.create(&json!({"name": name, "metadata": metadata})).await;
    }
    let epoch = service.get("/").await.json()["epoch"].as_str().unwrap().to_owned();
    // From memory, with a filter, and as a long poll.
    for path in [
        "/events?limit=1000",
        "/events?limit=1000&name=s",
        "/events?limit=1000&wait=9",
    ] {
        let mut page = service.get(&format!("{path}&after={epoch}.0")).await.expect(200);
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let events = page.events();
            let bytes = |events: &[String]| events.iter().map(String::len).sum::<usize>();
            assert!(bytes(&events[1..]) < MAX_BYTES, "{path}: {} bytes", bytes(&events));
            found.extend(revisions(&page));
            pages += 1;
            let Some(next) = link(&page.json(), "next") else { break };
            assert!(bytes(&events) >= MAX_BYTES, "{path}: {} bytes", bytes(&events));
            page = service.follow(&next).await.expect(200);
        }
        assert_eq!(found, (1..=SENSORS).collect::<Vec<_>>(), "{path}");
        assert_eq!(pages, 3, "{path}");
    }
    service.finish().await;
}
