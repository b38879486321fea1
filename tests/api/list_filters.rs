use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Dice, Service, link};

/// Percent-encodes what a query cannot hold as it is.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~,:*".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The names of all sensors that a query lists, page by page, in the order of the list.
async fn listed(service: &Service, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut page = service.get(&format!("/sensors?{query}")).await.expect(200).json();
    loop {
        found.extend(names(&page));
        let Some(next) = link(&page, "next") else { return found };
        page = service.follow(&next).await.expect(200).json();
    }
}

/// Asserts that the query lists these, with pages of every size, and counts them.
async fn assert_lists(service: &Service, query: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    for limit in [1, 2, 500] {
        let found = listed(service, &format!("{query}&limit={limit}")).await;
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(distinct, expected, "{query}");
        assert_eq!(found.len(), distinct.len(), "{query}: {found:?}");
    }
    let counted = service
        .get(&format!("/sensors?{query}&count=exact&limit=1"))
        .await
        .expect(200)
        .json();
    assert_eq!(counted["count"], expected.len(), "{query}");
}

async fn with_a_plant() -> Service {
    let service = Service::start().await;
    for sensor in [
        json!({"name": "boiler-1", "kind": "temperature", "unit": "Cel", "value": 21.5, "metadata": {"room": "cellar", "floor": -1}}),
        json!({"name": "boiler-2", "kind": "temperature", "unit": "Cel", "value": 60, "status": "inactive", "metadata": {"room": "cellar"}}),
        json!({"name": "boiler", "kind": "pressure", "unit": "bar", "value": 1.5, "metadata": {"room": "attic", "floor": "3"}}),
        json!({"name": "boilers", "kind": "pressure", "value": -3, "metadata": {"floor": 3, "old": true}}),
        json!({"name": "Boiler-3", "kind": "température & Co=1", "unit": "%", "value": "21.5", "metadata": {"old": "true"}}),
        json!({"name": "door", "kind": "contact", "value": true, "metadata": {"a.b": "c", "nested": {"room": "cellar"}, "list": ["cellar"]}}),
        json!({"name": "window"}),
    ] {
        service.create(&sensor).await;
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_lists_the_sensors_that_meet_it_and_no_others() {
    let service = with_a_plant().await;
    let cases: &[(&str, &[&str])] = &[
        ("name=boiler", &["boiler"]),
        ("name=nothing", &[]),
        ("name=boiler-*", &["boiler-1", "boiler-2"]),
        ("name=boiler*", &["boiler", "boiler-1", "boiler-2", "boilers"]),
        ("name=B*", &["Boiler-3"]),
        ("kind=temperature", &["boiler-1", "boiler-2"]),
        ("kind=Temperature", &[]),
        ("kind=temp%C3%A9rature%20%26+Co%3D1", &["Boiler-3"]),
        ("unit=Cel", &["boiler-1", "boiler-2"]),
        ("unit=%25", &["Boiler-3"]),
        ("status=inactive", &["boiler-2"]),
        (
            "status=active",
            &["boiler-1", "boiler", "boilers", "Boiler-3", "door", "window"],
        ),
        ("metadata.room=cellar", &["boiler-1", "boiler-2"]),
        ("metadata.room=attic", &["boiler"]),
        ("metadata.floor=-1", &["boiler-1"]),
        ("metadata.floor=3", &["boiler", "boilers"]),
        ("metadata.floor=3.0", &["boilers"]),
        ("metadata.old=true", &["boilers", "Boiler-3"]),
        ("metadata.old=1", &[]),
        ("metadata.a.b=c", &["door"]),
        ("metadata.list=cellar", &[]),
        ("metadata.nested=cellar", &[]),
        ("metadata.room=", &[]),
        ("metadata.room=cellar&metadata.floor=-1", &["boiler-1"]),
        ("value_min=21.5", &["boiler-1", "boiler-2"]),
        ("value_max=1.5", &["boiler", "boilers"]),
        ("value_min=1.5&value_max=21.5", &["boiler", "boiler-1"]),
        ("value_min=60&value_max=60.0", &["boiler-2"]),
        ("value_min=-1e300", &["boiler", "boilers", "boiler-1", "boiler-2"]),
        (
            "kind=temperature&status=active&value_max=30&name=boiler*&metadata.room=cellar&unit=Cel",
            &["boiler-1"],
        ),
        ("kind=temperature&unit=bar", &[]),
    ];
    for (query, expected) in cases {
        assert_lists(&service, query, expected).await;
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_sensor_no_filter_finds_one() {
    let service = Service::start().await;
    for query in [
        "kind=a&unit=b",
        "kind=a&sort=name",
        "metadata.floor=3&near=0,0",
        "value_min=1&updated_since=2026-01-01T00:00:00Z&bbox=0,0,1,1",
    ] {
        assert_lists(&service, query, &[]).await;
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_sees_a_sensor_as_it_is_now() {
    let service = with_a_plant().await;
    let changes = json!({"kind": "humidity", "unit": null, "metadata": {"room": "roof", "floor": null}, "value": 9, "name": "moved"});
    service.patch("/sensors/boiler-1", &changes).await.expect(200);
    service
        .patch("/sensors/window", &json!({"metadata": {"room": "roof"}}))
        .await
        .expect(200);
    service
        .patch("/sensors/boiler-2", &json!({"metadata": null}))
        .await
        .expect(200);
    service.delete("/sensors/boiler").await.expect(204);
    let cases: &[(&str, &[&str])] = &[
        ("name=boiler*", &["boiler-2", "boilers"]),
        ("kind=temperature", &["boiler-2"]),
        ("kind=humidity", &["moved"]),
        ("unit=Cel", &["boiler-2"]),
        ("metadata.room=cellar", &[]),
        ("metadata.room=attic", &[]),
        ("metadata.room=roof", &["moved", "window"]),
        ("metadata.floor=-1", &[]),
        ("value_min=9&value_max=9", &["moved"]),
        ("value_min=1.5&value_max=1.5", &[]),
    ];
    for (query, expected) in cases {
        assert_lists(&service, query, expected).await;
    }
    service
        .patch("/sensors/moved", &json!({"value": "nine"}))
        .await
        .expect(200);
    assert_lists(&service, "value_min=9&value_max=9", &[]).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_found_whatever_its_keys_and_values_are_made_of() {
    let service = Service::start().await;
    let texts = [
        "a\"b",
        "a'b",
        "a\\b",
        "$.a",
        "a[0]",
        "é✓𝄞",
        "a b&c=d+e%",
        "room",
        "  ",
        "\u{202e}x",
        "null",
    ];
    for (number, text) in texts.iter().enumerate() {
        let sensor = json!({"name": format!("s{number}"), "metadata": {*text: format!("{text}!")}});
        service.create(&sensor).await;
    }
    for (number, text) in texts.iter().enumerate() {
        let query = format!("metadata.{}={}", encoded(text), encoded(&format!("{text}!")));
        assert_lists(&service, &query, &[&format!("s{number}")]).await;
    }
    let long = "x".repeat(257);
    let sensor = json!({"name": "long", "metadata": {"text": &long, "short": &long[1..], &long: 1}});
    service.create(&sensor).await;
    assert_lists(&service, &format!("metadata.short={}", &long[1..]), &["long"]).await;
    for query in [format!("metadata.text={long}"), format!("metadata.{long}=1")] {
        let refused = service.get(&format!("/sensors?{query}")).await.expect(400);
        assert!(refused.problem().detail.contains("256"), "{}", refused.text());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_in_metadata_is_found_whatever_its_exponent() {
    let service = Service::start().await;
    let mut dice = Dice::new(20_261_129, 0);
    let edges = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e-300, 1e23, 0.1, -0.0];
    let random = std::iter::repeat_with(|| f64::from_bits(dice.roll())).filter(|number| number.is_finite());
    let numbers: Vec<f64> = edges.into_iter().chain(random).take(400).collect();
    let create = |(index, number): (usize, &f64)| {
        let body = json!({"name": format!("s{index}"), "metadata": {"n": number, "t": number.to_string()}});
        json!({"method": "POST", "path": "/sensors", "body": body})
    };
    let operations: Vec<_> = numbers.iter().enumerate().map(create).collect();
    let batch = json!({"operations": operations}).to_string();
    let json_type = [("content-type", "application/json")];
    service.request("POST", "/batch", &json_type, batch).await.expect(200);
    let mut missed = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        for query in [format!("metadata.n={number:e}"), format!("metadata.n={number}&name=s*")] {
            // The second one can be too long to be looked for.
            if query.len() < 256 && listed(&service, &query).await != [format!("s{index}")] {
                missed.push(query);
            }
        }
    }
    assert!(missed.is_empty(), "{} of {}: {missed:?}", missed.len(), numbers.len());
    assert_lists(&service, "metadata.t=1e-1", &[]).await;
    service.finish().await;
}

/// A query of places, and the names that it lists.
const PLACES: &[(&str, &[&str])] = &[
    ("bbox=9,41,13,46", &["rome", "milan"]),
    ("bbox=12.4924,41.8902,12.4924,41.8902", &["rome"]),
    ("bbox=12.4925,41,13,42", &[]),
    (
        "bbox=170,-20,-170,-10",
        &["suva", "apia", "on-the-line", "on-the-line-too"],
    ),
    ("bbox=175,-20,180,-10", &["suva", "on-the-line", "on-the-line-too"]),
    ("bbox=-180,-20,-175,-10", &["on-the-line", "on-the-line-too"]),
    ("bbox=0,80,10,90", &["north-pole"]),
    (
        "bbox=-180,-90,180,90",
        &[
            "rome",
            "milan",
            "suva",
            "apia",
            "on-the-line",
            "on-the-line-too",
            "north-pole",
            "near-the-pole",
        ],
    ),
    ("near=12.4924,41.8902", &["rome"]),
    ("near=12.4924,41.8902&radius_m=0", &["rome"]),
    // Some 477.0 km on the ellipsoid.
    ("near=12.4924,41.8902&radius_m=476000", &["rome"]),
    ("near=12.4924,41.8902&radius_m=478000", &["rome", "milan"]),
    ("near=180,-16.25&radius_m=30000", &["on-the-line", "on-the-line-too"]),
    (
        "near=-179,-16&radius_m=400000",
        &["suva", "on-the-line", "on-the-line-too"],
    ),
    ("near=0,90&radius_m=1", &["north-pole"]),
    ("near=100,89.95&radius_m=20000", &["north-pole", "near-the-pole"]),
    (
        "near=0,0&radius_m=20037509",
        &[
            "rome",
            "milan",
            "suva",
            "apia",
            "on-the-line",
            "on-the-line-too",
            "north-pole",
            "near-the-pole",
        ],
    ),
    ("near=12.4924,41.8902&radius_m=478000&bbox=9,45,10,46", &["milan"]),
    ("near=12.4924,41.8902&radius_m=478000&name=r*", &["rome"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn places_are_found_across_the_antimeridian_and_at_the_poles() {
    let service = Service::start().await;
    for (name, longitude, latitude) in [
        ("rome", 12.4924, 41.8902),
        ("milan", 9.1919, 45.4642),
        ("suva", 178.4419, -18.1416),
        ("apia", -171.7513, -13.8507),
        ("on-the-line", 180.0, -16.0),
        ("on-the-line-too", -180.0, -16.5),
        ("north-pole", 30.0, 90.0),
        ("near-the-pole", -150.0, 89.9),
    ] {
        let location = json!({"type": "Point", "coordinates": [longitude, latitude]});
        service.create(&json!({"name": name, "location": location})).await;
    }
    service.create(&json!({"name": "nowhere"})).await;
    for (query, expected) in PLACES {
        assert_lists(&service, query, expected).await;
        assert_lists(&service, &format!("{query}&sort=-name"), expected).await;
    }
    let to_milan = json!({"location": {"type": "Point", "coordinates": [9.19, 45.46]}});
    service.patch("/sensors/rome", &to_milan).await.expect(200);
    service
        .patch("/sensors/suva", &json!({"location": null}))
        .await
        .expect(200);
    service.delete("/sensors/apia").await.expect(204);
    assert_lists(&service, "bbox=9,41,13,46", &["rome", "milan"]).await;
    assert_lists(&service, "near=9.1919,45.4642&radius_m=2000", &["rome", "milan"]).await;
    assert_lists(&service, "bbox=170,-20,-170,-10", &["on-the-line", "on-the-line-too"]).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_many_is_paged_through_to_its_end() {
    let service = Service::start().await;
    let mut expected = 0;
    for number in 0..225_i32 {
        let (x, y) = (f64::from(number % 15) * 1.3 - 9.0, f64::from(number / 15) * 1.3 - 9.0);
        let location = json!({"type": "Point", "coordinates": [x / 1000.0, y / 1000.0]});
        service
            .put(&format!("/sensors/s{number}"), &json!({"location": location}))
            .await
            .expect(201);
        // A degree of the equator is some 111 km, so this is a circle of 1 km; no sensor is near its edge.
        expected += i32::from((x * 111.32).hypot(y * 110.574) <= 1_000.0);
    }
    for limit in [1, 7, 500] {
        let found = listed(&service, &format!("near=0,0&limit={limit}&sort=name")).await;
        assert_eq!(i32::try_from(found.len()).unwrap(), expected);
        assert!(found.is_sorted());
    }
    let page = service
        .get("/sensors?near=0,0&limit=1&count=exact")
        .await
        .expect(200)
        .json();
    assert_eq!(page["count"], expected);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_updated_since_is_told_by_the_instants_that_sensors_show() {
    let service = Service::start().await;
    let mut instants = Vec::new();
    for number in 0..4 {
        let made = service.create(&json!({"name": format!("s{number}")})).await.json();
        instants.push(made["updated_at"].as_str().unwrap().to_owned());
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    assert_lists(
        &service,
        &format!("updated_since={}", instants[0]),
        &["s0", "s1", "s2", "s3"],
    )
    .await;
    assert_lists(&service, &format!("updated_since={}", instants[2]), &["s2", "s3"]).await;
    service.patch("/sensors/s0", &json!({"value": 1})).await.expect(200);
    service.patch("/sensors/s1", &json!({})).await.expect(200);
    assert_lists(&service, &format!("updated_since={}", instants[2]), &["s0", "s2", "s3"]).await;
    assert_lists(&service, "updated_since=2999-01-01T00:00:00%2B02:00", &[]).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_those_members_and_no_others_in_the_bytes_of_the_whole() {
    let service = with_a_plant().await;
    let page = service
        .get("/sensors?fields=value,name,metadata&sort=name")
        .await
        .expect(200);
    let items = page.json()["items"].clone();
    assert_eq!(
        items[2],
        json!({"name": "boiler-1", "value": 21.5, "metadata": {"floor": -1, "room": "cellar"}})
    );
    assert!(
        page.text()
            .contains(r#"{"name":"boiler-1","value":21.5,"metadata":{"floor":-1,"room":"cellar"}}"#)
    );
    assert_eq!(items[6], json!({"name": "window"}));
    let links = service.get("/sensors?fields=links&name=door").await.expect(200).json();
    let whole = service.get("/sensors/door").await.expect(200).json();
    assert_eq!(links["items"], json!([{"links": whole["links"]}]));
    let all = "id,name,kind,unit,value,measured_at,status,location,metadata,revision,created_at,updated_at,links";
    let all = service.get(&format!("/sensors?fields={all}")).await.expect(200).json();
    assert_eq!(all["items"], service.get("/sensors").await.json()["items"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_a_number_here_and_a_text_there_is_listed_in_one_order() {
    let service = Service::start().await;
    for number in 0..9 {
        let floor = if number % 3 == 0 { json!("3") } else { json!(3) };
        let body = json!({"name": format!("s{number}"), "metadata": {"floor": floor}});
        service.create(&body).await;
    }
    for (sort, expected) in [("id", "012345678"), ("-id", "876543210"), ("-name", "876543210")] {
        let mut read = String::new();
        let mut page = service
            .get(&format!("/sensors?metadata.floor=3&sort={sort}&limit=2"))
            .await
            .json();
        loop {
            let names = page["items"].as_array().unwrap().iter();
            read.extend(names.map(|item| item["name"].as_str().unwrap().trim_start_matches('s')));
            let Some(next) = link(&page, "next") else { break };
            page = service.follow(&next).await.expect(200).json();
        }
        assert_eq!(read, expected, "{sort}");
    }
    service.finish().await;
}
