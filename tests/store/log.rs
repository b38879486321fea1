//! Pieces of the log, read from the disk: each ends where there is no more room, and together they have everything.

use std::path::Path;

use sensorcast::clock::Clock;
use sensorcast::domain::{ChangeKind, Revision};
use sensorcast::events::{Feed, FeedError, Start};
use sensorcast::store::{Room, Selection, Store, StoredEvent};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::fixture::{Hands, change, head, open};

const NOW_MS: i64 = 1_795_345_200_000;
const EVENTS: i64 = 120;
/// This one alone is larger than a page.
const HUGE: i64 = 50;
const MAX_PAGE_BYTES: usize = 2 << 20;

/// A store that has nothing of its log in memory, in which the events are large.
async fn with_large_events(path: &Path, then: &str) -> Store {
    let clock: Clock = Hands::at(NOW_MS).clock();
    let store = open(path, clock.clone(), 1, 1_000).await;
    change(&store, EVENTS, 3, 3).await;
    store.close().await;
    drop(store);
    let mut database = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let sql = format!(
        "UPDATE events SET payload = payload || printf('%*s', iif(revision = {HUGE}, 3000000, 30000), ' '); {then}"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    open(path, clock, 1, 1_000).await
}

fn bytes(events: &[StoredEvent]) -> usize {
    events.iter().map(|event| event.payload.len()).sum()
}

fn selections(sensor: &StoredEvent) -> [Selection; 4] {
    [
        Selection::default(),
        Selection {
            sensor: Some(sensor.sensor),
            ..Selection::default()
        },
        Selection {
            kinds: Some(vec![ChangeKind::Modified]),
            ..Selection::default()
        },
        Selection {
            name_prefix: Some(sensor.name.to_string()),
            ..Selection::default()
        },
    ]
}

fn is_selected(selection: &Selection, event: &StoredEvent) -> bool {
    selection.sensor.is_none_or(|sensor| sensor == event.sensor)
        && selection.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
        && selection
            .name_prefix
            .as_ref()
            .is_none_or(|name| event.name.starts_with(name))
}

/// All that `events_after` gives, call by call.
async fn whole(store: &Store) -> Vec<StoredEvent> {
    let mut all: Vec<StoredEvent> = Vec::new();
    loop {
        let reached = all.last().map_or(Revision::ZERO, |last| last.revision);
        let events = store.events_after(reached, 1_000).await.unwrap();
        let Some((_, before_last)) = events.split_last() else {
            return all;
        };
        assert!(bytes(before_last) < MAX_PAGE_BYTES, "{} bytes", bytes(&events));
        all.extend(events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_end_by_their_bytes_leave_nothing_out_and_one_is_empty_only_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_large_events(&folder.path().join("s.db"), "").await;
    let all = whole(&store).await;
    let revisions: Vec<_> = all.iter().map(|event| event.revision.get()).collect();
    assert_eq!(revisions, (1..=EVENTS).collect::<Vec<_>>());
    let feed = Feed::new(store.clone());
    for selection in selections(&all[0]) {
        let selected: Vec<_> = all.iter().filter(|event| is_selected(&selection, event)).collect();
        assert!(selected.len() > 30, "{selection:?}: {} events", selected.len());
        for (events, bytes_at_most) in [(1_000, MAX_PAGE_BYTES), (32, 64 << 10), (1_000, 1), (1, 64 << 10)] {
            let room = Room {
                events,
                bytes: bytes_at_most,
            };
            let mut reader = feed.read_from(Start::Oldest, selection.clone()).await.unwrap();
            let mut found = Vec::new();
            while found.len() < selected.len() {
                let page = reader.page(room).await.unwrap();
                let (_, before_last) = page.split_last().expect("an event");
                assert!(page.len() <= events && bytes(before_last) < bytes_at_most);
                found.extend(page);
            }
            assert!(found.iter().eq(selected.iter().copied()), "{selection:?} by {room:?}");
            let rest = reader.page(room).await.unwrap();
            assert_eq!((rest.len(), reader.position()), (0, head(&store)));
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_for_which_there_is_no_room_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    // What nobody can read, behind what fills a page.
    let damage = format!(
        "UPDATE events SET committed_at_ms = 1 << 62 WHERE revision > {}",
        HUGE + 1
    );
    let store = with_large_events(&folder.path().join("s.db"), &damage).await;
    let to_huge = store.events_after(Revision::ZERO, 1_000).await.unwrap();
    assert_eq!(to_huge.len(), usize::try_from(HUGE).unwrap());
    let feed = Feed::new(store.clone());
    let room = Room {
        events: 1_000,
        bytes: 64 << 10,
    };
    for selection in selections(&to_huge[0]) {
        let mut reader = feed.read_from(Start::Oldest, selection).await.unwrap();
        assert_eq!(reader.page(room).await.unwrap().len(), 3);
        assert_eq!(reader.page(room).await.unwrap().len(), 3);
        let ending = loop {
            match reader.page(room).await {
                Ok(page) => assert!(!page.is_empty(), "passed over"),
                Err(error) => break error,
            }
        };
        assert!(matches!(ending, FeedError::Store(_)), "{ending}");
    }
    store.close().await;
}
