use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Answer, Service, link};

const SORTS: [&str; 10] = [
    "id",
    "-id",
    "name",
    "-name",
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "value",
    "-value",
];

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What sensors are compared by, as the list shows it.
fn key(item: &Value, sort: &str) -> (f64, String) {
    let by = sort.trim_start_matches('-');
    match by {
        "value" => (item["value"].as_f64().unwrap(), item["id"].to_string()),
        "updated_at" => (item["revision"].as_f64().unwrap(), String::new()),
        "created_at" => (0.0, format!("{}{}", item["created_at"], item["id"])),
        other => (0.0, item[other].as_str().unwrap().to_owned()),
    }
}

/// 40 sensors, some with equal values, created and changed in other orders than those of their names.
async fn with_sensors() -> Service {
    let service = Service::start().await;
    for number in 0..40 {
        let name = format!("s{:02}", number * 7 % 40);
        service
            .create(&json!({"name": name, "value": number % 3, "kind": "k"}))
            .await;
    }
    for number in (0..40).step_by(3) {
        let path = format!("/sensors/s{number:02}");
        service
            .patch(&path, &json!({"metadata": {"n": number}}))
            .await
            .expect(200);
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sort_lists_each_sensor_once_in_its_order_forwards_and_back() {
    let service = with_sensors().await;
    service.create(&json!({"name": "text", "value": "none"})).await;
    for sort in SORTS {
        for filter in ["", "&kind=k", "&kind=k&status=active", "&value_min=-1"] {
            let mut pages = vec![
                service
                    .get(&format!("/sensors?sort={sort}&limit=7{filter}"))
                    .await
                    .expect(200)
                    .json(),
            ];
            while let Some(next) = link(pages.last().unwrap(), "next") {
                pages.push(service.follow(&next).await.expect(200).json());
            }
            let items: Vec<_> = pages
                .iter()
                .flat_map(|page| page["items"].as_array().unwrap())
                .collect();
            let text = usize::from(filter.is_empty() && !sort.ends_with("value"));
            assert_eq!(items.len(), 40 + text, "{sort}{filter}");
            let mut keys: Vec<_> = items.iter().map(|item| key(item, sort)).collect();
            if sort.starts_with('-') {
                keys.reverse();
            }
            assert!(
                keys.windows(2).all(|pair| pair[0] < pair[1]),
                "{sort}{filter}: {keys:?}"
            );
            // And back, by the links that the last page and those before it give.
            let mut page = pages.pop().unwrap();
            while let Some(earlier) = pages.pop() {
                let previous = link(&page, "prev").expect("a page before");
                page = service.follow(&previous).await.expect(200).json();
                assert_eq!(names(&page), names(&earlier), "{sort}{filter}");
            }
            assert_eq!(link(&page, "prev"), None, "{sort}{filter}");
            assert!(link(&page, "next").is_some(), "{sort}{filter}");
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_sort_a_sensor_that_keeps_its_place_comes_once_while_others_come_go_and_move() {
    for sort in SORTS {
        let service = with_sensors().await;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut page = service
            .get(&format!("/sensors?sort={sort}&limit=4"))
            .await
            .expect(200)
            .json();
        let mut round = 0;
        loop {
            for name in names(&page) {
                *seen.entry(name).or_default() += 1;
            }
            for name in [format!("a{round}"), format!("z{round}")] {
                service.create(&json!({"name": name, "value": round})).await;
            }
            // Before the place that paging has reached or after it, whatever the sort.
            for number in [round, 39 - round] {
                service.delete(&format!("/sensors/s{number:02}")).await;
            }
            let moved = json!({"value": 100 - round, "name": format!("m{round}")});
            service.patch(&format!("/sensors/s{:02}", 15 + round), &moved).await;
            let Some(next) = link(&page, "next").filter(|_| round < 30) else {
                break;
            };
            page = service.follow(&next).await.expect(200).json();
            round += 1;
        }
        assert!(round >= 7, "{sort}: {round}");
        let rest = service.get("/sensors?name=s*&limit=500").await.expect(200).json();
        for name in names(&rest) {
            assert_eq!(seen.get(&name), Some(&1), "{sort}: {name}");
        }
        service.finish().await;
    }
}

fn link_header(answer: &Answer) -> Vec<(String, String)> {
    let header = answer.header("link").expect("a Link header");
    let read = |value: &str| {
        let (target, parameters) = value.trim().split_once('>').expect("a target");
        let target = target.strip_prefix('<').expect("a target").to_owned();
        let relation = parameters
            .strip_prefix("; rel=\"")
            .and_then(|rest| rest.strip_suffix('"'));
        (relation.expect("a relation").to_owned(), target)
    };
    header.split(", ").map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_header_leads_to_the_same_pages_as_the_links() {
    let service = with_sensors().await;
    let first = service.get("/sensors?limit=15&sort=-value&kind=k").await.expect(200);
    let second = service.follow(&link(&first.json(), "next").unwrap()).await.expect(200);
    let third = service.follow(&link(&second.json(), "next").unwrap()).await.expect(200);
    for (page, relations) in [
        (&first, &["first", "next"][..]),
        (&second, &["first", "prev", "next"]),
        (&third, &["first", "prev"]),
    ] {
        let header = link_header(page);
        let found: Vec<_> = header.iter().map(|(relation, _)| relation.as_str()).collect();
        assert_eq!(found, relations);
        for (relation, target) in &header {
            assert_eq!(link(&page.json(), relation).as_ref(), Some(target));
        }
    }
    let head = service.head("/sensors?limit=15&sort=-value&kind=k").await.expect(200);
    assert_eq!(head.header("link"), first.header("link"));
    assert_eq!(head.etag(), first.etag());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_of_all_pages_and_there_only_when_it_is_asked_for() {
    let service = with_sensors().await;
    service.create(&json!({"name": "text", "value": "none"})).await;
    let page = service.get("/sensors?limit=3&count=exact").await.expect(200).json();
    assert_eq!(page["count"], 41);
    let next = service.follow(&link(&page, "next").unwrap()).await.expect(200).json();
    assert_eq!(next["count"], 41);
    for (query, expected) in [
        ("value_min=1&value_max=1", 13),
        ("sort=value", 40),
        ("name=s0*", 10),
        ("kind=none", 0),
    ] {
        let page = service
            .get(&format!("/sensors?limit=1&count=exact&{query}"))
            .await
            .expect(200)
            .json();
        assert_eq!(page["count"], expected, "{query}");
    }
    assert_eq!(service.get("/sensors?limit=3").await.json().get("count"), None);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_has_the_tag_of_the_store_and_304_until_it_changes() {
    let service = with_sensors().await;
    let epoch = epoch_of(&service).await;
    let third = format!("limit=1&cursor={epoch}.name~s1&sort=name");
    let queries = [
        "kind=k&sort=-updated_at",
        "near=0,0",
        "fields=id&count=exact",
        "metadata.n=3",
        "kind=none",
        &third,
    ];
    for query in queries {
        let path = format!("/sensors?{query}");
        let read = service.get(&path).await.expect(200);
        // Once from the database and once from what was kept: the same.
        let again = service.get(&path).await.expect(200);
        assert_eq!((read.etag(), &read.body), (again.etag(), &again.body), "{query}");
        let tag = read.etag();
        let unchanged = service
            .request("GET", &path, &[("if-none-match", &tag)], "")
            .await
            .expect(304);
        assert_eq!(unchanged.etag(), tag);
        service
            .request("GET", &path, &[("if-match", &tag)], "")
            .await
            .expect(200);
        service
            .patch("/sensors/s01", &json!({"metadata": {"query": query}}))
            .await
            .expect(200);
        let changed = service
            .request("GET", &path, &[("if-none-match", &tag)], "")
            .await
            .expect(200);
        assert_ne!(changed.etag(), tag);
        assert_eq!(changed.revision(), service.store_revision().await);
        service
            .request("GET", &path, &[("if-match", &tag)], "")
            .await
            .expect(412);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_kept_is_never_older_than_a_write_that_was_answered() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1", "kind": "k", "value": 0})).await;
    for value in 1..=200 {
        service.patch(&made.path(), &json!({"value": value})).await.expect(200);
        for query in ["", "?kind=k", "?sort=-value", "?fields=value"] {
            let page = service.get(&format!("/sensors{query}")).await.expect(200).json();
            assert_eq!(page["items"][0]["value"], value, "{query}");
            assert_eq!(page["revision"], value + 1, "{query}");
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_beyond_either_end_is_empty_and_leads_to_the_first() {
    let service = with_sensors().await;
    let epoch = epoch_of(&service).await;
    let end = service
        .get(&format!("/sensors?sort=name&cursor={epoch}.name~zzz"))
        .await
        .expect(200)
        .json();
    let start = service
        .get(&format!("/sensors?sort=name&cursor={epoch}.before~name~a"))
        .await
        .expect(200)
        .json();
    for page in [end, start] {
        assert_eq!(page["items"], json!([]));
        assert_eq!((link(&page, "next"), link(&page, "prev")), (None, None));
        let first = service.follow(&link(&page, "first").unwrap()).await.expect(200).json();
        assert_eq!(names(&first)[0], "s00");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_sensors_ends_before_its_limit_and_leads_on() {
    let service = Service::start().await;
    let metadata = json!({"a": "x".repeat(15_000)});
    for batch in 0..5 {
        let create = |number: u32| {
            let body = json!({"name": format!("s{batch}-{number}"), "metadata": metadata});
            json!({"method": "POST", "path": "/sensors", "body": body})
        };
        let operations: Vec<Value> = (0..40).map(create).collect();
        let body = json!({ "operations": operations }).to_string();
        let headers = [("content-type", "application/json"), ("prefer", "return=minimal")];
        service.request("POST", "/batch", &headers, body).await.expect(200);
    }
    let mut lengths = Vec::new();
    let mut page = service.get("/sensors?limit=200").await.expect(200);
    loop {
        assert!(page.body.len() < 2_200_000, "{} bytes", page.body.len());
        let json = page.json();
        lengths.push(json["items"].as_array().unwrap().len());
        let Some(next) = link(&json, "next") else { break };
        page = service.follow(&next).await.expect(200);
    }
    assert!(lengths[0] < 200, "{lengths:?}");
    assert_eq!(lengths.iter().sum::<usize>(), 200);
    let xml = [("accept", "application/xml")];
    let page = service.request("GET", "/sensors?limit=200", &xml, "").await.expect(200);
    assert_eq!(page.text().matches("<sensor>").count(), lengths[0]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_life_of_the_store_is_410_and_leads_to_the_first() {
    let service = with_sensors().await;
    let epoch = epoch_of(&service).await;
    let page = service.get("/sensors?limit=2&sort=name").await.expect(200).json();
    let next = link(&page, "next").unwrap();
    let before_a_restore = next.replace(&epoch, "aaaaaaaa");
    assert_ne!(before_a_restore, next);
    let gone = service.follow(&before_a_restore).await.expect(410).problem().document;
    assert_eq!((&gone["epoch"], &gone["oldest"]), (&json!(epoch), &json!(1)));
    let first = service.follow(&link(&gone, "first").unwrap()).await.expect(200).json();
    assert_eq!(first["items"], page["items"]);
    let second = service.follow(&next).await.expect(200).json();
    let by_place_alone = next.replace(&format!("{epoch}."), "");
    assert_ne!(by_place_alone, next);
    let page = service.follow(&by_place_alone).await.expect(200).json();
    assert_eq!(page["items"], second["items"]);
    service.finish().await;
}

async fn epoch_of(service: &Service) -> String {
    let page = service.get("/sensors?limit=1").await.expect(200).json();
    page["epoch"].as_str().unwrap().to_owned()
}
