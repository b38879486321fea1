//! A sensor's own log is what the whole log says of it, from wherever it is read.

use sensorcast::domain::{Revision, SensorId};
use sensorcast::store::{Room, Selection, Store, StoredEvent};

use super::fixture::{Hands, change, head, open, remove};
use super::retention::pruned;

const SENSORS: usize = 3;
const NOW_MS: i64 = 1_795_345_200_000;

/// Lives of a few sensors, most of them so long that some of their events keep the state.
async fn live(store: &Store) {
    for (round, changes) in [900, 40, 2, 600, 3].into_iter().enumerate() {
        change(store, changes, SENSORS, 48).await;
        let gone = remove(store, round % SENSORS).await;
        gone.expect("a deletion");
    }
    // One of the sensors that are gone comes back, the other does not.
    change(store, 200, 2, 48).await;
}

async fn compare(store: &Store) {
    let all = store.events_after(Revision::ZERO, usize::MAX).await.unwrap();
    assert!(all.len() > 500, "{} events", all.len());
    for number in 0..SENSORS {
        let sensor: SensorId = format!("00000000-0000-7000-8000-{number:012}").parse().unwrap();
        let own: Vec<&StoredEvent> = all.iter().filter(|event| event.sensor == sensor).collect();
        assert!(own.len() > 100, "{} events of sensor {number}", own.len());
        for after in (0..=head(store).get()).step_by(97).map(Revision::new) {
            let later: Vec<_> = own.iter().filter(|event| event.revision > after).collect();
            for limit in [1, 7, 100, 10_000] {
                let found = store
                    .read_log(&Selection::of(sensor), after, Room::of(limit))
                    .await
                    .unwrap();
                assert!(
                    found.events.iter().eq(later.iter().copied().copied().take(limit)),
                    "{limit} of sensor {number} after {after}"
                );
            }
        }
        for count in [0, 1, 2, 3, 50, 99, own.len() - 1, own.len(), own.len() + 1] {
            let expected = own.iter().rev().nth(count).map(|event| event.revision);
            let found = store.before_newest(sensor, count).await.unwrap();
            assert_eq!(
                found,
                expected.unwrap_or_default(),
                "{count} before the newest of {number}"
            );
        }
    }
    let nobody = "00000000-0000-7000-8000-999999999999".parse().unwrap();
    let of_nobody = store
        .read_log(&Selection::of(nobody), Revision::ZERO, Room::of(10))
        .await
        .unwrap();
    assert!(of_nobody.events.is_empty());
    assert_eq!(store.before_newest(nobody, 0).await.unwrap(), Revision::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_from_anywhere_over_all_lives_and_also_when_its_beginning_is_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::at(NOW_MS);
    let store = open(&folder.path().join("s.db"), hands.clock(), 1, 700).await;
    live(&store).await;
    compare(&store).await;
    store.advance_relay(head(&store)).await.unwrap();
    hands.move_by_hours(2);
    pruned(&store, head(&store).get() - 700).await;
    compare(&store).await;
    store.close().await;
}
