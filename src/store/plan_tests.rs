//! That every page is found by an index, and by which: SQLite tells the plan of the statement that would run.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::list::{count_lead, lead, rows};
use super::select::{self, Condition};
use super::{Options, Retention, Store};
use crate::clock::Clock;
use crate::domain::{Circle, Filter, Listing, Order, Start, Status};
use crate::wire::link::LinkBase;

const ID: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
const SORTS: [&str; 5] = ["id", "name", "created_at", "updated_at", "value"];

async fn store(folder: &std::path::Path) -> Store {
    let options = Options {
        path: folder.join("s.db"),
        links: LinkBase::new("http://localhost:8000", "mqtt://localhost", ""),
        clock: Clock::system(),
        retention: Retention {
            hours: 24,
            min_events: 1_000,
        },
        write_queue_max: 16,
    };
    Store::open(options).await.unwrap()
}

/// What SQLite does for a page when each condition is met by `frequency` sensors, or is common: the steps that find and sort its rows.
async fn plan(store: &Store, listing: &Listing, frequency: Option<u32>) -> Vec<String> {
    let conditions = Condition::all(listing);
    let found = vec![frequency; conditions.len()];
    let lead = lead(listing, &conditions, &found);
    let count_lead = listing.count.then(|| count_lead(&conditions, &found));
    let page = select::page(listing, &conditions, lead, count_lead, rows(listing));
    explain(store, page.sql().as_str()).await
}

async fn explain(store: &Store, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(sql).fetch_all(&store.inner.reads).await.unwrap();
    // The last step sorts the page, once more and for good, by the columns that it is sorted by already.
    let steps = rows.iter().filter(|row| row.get::<i64, _>("parent") != 0);
    steps.map(|row| row.get("detail")).collect()
}

fn sorted_by(sort: &str, filter: Filter) -> Listing {
    Listing {
        filter,
        order: sort.parse().unwrap(),
        limit: 50,
        ..Listing::default()
    }
}

/// Each filter, the index that finds its sensors, and the sort that it has them in.
fn filters() -> Vec<(Filter, &'static str, Option<&'static str>)> {
    const RANGE: &str = "sensors_by_value (value_number>? AND value_number<?";
    const MEMBER: &str = "metadata_by_value (key=? AND value=?";
    const PLACES: &str = "sensor_places VIRTUAL TABLE INDEX 2:";
    let with = |set: fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        filter
    };
    let member = |value: &str| Filter {
        metadata: [("room".to_owned(), value.to_owned())].into(),
        ..Filter::default()
    };
    let since = with(|filter| filter.updated_since = "2026-11-22T11:00:00Z".parse().ok());
    let near = with(|filter| filter.near = Circle::new("179,89".parse().unwrap(), 9e5));
    vec![
        (
            with(|filter| filter.name = "s1".parse().ok()),
            "sensors_by_name (name=?",
            Some("name"),
        ),
        (
            with(|filter| filter.name = "s*".parse().ok()),
            "sensors_by_name (name>? AND name<?",
            Some("name"),
        ),
        (
            with(|filter| filter.kind = "t".parse().ok()),
            "sensors_by_kind (kind=?",
            Some("id"),
        ),
        (
            with(|filter| filter.unit = "Cel".parse().ok()),
            "sensors_by_unit (unit=?",
            Some("id"),
        ),
        (
            with(|filter| filter.status = Some(Status::Active)),
            "sensors_by_status (status=?",
            Some("id"),
        ),
        (member("a"), MEMBER, Some("id")),
        // A text or a number: two places in the index.
        (member("7"), MEMBER, Some("id")),
        (with(|filter| filter.value_min = Some(1.0)), RANGE, Some("value")),
        (with(|filter| filter.value_max = Some(1.0)), RANGE, Some("value")),
        (since, "sensors_by_change (updated_at_ms>?", Some("updated_at")),
        (with(|filter| filter.bbox = "1,2,3,4".parse().ok()), PLACES, None),
        (near, PLACES, None),
    ]
}

#[tokio::test]
async fn a_condition_that_is_rare_is_looked_up_by_its_index_in_every_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for (filter, index, order) in filters() {
        for sort in SORTS {
            for count in [false, true] {
                let listing = Listing {
                    count,
                    ..sorted_by(sort, filter.clone())
                };
                // One more condition comes with the order of values, which half of all sensors have.
                let plan = plan(&store, &listing, Some(1)).await.join("\n");
                let leads = plan.contains(index) || (sort == "value" && plan.contains("sensors_by_value"));
                assert!(leads, "{filter:?} by {sort}:\n{plan}");
                assert!(!plan.contains("SCAN sensors"), "{filter:?} by {sort}:\n{plan}");
                let is_sorted = order == Some(sort);
                assert!(
                    !(is_sorted && plan.contains("TEMP B-TREE")),
                    "{filter:?} by {sort}:\n{plan}"
                );
            }
        }
    }
    store.close().await;
}

