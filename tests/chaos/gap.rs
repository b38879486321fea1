use std::time::{Duration, Instant};

use sensorcast::mirror::MirrorOptions;
use tokio::time::sleep;

use crate::harness::Traffic;
use crate::round::{Failure, SETTLE_LIMIT, Seat, judge};
use crate::world::World;
use crate::writers::Writers;

/// Far more than what the broker keeps for a mirror that has fallen behind: 100, and 20 in flight.
const LOST_AND_KEPT: u64 = 600;

/// A mirror loses events in the middle of a connection that lives, and gets the later ones.
async fn lose_events(adapt: impl Fn(MirrorOptions) -> MirrorOptions) -> Result<(), Failure> {
    let world = World::start().await;
    let writers = Writers::start(&world.http, 1);
    let seat = Seat::new(&world, adapt).await;
    seat.come_alive().await;
    seat.link.set(Traffic::Stalled);
    write_more(&writers, LOST_AND_KEPT).await;
    let stalled_until = writers.revision();
    seat.link.set(Traffic::Flows);
    let start = Instant::now();
    while seat.revision() <= stalled_until && start.elapsed() < SETTLE_LIMIT {
        sleep(Duration::from_millis(1)).await;
    }
    writers.stop().await;
    judge(&world, &[seat]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_slept_through_thousands_of_changes_catches_up() {
    const MISSED: u64 = 3_000;
    let world = World::start().await;
    let writers = Writers::start(&world.http, 2);
    let seat = Seat::new(&world, |options| options).await;
    seat.come_alive().await;
    seat.link.set(Traffic::Cut);
    write_more(&writers, MISSED).await;
    seat.link.set(Traffic::Flows);
    writers.stop().await;
    if let Err(failure) = judge(&world, &[seat]).await {
        panic!("{failure}");
    }
}

async fn write_more(writers: &Writers, count: u64) {
    let until = writers.written() + count;
    while writers.written() < until {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_lost_on_a_living_connection_are_found() {
    if let Err(failure) = lose_events(|options| options).await {
        panic!("{failure}");
    }
}

/// The proof of the proof: what these tests look for is seen when it is there.
#[tokio::test(flavor = "multi_thread")]
async fn without_gap_detection_the_mirror_is_wrong() {
    let failure = lose_events(MirrorOptions::without_gap_detection)
        .await
        .expect_err("a mirror that takes every event for the next one cannot be right");
    assert!(matches!(failure, Failure::Differs { .. }), "{failure}");
    println!("{failure}");
}
