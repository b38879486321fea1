use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sensorcast::clock::Clock;
use sensorcast::domain::Timestamp;
use serde_json::json;

use crate::harness::Service;

const NOW_MS: i64 = 1_795_345_200_000;
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_a_year_changes_instants_and_no_order() {
    let unix_ms = Arc::new(AtomicI64::new(NOW_MS));
    let hands = Arc::clone(&unix_ms);
    let clock = Clock::new(move || Timestamp::from_unix_ms(hands.load(Ordering::Relaxed)).unwrap());
    let service = Service::start_with_clock(clock, |_| ()).await;
    let mut events = service.subscribe().await;
    let made = service.create(&json!({"name": "s1", "value": 1})).await;
    unix_ms.fetch_sub(YEAR_MS, Ordering::Relaxed);
    let patched = service.patch(&made.path(), &json!({"value": 2})).await.expect(200);
    assert_eq!(patched.revision(), made.revision() + 1);
    assert_eq!(patched.json()["created_at"], made.json()["created_at"]);
    let instants = [
        made.json()["updated_at"].to_string(),
        patched.json()["updated_at"].to_string(),
    ];
    assert!(instants[1] < instants[0], "{instants:?}");
    service.delete(&made.path()).await.expect(204);
    for revision in 1..=3 {
        let event = events.next_event().await;
        assert_eq!(event.revision, revision);
    }
    service.finish().await;
}
