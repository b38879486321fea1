//! The values over time, page by page.

use serde_json::{Value, json};

use crate::harness::{PUBLIC_URL, Service, link};
use crate::history::{column, points};

#[tokio::test(flavor = "multi_thread")]
async fn the_history_comes_in_pages_and_in_ranges() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "s1"})).await.path();
    for second in 10..30 {
        let body = json!({"value": second, "measured_at": format!("2026-11-22T11:00:{second}Z")});
        service.patch(&path, &body).await.expect(200);
    }
    let (mut read, mut last) = (Vec::new(), String::new());
    let mut page = service.get("/sensors/s1/history?limit=6").await.expect(200).json();
    loop {
        read.extend(page["points"].as_array().unwrap().clone());
        let Some(next) = link(&page, "next") else { break };
        page = service.follow(&next).await.expect(200).json();
        last = next.strip_prefix(PUBLIC_URL).unwrap().to_owned();
    }
    let plot = service.request("GET", &last, &[("accept", "image/svg+xml")], "").await;
    assert!(plot.expect(200).text().contains("3 values,"));
    assert_eq!(read, points(&service, &format!("{path}/history")).await);
    assert_eq!(read.len(), 21);
    let exactly = service.get("/sensors/s1/history?limit=21&cursor=").await;
    let exactly = exactly.expect(200).json();
    assert_eq!((&exactly["points"], link(&exactly, "next")), (&json!(read), None));
    let own = link(&exactly, "self").unwrap();
    assert!(own.ends_with("/history?limit=21"), "{own}");
    let range = "/sensors/s1/history?from=2026-11-22T11:00:12Z&to=2026-11-22T12:00:15%2B01:00&limit=2";
    let page = service.get(range).await.expect(200).json();
    assert_eq!(
        column(page["points"].as_array().unwrap(), "value"),
        [json!(12), json!(13)]
    );
    let rest = service.follow(&link(&page, "next").unwrap()).await.expect(200).json();
    assert_eq!(column(rest["points"].as_array().unwrap(), "value"), [json!(14)]);
    assert_eq!(link(&rest, "next"), None);
    let picture = link(&rest, "alternate").unwrap();
    assert!(
        picture.ends_with("/history?from=2026-11-22T11:00:12.000Z&to=2026-11-22T11:00:15.000Z"),
        "{picture}"
    );
    assert!(
        service
            .follow(&link(&rest, "related").unwrap())
            .await
            .expect(200)
            .text()
            .contains("\"s1\"")
    );
    service.finish().await;
}

async fn batch_of_500(service: &Service, operation: impl Fn(u32) -> Value) {
    let operations: Vec<Value> = (0..500).map(operation).collect();
    let headers = [("content-type", "application/json"), ("prefer", "return=minimal")];
    let body = json!({ "operations": operations }).to_string();
    service.request("POST", "/batch", &headers, body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_without_points_is_looked_through_in_pieces() {
    let service = Service::start().await;
    let sensor = service.create(&json!({"name": "s1"})).await;
    for round in 0..21 {
        let report = |index| json!({"method": "PUT", "path": "/sensors/s1/value", "body": round * 500 + index});
        batch_of_500(&service, report).await;
    }
    let url = format!("{}/history?from=2099-01-01T00:00:00Z", sensor.path());
    let first = service.get(&url).await.expect(200).json();
    assert_eq!(first["points"], json!([]));
    let second = service
        .follow(&link(&first, "next").expect("more to look at"))
        .await
        .expect(200)
        .json();
    assert_eq!((&second["points"], link(&second, "next")), (&json!([]), None));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plot_is_of_the_newest_40000_events_at_most_and_says_so() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "s1", "value": 1})).await.path();
    let change = |index: u32| json!({"method": "PATCH", "path": "/sensors/s1", "body": {"unit": format!("u{index}")}});
    let words_of_plot = async || {
        let url = format!("{path}/history");
        let plot = service.request("GET", &url, &[("accept", "image/svg+xml")], "").await;
        let text = plot.expect(200).text().to_owned();
        let has = |words| text.contains(words);
        (has("1 value,"), has("no values"), has("of the newest 40000 events"))
    };
    for _ in 0..79 {
        batch_of_500(&service, change).await;
    }
    assert_eq!(words_of_plot().await, (true, false, false));
    batch_of_500(&service, change).await;
    assert_eq!(words_of_plot().await, (false, true, true));
    service.finish().await;
}
