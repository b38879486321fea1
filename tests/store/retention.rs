use std::path::Path;
use std::time::{Duration, Instant};

use sensorcast::clock::Clock;
use sensorcast::domain::{Cursor, Revision};
use sensorcast::events::{Feed, FeedError, Start};
use sensorcast::store::{Room, Selection, Store};

use super::fixture::{Hands, change, head, open};

const NOW_MS: i64 = 1_795_345_200_000;
const ROOM: Room = Room {
    events: 100,
    bytes: 1 << 20,
};

/// Waits until the log begins after `pruned_to`.
pub async fn pruned(store: &Store, pruned_to: i64) {
    let started = Instant::now();
    while store.pruned_to().await.unwrap() != Revision::new(pruned_to) {
        let found = store.pruned_to().await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(20), "pruned to {found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets pruning have its turn, more than once.
async fn let_it_prune() {
    tokio::time::sleep(Duration::from_millis(2_500)).await;
}

fn bytes_on_disk(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let wal = path.with_file_name("s.db-wal");
    size(path) + size(&wal)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_until_they_are_old_and_many_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::at(NOW_MS);
    let store = open(&folder.path().join("s.db"), hands.clock(), 24, 10).await;
    change(&store, 30, 5, 5).await;
    store.advance_relay(Revision::new(30)).await.unwrap();
    hands.move_by_hours(23);
    change(&store, 30, 5, 5).await;
    let_it_prune().await;
    assert_eq!(store.pruned_to().await.unwrap(), Revision::ZERO, "none is old");
    hands.move_by_hours(2);
    pruned(&store, 30).await;
    hands.move_by_hours(48);
    let_it_prune().await;
    assert_eq!(
        store.pruned_to().await.unwrap(),
        Revision::new(30),
        "the others are not published"
    );
    store.advance_relay(Revision::new(60)).await.unwrap();
    pruned(&store, 50).await;
    let_it_prune().await;
    assert_eq!(
        store.pruned_to().await.unwrap(),
        Revision::new(50),
        "10 are kept at least"
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_pruned_to_nothing_counts_on_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let hands = Hands::at(NOW_MS);
    let store = open(&path, hands.clock(), 1, 0).await;
    change(&store, 20, 5, 5).await;
    store.advance_relay(Revision::new(20)).await.unwrap();
    hands.move_by_hours(2);
    pruned(&store, 20).await;
    assert!(store.events_after(Revision::ZERO, 100).await.unwrap().is_empty());
    store.close().await;
    drop(store);
    let store = open(&path, hands.clock(), 1, 0).await;
    assert_eq!(head(&store), Revision::new(20));
    assert_eq!(store.pruned_to().await.unwrap(), Revision::new(20));
    change(&store, 1, 1, 1).await;
    let events = store.events_after(Revision::ZERO, 100).await.unwrap();
    assert_eq!(events[0].revision, Revision::new(21));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_before_what_is_kept_is_gone_and_the_one_before_the_oldest_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::at(NOW_MS);
    let store = open(&folder.path().join("s.db"), hands.clock(), 1, 10).await;
    let feed = Feed::new(store.clone());
    let after = |revision| {
        let epoch = store.epoch().clone();
        let revision = Revision::new(revision);
        feed.read_from(Start::After(Cursor { epoch, revision }), Selection::default())
    };
    let mut late = after(0).await.unwrap();
    let mut oldest = feed.read_from(Start::Oldest, Selection::default()).await.unwrap();
    change(&store, 2_000, 5, 50).await;
    store.advance_relay(Revision::new(2_000)).await.unwrap();
    hands.move_by_hours(2);
    pruned(&store, 1_990).await;
    let is_gone = |error: &FeedError| matches!(error, FeedError::Gone { oldest } if oldest.get() == 1_991);
    assert!(after(1_989).await.is_err_and(|error| is_gone(&error)));
    assert!(
        late.page(ROOM).await.is_err_and(|error| is_gone(&error)),
        "pruned while it was open"
    );
    for reader in [&mut after(1_990).await.unwrap(), &mut oldest] {
        let events = reader.page(ROOM).await.unwrap();
        let revisions: Vec<_> = events.iter().map(|event| event.revision.get()).collect();
        assert_eq!(revisions, (1_991..=2_000).collect::<Vec<_>>());
    }
    // What a stream is given at once: one event at least, whatever it takes.
    let mut reader = after(1_990).await.unwrap();
    for (bytes, revisions) in [(1, 1_991..=1_991), (1_000_000, 1_992..=2_000)] {
        let events = reader.next(Room { bytes, ..ROOM }).await.unwrap();
        let given: Vec<_> = events.iter().map(|event| event.revision.get()).collect();
        assert_eq!(given, revisions.collect::<Vec<_>>());
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_makes_no_hole() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::at(NOW_MS);
    let store = open(&folder.path().join("s.db"), hands.clock(), 1, 0).await;
    change(&store, 10, 5, 5).await;
    hands.move_by_hours(-1_000);
    change(&store, 10, 5, 5).await;
    store.advance_relay(Revision::new(20)).await.unwrap();
    hands.move_by_hours(1_000);
    let_it_prune().await;
    let kept = store.events_after(Revision::ZERO, 100).await.unwrap();
    assert_eq!(kept.len(), 20, "the old ones stay behind the young ones");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_200_000_changes_the_disk_holds_what_is_kept() {
    const CHANGES: i64 = 200_000;
    const MAX_BYTES: u64 = 24 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = open(&path, Clock::system(), 0, 1_000).await;
    let relay = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                store.advance_relay(head(&store)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let started = Instant::now();
    let mut largest = 0;
    for _ in 0..20 {
        change(&store, CHANGES / 20, 64, 64).await;
        largest = largest.max(bytes_on_disk(&path));
    }
    println!("{CHANGES} changes in {:?}, at most {largest} bytes", started.elapsed());
    pruned(&store, CHANGES - 1_000).await;
    relay.abort();
    assert!(relay.await.is_err_and(|ended| ended.is_cancelled()));
    assert!(largest < MAX_BYTES, "{largest} bytes");
    store.close().await;
    drop(store);
    let after = bytes_on_disk(&path);
    assert!(after < MAX_BYTES, "{after} bytes");
    let store = open(&path, Clock::system(), 0, 1_000).await;
    assert_eq!(head(&store), Revision::new(CHANGES));
    store.close().await;
}