#[tokio::test]
async fn without_a_rare_condition_the_order_leads_from_the_cursor_on_and_nothing_is_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let cursors = [
        ("id", format!("id~{ID}"), "sensors_by_id (id"),
        ("name", "name~s1".to_owned(), "sensors_by_name (name"),
        (
            "created_at",
            format!("created_at~7~{ID}"),
            "sensors_by_creation ((created_at_ms,id)",
        ),
        (
            "updated_at",
            "updated_at~7~1".to_owned(),
            "sensors_by_change ((updated_at_ms,revision)",
        ),
        (
            "value",
            format!("value~7~{ID}"),
            "sensors_by_value (value_number>? AND value_number<?",
        ),
    ];
    let both = || Filter {
        bbox: "1,2,3,4".parse().ok(),
        near: Circle::new("2,3".parse().unwrap(), 1_000.0),
        ..Filter::default()
    };
    for (sort, cursor, index) in cursors {
        for (cursor, descending) in [
            (cursor.clone(), false),
            (cursor.clone(), true),
            (format!("before~{cursor}"), true),
        ] {
            for filter in [Filter::default(), both()] {
                let order = Order {
                    descending,
                    ..sort.parse().unwrap()
                };
                let start: Option<Start> = cursor.parse().ok();
                let listing = Listing {
                    order,
                    start,
                    ..sorted_by(sort, filter)
                };
                let plan = plan(&store, &listing, None).await;
                assert_eq!(plan.len(), 1, "{listing:?}: {plan:?}");
                assert!(plan[0].contains(index), "{listing:?}: {plan:?}");
            }
        }
    }
    // Two conditions that are common, one of which has the order.
    let filter = Filter {
        kind: "t".parse().ok(),
        unit: "Cel".parse().ok(),
        ..Filter::default()
    };
    let start = format!("id~{ID}").parse().ok();
    let plan = plan(
        &store,
        &Listing {
            start,
            ..sorted_by("id", filter)
        },
        None,
    )
    .await;
    assert_eq!(plan, ["SEARCH sensors USING INDEX sensors_by_kind (kind=? AND id>?)"]);
    store.close().await;
}

#[tokio::test]
async fn a_number_in_metadata_that_is_common_is_merged_from_its_two_places_and_not_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let filter = Filter {
        metadata: [("floor".to_owned(), "7".to_owned())].into(),
        ..Filter::default()
    };
    for cursor in ["", "before~id~", "id~"] {
        let listing = Listing {
            start: format!("{cursor}{ID}").parse().ok(),
            ..sorted_by("-id", filter.clone())
        };
        let plan = plan(&store, &listing, None).await.join("\n");
        let places = plan.matches("metadata_by_value (key=? AND value=?").count();
        assert_eq!(places, 2, "{plan}");
        assert!(
            plan.contains("MERGE (UNION ALL)") && !plan.contains("TEMP B-TREE"),
            "{plan}"
        );
    }
    store.close().await;
}

#[tokio::test]
async fn a_condition_is_rare_when_a_thousand_sensors_or_one_in_a_hundred_are_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let path = folder.path().join("s.db");
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let insert =
        "WITH RECURSIVE numbers (number) AS (SELECT ? UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
                  INSERT INTO sensors (number, id, name, revision, status, kind, created_at_ms, updated_at_ms, document)
                  SELECT number, 'id' || number, 's' || number, 1, 'active', 't', 0, 0, '{}' FROM numbers";
    let listing = Listing {
        filter: Filter {
            kind: "t".parse().ok(),
            ..Filter::default()
        },
        ..sorted_by("name", Filter::default())
    };
    let conditions = Condition::all(&listing);
    for (numbers, found) in [
        ((1, 999), Some(999)),
        ((1_000, 1_500), None),
        ((150_200, 150_200), Some(1_501)),
    ] {
        sqlx::query(insert)
            .bind(numbers.0)
            .bind(numbers.1)
            .execute(&mut connection)
            .await
            .unwrap();
        assert_eq!(
            store.frequencies(&listing, &conditions).await.unwrap(),
            [found],
            "{numbers:?}"
        );
    }
    connection.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn how_rare_a_condition_is_is_found_out_from_its_index_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for (filter, index, _) in filters() {
        let listing = sorted_by("created_at", filter);
        let plan = explain(&store, select::probe(&Condition::all(&listing)).sql().as_str())
            .await
            .join("\n");
        assert!(plan.contains(index), "{listing:?}:\n{plan}");
        let covered = plan.contains("COVERING INDEX") || plan.contains("VIRTUAL TABLE");
        assert!(covered && !plan.contains("SCAN sensors"), "{listing:?}:\n{plan}");
    }
    store.close().await;
}
