//! What a sensor was: `?revision=`, and the values over time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use roxmltree::Document;
use sensorcast::clock::Clock;
use sensorcast::domain::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Answer, MERGE_PATCH, PUBLIC_URL, Service, eventually, link};

const SVG: &str = "image/svg+xml";
const NOW_MS: i64 = 1_795_345_200_000;

async fn at(service: &Service, path: &str, revision: i64) -> Answer {
    service.get(&format!("{path}?revision={revision}")).await
}

pub async fn points(service: &Service, path: &str) -> Vec<Value> {
    let history = service.get(path).await.expect(200).json();
    history["points"].as_array().unwrap().clone()
}

pub fn column(points: &[Value], name: &str) -> Vec<Value> {
    points.iter().map(|point| point[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_reads_as_it_was_byte_for_byte() {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "metadata": {"a": {"b": 1}, "c": 2}}))
        .await;
    let path = made.path();
    let mut was = vec![made];
    for (method, body) in [
        ("PATCH", json!({"value": 21.5, "unit": "Cel"})),
        (
            "PATCH",
            json!({"metadata": {"a": {"b": null, "d": [1, {}]}}, "value": "x"}),
        ),
        ("PUT", json!({"name": "renamed", "value": 1.5e-7})),
        (
            "PATCH",
            json!({"status": "inactive", "location": {"type": "Point", "coordinates": [1, 2]}}),
        ),
        ("PATCH", json!({"unit": null, "status": "active", "value": null})),
    ] {
        service.create(&json!({"name": format!("other{}", was.len())})).await;
        let headers = [(
            "content-type",
            if method == "PUT" {
                "application/json"
            } else {
                MERGE_PATCH
            },
        )];
        was.push(
            service
                .request(method, &path, &headers, body.to_string())
                .await
                .expect(200),
        );
    }
    for past in &was {
        for path in [path.as_str(), "/sensors/renamed"] {
            let again = at(&service, path, past.revision()).await.expect(200);
            assert_eq!(again.text(), past.text());
            assert_eq!(again.etag(), past.etag());
        }
        let condition = [("if-none-match", past.etag())];
        let condition = condition.each_ref().map(|(name, value)| (*name, value.as_str()));
        let url = format!("{path}?revision={}", past.revision());
        service.request("GET", &url, &condition, "").await.expect(304);
        let xml = service
            .request("GET", &url, &[("accept", "application/xml")], "")
            .await
            .expect(200);
        assert!(
            xml.text()
                .contains(&format!("<revision type=\"number\">{}</revision>", past.revision()))
        );
    }
    service.delete(&path).await.expect(204);
    for past in &was {
        assert_eq!(
            at(&service, &path, past.revision()).await.expect(200).text(),
            past.text()
        );
    }
    service.finish().await;
}

