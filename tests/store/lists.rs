use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use sensorcast::clock::Clock;
use sensorcast::domain::{Filter, Listing};
use sensorcast::store::Store;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::fixture::{open, set_value};

/// A database as it was before lists had filters, with these documents.
async fn old_database(folder: &Path, path: &Path, documents: &[(&str, &str)]) {
    let steps = folder.join("migrations");
    std::fs::create_dir(&steps).unwrap();
    for step in ["0001_sensors_and_their_log.sql", "0002_log_by_sensor_and_name.sql"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(step);
        std::fs::copy(from, steps.join(step)).unwrap();
    }
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    Migrator::new(steps).await.unwrap().run(&mut connection).await.unwrap();
    for (number, (name, members)) in documents.iter().enumerate() {
        let id = format!("00000000-0000-7000-8000-{number:012}");
        let document = format!(
            r#"{{"id":"{id}","name":"{name}",{members}"status":"active","revision":{},"created_at":"2026-11-22T11:00:00.{number:03}Z","updated_at":"2026-11-22T11:00:01.{number:03}Z"}}"#,
            number + 1
        );
        sqlx::query("INSERT INTO sensors (id, name, revision, status, document) VALUES (?, ?, ?, 'active', ?)")
            .bind(id)
            .bind(*name)
            .bind(i64::try_from(number).unwrap() + 1)
            .bind(document)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

async fn listed(store: &Store, filter: Filter, sort: &str) -> Vec<String> {
    let listing = Listing {
        filter,
        order: sort.parse().unwrap(),
        limit: 10,
        ..Listing::default()
    };
    let page = store.list(&listing).await.unwrap();
    page.records.iter().map(|record| record.name.to_string()).collect()
}

/// Filters and sorts, and the names that they list.
fn cases() -> Vec<(Filter, &'static str, &'static str)> {
    let with = |set: fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        filter
    };
    let member = |key: &str, value: &str| Filter {
        metadata: [(key.to_owned(), value.to_owned())].into(),
        ..Filter::default()
    };
    let since = with(|filter| filter.updated_since = "2026-11-22T11:00:01.002Z".parse().ok());
    vec![
        (with(|_| ()), "id", "dcba"),
        (with(|_| ()), "name", "abcd"),
        (with(|_| ()), "-created_at", "abcd"),
        (with(|_| ()), "updated_at", "dcba"),
        (with(|_| ()), "value", "bd"),
        (with(|filter| filter.kind = "temperature".parse().ok()), "id", "d"),
        (with(|filter| filter.unit = "Cel".parse().ok()), "id", "d"),
        (with(|filter| filter.name = "a*".parse().ok()), "id", "a"),
        (member("room", "cellar"), "id", "c"),
        (member("floor", "3"), "id", "c"),
        (member("old", "true"), "id", "c"),
        (with(|filter| filter.value_min = Some(21.5)), "id", "d"),
        (since, "id", "ba"),
        (with(|filter| filter.bbox = "12,41,13,42".parse().ok()), "id", "b"),
    ]
}

#[tokio::test]
async fn sensors_from_before_are_found_by_every_filter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let documents = [
        ("d", r#""kind":"temperature","unit":"Cel","value":21.5,"#),
        (
            "c",
            r#""value":"21.5","metadata":{"floor":3,"old":true,"room":"cellar"},"#,
        ),
        (
            "b",
            r#""value":-7,"location":{"type":"Point","coordinates":[12.5,41.9]},"#,
        ),
        ("a", ""),
    ];
    old_database(folder.path(), &path, &documents).await;
    let store = open(&path, Clock::system(), 24, 1_000).await;
    for (filter, sort, expected) in cases() {
        let found = listed(&store, filter.clone(), sort).await.concat();
        assert_eq!(found, expected, "{filter:?} by {sort}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_sensor_for_which_a_page_has_no_room_is_not_read() {
    const LARGE: usize = 36;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let note = format!(r#""metadata":{{"note":"{}"}},"#, "x".repeat(60_000));
    let names: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
    let documents: Vec<_> = names.iter().map(|name| (name.as_str(), note.as_str())).collect();
    old_database(folder.path(), &path, &documents).await;
    open(&path, Clock::system(), 24, 1_000).await.close().await;
    let mut database = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    // What nobody can read, behind what fills a page.
    sqlx::query("UPDATE sensors SET name = CAST(x'ff' || name AS TEXT) WHERE rowid > ?")
        .bind(i64::try_from(LARGE).unwrap())
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let store = open(&path, Clock::system(), 24, 1_000).await;
    let mut listing = Listing {
        limit: 100,
        ..Listing::default()
    };
    let page = store.list(&listing).await.unwrap();
    assert_eq!(page.records.len(), LARGE - 1);
    listing.start = page.next;
    assert!(listing.start.is_some());
    store.list(&listing).await.unwrap_err();
    store.close().await;
}

#[tokio::test]
async fn a_common_value_and_a_rare_one_are_found_alike() {
    const SENSORS: usize = 1_300;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = open(&path, Clock::system(), 24, 1_000).await;
    let numbers: Vec<usize> = (0..SENSORS).collect();
    // So many may always wait.
    for some in numbers.chunks(64) {
        let written = some
            .iter()
            .map(|number| set_value(&store, *number, i64::try_from(*number).unwrap()));
        for outcome in join_all(written).await {
            outcome.unwrap();
        }
    }
    // More than 1,000 have a value of 100 or more, fewer than that one below.
    for (value_min, value_max, expected) in [(Some(100.0), None, SENSORS - 100), (None, Some(99.0), 100)] {
        for sort in ["id", "name", "-updated_at", "value"] {
            let mut listing = Listing {
                filter: Filter {
                    value_min,
                    value_max,
                    name: "s*".parse().ok(),
                    ..Filter::default()
                },
                order: sort.parse().unwrap(),
                limit: 70,
                count: true,
                ..Listing::default()
            };
            let mut found = BTreeSet::new();
            loop {
                let page = store.list(&listing).await.unwrap();
                assert_eq!(page.count, u64::try_from(expected).ok(), "{listing:?}");
                found.extend(page.records.into_iter().map(|record| record.id.to_string()));
                listing.start = page.next;
                if listing.start.is_none() {
                    break;
                }
            }
            assert_eq!(found.len(), expected, "{listing:?}");
        }
    }
    store.close().await;
}
