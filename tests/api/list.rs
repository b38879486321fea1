use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{PUBLIC_URL, Service, link};

async fn with_sensors(count: usize) -> Service {
    let service = Service::start().await;
    for number in 0..count {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_has_an_empty_list_at_revision_0() {
    let service = Service::start().await;
    let list = service.get("/sensors").await.expect(200).json();
    assert_eq!(list["items"], json!([]));
    assert_eq!(list["revision"], 0);
    assert_eq!(list["epoch"].as_str().map(str::len), Some(8));
    assert!(link(&list, "self").is_some() && link(&list, "first").is_some());
    assert_eq!(link(&list, "next"), None);
    let mut members: Vec<_> = list.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["epoch", "items", "links", "revision"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_50_sensors_unless_limit_says_otherwise() {
    let service = with_sensors(52).await;
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    let page = service.get("/sensors").await.expect(200).json();
    assert_eq!(count(&page), 50);
    let next = link(&page, "next").expect("a next page");
    let last = service.follow(&next).await.expect(200).json();
    assert_eq!(count(&last), 2);
    assert_eq!(link(&last, "next"), None);
    for (limit, expected) in [(1, 1), (51, 51), (52, 52), (500, 52)] {
        let page = service.get(&format!("/sensors?limit={limit}")).await.expect(200).json();
        assert_eq!(count(&page), expected);
        assert_eq!(link(&page, "next").is_some(), expected < 52, "limit {limit}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_items_are_the_sensors_as_get_gives_them() {
    let service = with_sensors(7).await;
    for item in service.all_pages(3).await {
        let path = format!("/sensors/{}", item["id"].as_str().unwrap());
        let read = service.get(&path).await.expect(200);
        assert_eq!(read.json(), item);
        let page = service.get("/sensors").await;
        assert!(page.text().contains(read.text()), "the same bytes");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_a_page_lead_to_itself_and_to_the_first() {
    let service = with_sensors(5).await;
    let first = service.get("/sensors?limit=2").await.expect(200);
    let second = service.follow(&link(&first.json(), "next").unwrap()).await.expect(200);
    let own = service.follow(&link(&second.json(), "self").unwrap()).await.expect(200);
    assert_eq!(own.body, second.body);
    let back = service
        .follow(&link(&second.json(), "first").unwrap())
        .await
        .expect(200);
    assert_eq!(back.json()["items"], first.json()["items"]);
    for rel in ["self", "first", "next"] {
        let href = link(&second.json(), rel).unwrap();
        assert!(href.starts_with(&format!("{PUBLIC_URL}/sensors")), "{href}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_carries_the_revision_of_the_store_when_it_was_read() {
    let service = with_sensors(3).await;
    let first = service.get("/sensors?limit=1").await.json();
    assert_eq!(first["revision"], 3);
    service.patch("/sensors/s0", &json!({"value": 1})).await.expect(200);
    let second = service.follow(&link(&first, "next").unwrap()).await.json();
    assert_eq!(second["revision"], 4);
    assert_eq!(second["epoch"], first["epoch"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_a_strong_etag_that_changes_with_it_and_304() {
    let service = with_sensors(2).await;
    let before = service.get("/sensors").await.expect(200).etag();
    let unchanged = service
        .request("GET", "/sensors", &[("if-none-match", &before)], "")
        .await;
    assert_eq!(unchanged.expect(304).etag(), before);
    service.patch("/sensors/s0", &json!({"value": 1})).await.expect(200);
    let changed = service
        .request("GET", "/sensors", &[("if-none-match", &before)], "")
        .await;
    let after = changed.expect(200).etag();
    assert_ne!(before, after);
    service.delete("/sensors/s1").await.expect(204);
    let after_delete = service.get("/sensors").await.etag();
    assert_ne!(after_delete, after);
    assert_ne!(after_delete, before);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_sees_each_lasting_sensor_once_while_others_come_and_go() {
    let service = with_sensors(40).await;
    let lasting: Vec<_> = service.all_pages(500).await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut next = Some(format!("{PUBLIC_URL}/sensors?limit=7"));
    let mut round = 0;
    while let Some(href) = next {
        let page = service.follow(&href).await.expect(200).json();
        for item in page["items"].as_array().unwrap() {
            *seen.entry(item["name"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        for id in ["00000000-0000-7000-8000", "ffffffff-0000-7000-8000"] {
            let path = format!("/sensors/{id}-{round:012}");
            let name = format!("{}{round}", &id[..1]);
            service.put(&path, &json!({"name": name})).await.expect(201);
        }
        if round > 0 {
            service.delete(&format!("/sensors/0{}", round - 1)).await.expect(204);
        }
        service
            .patch(&format!("/sensors/s{round}"), &json!({"value": round}))
            .await
            .expect(200);
        round += 1;
        next = link(&page, "next").filter(|_| round < 30);
    }
    for sensor in lasting {
        let name = sensor["name"].as_str().unwrap();
        assert_eq!(seen.get(name), Some(&1), "{name}");
    }
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_key_was_deleted_still_leads_on() {
    let service = with_sensors(6).await;
    let page = service.get("/sensors?limit=3").await.json();
    for item in page["items"].as_array().unwrap() {
        service
            .delete(&format!("/sensors/{}", item["id"].as_str().unwrap()))
            .await
            .expect(204);
    }
    let rest = service.follow(&link(&page, "next").unwrap()).await.expect(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_own_write_the_tag_of_the_list_before_it_is_never_current() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1", "value": 0})).await;
    let mut before = service.get("/sensors").await.expect(200).etag();
    for value in 1..=500 {
        service.patch(&made.path(), &json!({"value": value})).await.expect(200);
        let list = service
            .request("GET", "/sensors", &[("if-none-match", &before)], "")
            .await
            .expect(200);
        before = list.etag();
    }
    service.finish().await;
}