/// Changes a sensor often, most of it seldom, and gives what it was each time.
async fn long_past(service: &Service, path: &str) -> Vec<Answer> {
    let mut was = Vec::new();
    for number in 1..=400 {
        let change = match number {
            300 | 350 => json!({"unit": format!("u{number}"), "metadata": {format!("m{number}"): number}}),
            _ => json!({"value": number}),
        };
        was.push(service.patch(path, &change).await.expect(200));
    }
    was
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_past_reads_as_it_was_and_so_does_its_history_from_anywhere() {
    let service = Service::start().await;
    let path = service
        .create(&json!({"name": "s1", "metadata": {"a": 1}}))
        .await
        .path();
    for past in &long_past(&service, &path).await {
        let again = at(&service, &path, past.revision()).await.expect(200);
        assert_eq!(again.text(), past.text());
    }
    let history = format!("{path}/history");
    let mut read = Vec::new();
    let mut page = service.get(&format!("{history}?limit=7")).await.expect(200).json();
    loop {
        read.extend(page["points"].as_array().unwrap().clone());
        let Some(next) = link(&page, "next") else { break };
        page = service.follow(&next).await.expect(200).json();
    }
    let reported = (1..=400).filter(|number| ![300, 350].contains(number));
    let values: Vec<Value> = [Value::Null].into_iter().chain(reported.map(Value::from)).collect();
    assert_eq!(column(&read, "value"), values);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_past_that_is_partly_pruned_all_is_told_that_a_state_in_the_log_tells() {
    let now_ms = Arc::new(AtomicI64::new(NOW_MS));
    let hands = Arc::clone(&now_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |config| {
        (config.store.event_retention_hours, config.store.event_retention_min) = (1, 350);
    })
    .await;
    let path = service.create(&json!({"name": "s1"})).await.path();
    let was = long_past(&service, &path).await;
    now_ms.fetch_add(2 * 3_600_000, Ordering::Relaxed);
    eventually("all but 350 events are pruned", || async {
        at(&service, &path, 51).await.status == 410
    })
    .await;
    for past in &was {
        // What was before the unit changed is told by the state that one event in 64 keeps, and by nothing else.
        let expected = if past.revision() > 51 { 200 } else { 410 };
        let again = at(&service, &path, past.revision()).await.expect(expected);
        assert!(expected == 410 || again.text() == past.text());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_was_never_one_of_the_sensor_is_404_and_what_is_no_revision_400() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "s1"})).await.path();
    service.create(&json!({"name": "s2"})).await;
    for revision in [2, 3, 999] {
        at(&service, &path, revision).await.expect(404);
    }
    at(&service, "/sensors/nobody", 1).await.expect(404);
    at(&service, "/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90", 1)
        .await
        .expect(404);
    for bad in [
        "0",
        "-1",
        "+1",
        "1.0",
        "x",
        "",
        "99999999999999999999",
        "1&revision=1",
        "1&x=1",
    ] {
        let refused = service.get(&format!("{path}?revision={bad}")).await.expect(400);
        assert!(!refused.problem().detail.is_empty());
    }
    service.delete(&path).await.expect(204);
    at(&service, &path, 3).await.expect(404);
    at(&service, &path, 1).await.expect(200);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pruned_is_410_and_what_the_present_still_tells_is_rebuilt() {
    let now_ms = Arc::new(AtomicI64::new(NOW_MS));
    let hands = Arc::clone(&now_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |config| {
        (config.store.event_retention_hours, config.store.event_retention_min) = (1, 3);
    })
    .await;
    let path = service.create(&json!({"name": "s1", "unit": "Cel"})).await.path();
    let mut was = Vec::new();
    for change in [
        json!({"value": 1}),
        json!({"value": 2}),
        json!({"value": 3}),
        json!({"kind": "k"}),
    ] {
        now_ms.fetch_add(1000, Ordering::Relaxed);
        was.push(service.patch(&path, &change).await.expect(200));
    }
    now_ms.fetch_add(2 * 3_600_000, Ordering::Relaxed);
    let cursor = |revision: i64| {
        let epoch = &was[0].etag()[1..9];
        format!("{path}/history?cursor={epoch}.{revision}")
    };
    // One by one at times: only what is published may go.
    eventually("2 events are pruned", || async {
        service.get(&cursor(1)).await.status == 410
    })
    .await;
    let gone = at(&service, &path, 1).await.expect(410).problem().document;
    assert!(
        gone["type"].as_str().unwrap().ends_with("/problems/revision-expired"),
        "{gone}"
    );
    for past in &was[1..] {
        // Before it was set, the kind was not told by anything that is left.
        let expected = if past.revision() == 5 { 200 } else { 410 };
        let again = at(&service, &path, past.revision()).await.expect(expected);
        assert!(expected == 410 || again.text() == past.text());
    }
    service.patch(&path, &json!({"value": 4})).await.expect(200);
    assert_eq!(at(&service, &path, 5).await.expect(200).text(), was[3].text());
    let values = column(&points(&service, &format!("{path}/history")).await, "value");
    assert_eq!(values, [json!(2), json!(3), json!(4)]);
    let gone = service.get(&cursor(1)).await.expect(410);
    let problem = gone.problem().document;
    assert_eq!(
        (&problem["oldest"], &problem["head"]),
        (&json!(3), &json!(6)),
        "{problem}"
    );
    assert!(gone.links_to(&format!("{PUBLIC_URL}{path}/history")), "{problem}");
    service.get(&cursor(2)).await.expect(200);
    let ahead = service.get(&cursor(7)).await.expect(400);
    assert!(ahead.problem().detail.starts_with("cursor: "), "{}", ahead.text());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_has_a_point_for_every_change_of_value_and_status() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "s1", "unit": "Cel"})).await.path();
    let minute = |minute| format!("2026-11-22T11:{minute:02}:00.000Z");
    for body in [
        json!({"value": 1, "measured_at": minute(1)}),
        json!({"kind": "k"}),
        json!({"value": 2.5, "measured_at": minute(2)}),
        json!({"status": "inactive"}),
        json!({"status": "active", "value": "on", "measured_at": minute(4)}),
        json!({"measured_at": minute(5)}),
        json!({"value": null}),
    ] {
        service.patch(&path, &body).await.expect(200);
    }
    let history = service.get(&format!("{path}/history")).await.expect(200);
    assert_eq!(history.header("cache-control"), Some("no-store"));
    let document = history.json();
    assert_eq!((&document["name"], &document["unit"]), (&json!("s1"), &json!("Cel")));
    let points = document["points"].as_array().unwrap();
    assert_eq!(column(points, "revision"), [1, 2, 4, 5, 6, 7, 8].map(Value::from));
    let null = Value::Null;
    let values = [
        null.clone(),
        json!(1),
        json!(2.5),
        json!(2.5),
        json!("on"),
        json!("on"),
        null,
    ];
    assert_eq!(column(points, "value"), values);
    assert_eq!(points[1]["time"], json!(minute(1)));
    assert_eq!(
        (&points[3]["status"], &points[3]["measured_at"]),
        (&json!("inactive"), &json!(minute(2)))
    );
    assert_ne!(points[3]["time"], points[3]["measured_at"], "it was not measured then");
    assert_eq!(points[5]["time"], json!(minute(5)));
    service.delete(&path).await.expect(204);
    let points = self::points(&service, &format!("{path}/history")).await;
    assert_eq!((points.len(), &points[7]["deleted"]), (8, &json!(true)));
    service.get("/sensors/s1/history").await.expect(404);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_about_the_history_is_400_and_names_the_parameter() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for (query, named) in [
        ("from=yesterday", "from"),
        ("to=2026-11-22", "to"),
        ("from=2026-11-22T11:00:00+01:00", "from"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=%2B5", "limit"),
        ("cursor=7", "cursor"),
        ("until=2026-11-22T11:00:00Z", "until"),
        ("limit=5&limit=5", "limit"),
    ] {
        let refused = service.get(&format!("/sensors/s1/history?{query}")).await.expect(400);
        assert!(refused.problem().detail.contains(named), "{query}: {}", refused.text());
    }
    let gone = service.get("/sensors/s1/history?cursor=aaaaaaaa.1").await.expect(410);
    assert_eq!(gone.problem().document["oldest"], 1, "{}", gone.text());
    let headers = [("accept", "text/csv")];
    service
        .request("GET", "/sensors/s1/history", &headers, "")
        .await
        .expect(406);
    service
        .request("POST", "/sensors/s1/history", &[], "")
        .await
        .expect(405);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plot_is_linked_and_has_a_line_for_every_run_of_values() {
    let service = Service::start().await;
    let made = service
        .create(&json!({"name": "s1", "unit": "Cel<&>", "value": 1}))
        .await;
    let path = made.path();
    for body in [
        json!({"value": 2}),
        json!({"value": "no number"}),
        json!({"value": 3}),
        json!({"status": "inactive"}),
        json!({"status": "active", "value": 7}),
        json!({"value": 8}),
        json!({"value": -8e307}),
    ] {
        service.patch(&path, &body).await.expect(200);
    }
    let href = link(&made.json(), "version-history").unwrap();
    let history = service.follow(&href).await.expect(200).json();
    let href = link(&history, "alternate").unwrap();
    let local = href.split_once(":8000").unwrap().1;
    let plot = service
        .request(
            "GET",
            local,
            &[("accept", "image/avif,image/svg+xml,image/*,*/*;q=0.8")],
            "",
        )
        .await;
    let plot = plot.expect(200);
    assert_eq!(plot.header("content-type"), Some(SVG));
    let document = Document::parse(plot.text()).unwrap();
    let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!(
        (count("circle"), plot.text().matches("#1C64BE").count() - 6),
        (6, 2),
        "{}",
        plot.text()
    );
    let words: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.text())
        .map(str::trim)
        .collect();
    assert!(words.contains(&"s1") && words.contains(&"Cel<&>"), "{words:?}");
    assert!(
        words
            .iter()
            .any(|text| text.starts_with("6 values") && text.contains("1 not shown")),
        "{words:?}"
    );
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plot_has_the_newest_values_however_much_else_has_changed_since() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "s1"})).await.path();
    for value in 1..=10 {
        service.patch(&path, &json!({"value": value})).await.expect(200);
    }
    for number in 1..=60 {
        let change = json!({"unit": format!("u{number}")});
        service.patch(&path, &change).await.expect(200);
    }
    for limit in [1, 3, 10, 100] {
        let url = format!("{path}/history?limit={limit}");
        let plot = service.request("GET", &url, &[("accept", SVG)], "").await.expect(200);
        let words = format!("{} value", limit.min(10));
        assert!(plot.text().contains(&words), "{limit}: {}", plot.text());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_values_are_there_is_a_plot() {
    let service = Service::start().await;
    let kinds = [
        vec![],
        vec![json!(5)],
        vec![json!(0), json!(0)],
        vec![json!(1.7e308), json!(-1.7e308)],
        vec![json!(5e-324), json!(0)],
        vec![json!(1_000_000_000_000_i64), json!(1_000_000_000_001_i64)],
        vec![json!(true), json!(false), json!(true)],
        vec![
            json!("open"),
            json!("a <very> & long text that does not fit beside the axis"),
            json!(false),
        ],
        (0..40).map(|level| json!(format!("level {level}"))).collect(),
        vec![json!("237"), json!("238.5")],
    ];
    for (index, values) in kinds.iter().enumerate() {
        let path = service.create(&json!({"name": format!("s{index}")})).await.path();
        for value in values {
            service.patch(&path, &json!({"value": value})).await.expect(200);
        }
        for query in ["", "?limit=1", "?to=2000-01-01T00:00:00Z"] {
            let url = format!("{path}/history{query}");
            let plot = service.request("GET", &url, &[("accept", SVG)], "").await.expect(200);
            Document::parse(plot.text()).unwrap();
            assert!(
                !plot.text().contains("NaN") && !plot.text().contains("inf"),
                "{values:?}"
            );
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_what_is_gone_still_says_whose_it_was() {
    let service = Service::start().await;
    let path = service
        .create(&json!({"name": "s1", "unit": "Cel", "value": 1}))
        .await
        .path();
    service.patch(&path, &json!({"name": "s2"})).await.expect(200);
    service.delete(&path).await.expect(204);
    let history = service.get(&format!("{path}/history")).await.expect(200).json();
    assert_eq!((&history["name"], &history["unit"]), (&json!("s2"), &json!("Cel")));
    assert_eq!(link(&history, "related"), None);
    for relation in ["self", "first", "alternate"] {
        service.follow(&link(&history, relation).unwrap()).await.expect(200);
    }
    let url = format!("{path}/history");
    let plot = service.request("GET", &url, &[("accept", SVG)], "").await.expect(200);
    assert!(plot.text().contains("1 value,"), "{}", plot.text());
    service.finish().await;
}
