//! The retained states, against a scripted sink that has a memory, in virtual time.

use std::time::Duration;

use tokio::time::sleep;

use super::memory_log::MemoryLog;
use super::recorder::Message::{Event, State};
use super::recorder::{Deed, Memory, REASON, Recorder};
use super::tests::{Running, start_keeping};
use super::{EventLog, Verdict};
use crate::domain::{Cursor, Epoch, Revision};

async fn start(log: &MemoryLog, recorder: &Recorder) -> Running {
    start_keeping(log, recorder, true).await
}

/// What the broker retains when nothing is missing.
fn complete(log: &MemoryLog) -> Memory {
    Memory {
        states: log.revisions(),
        mark: Some(mark(log, log.head().borrow().get())),
    }
}

fn mark(log: &MemoryLog, revision: i64) -> Cursor {
    Cursor {
        epoch: log.epoch().clone(),
        revision: Revision::new(revision),
    }
}

/// Long enough for everything that a broker that answers has to be told.
async fn rest() {
    sleep(Duration::from_mins(1)).await;
}

/// A relay whose broker has all, up to event 20 of 7 sensors.
async fn settled() -> (MemoryLog, Recorder, Running) {
    let (log, recorder) = (MemoryLog::with_sensors(7, 20), Recorder::with_window(4));
    let relay = start(&log, &recorder).await;
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    (log, recorder, relay)
}

/// The connection ends, and the broker comes back with another memory.
async fn comes_back_with(memory: Memory, log: &MemoryLog, recorder: &Recorder) {
    let next = log.head().borrow().next().get();
    recorder.expect(Event(next), &[Deed::HangUp]);
    log.append(1);
    while recorder.connections().len() < 2 {
        recorder.set_memory(memory.clone());
        sleep(Duration::from_millis(1)).await;
    }
    rest().await;
}

#[tokio::test(start_paused = true)]
async fn each_sensor_of_a_batch_comes_once_and_before_its_event() {
    let (log, recorder) = (MemoryLog::with_sensors(3, 5), Recorder::with_window(1));
    recorder.set_memory(Memory {
        mark: Some(mark(&log, 0)),
        ..Memory::default()
    });
    let relay = start(&log, &recorder).await;
    relay.reaches(5).await;
    rest().await;
    let expected = [
        State(1),
        Event(1),
        State(2),
        Event(2),
        State(3),
        Event(3),
        Event(4),
        Event(5),
    ];
    assert_eq!(recorder.messages(), expected);
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_cursor_waits_for_the_state_too() {
    let (log, recorder) = (MemoryLog::with_sensors(3, 3), Recorder::with_window(8));
    recorder.expect(State(2), &[Deed::Ignore]);
    let relay = start(&log, &recorder).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(relay.status.state().acknowledged, Revision::new(1));
    relay.reaches(3).await;
    assert_eq!(recorder.connections(), [vec![1, 2, 3], vec![2, 3]]);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_clears_the_state() {
    let (log, recorder, relay) = settled().await;
    assert!(recorder.memory().states.contains_key(&7));
    log.delete_next();
    relay.reaches(21).await;
    rest().await;
    assert!(!recorder.memory().states.contains_key(&7));
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_lost_its_memory_is_given_all() {
    let (log, recorder, relay) = settled().await;
    comes_back_with(Memory::default(), &log, &recorder).await;
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_with_an_older_memory_is_given_what_changed_since() {
    let (log, recorder, relay) = settled().await;
    let older = recorder.memory();
    log.append(2);
    log.delete_next();
    rest().await;
    assert!(older.states.contains_key(&2) && !recorder.memory().states.contains_key(&2));
    comes_back_with(older, &log, &recorder).await;
    assert_eq!(recorder.memory(), complete(&log));
    // Event 24 comes again, and 21 to 23 were of the sensors 7, 1 and 2.
    let mut swept = recorder.messages();
    swept.retain(|message| matches!(message, State(_)));
    swept.sort_by_key(|message| format!("{message:?}"));
    assert_eq!(swept, [State(1), State(2), State(3), State(7)]);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_with_a_memory_older_than_the_log_is_given_all_and_forgets_the_rest() {
    let (log, recorder, relay) = settled().await;
    let mut older = recorder.memory();
    log.append(7);
    rest().await;
    log.prune(25);
    // A sensor that was deleted since, which the log does not tell any more.
    older.states.insert(99, 1);
    comes_back_with(older, &log, &recorder).await;
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_states_of_another_epoch_are_replaced_and_those_of_its_sensors_cleared() {
    let (log, recorder) = (MemoryLog::with_sensors(700, 2_000), Recorder::with_window(4));
    let mark = Cursor {
        epoch: Epoch::from_random(1),
        revision: Revision::new(2_000),
    };
    recorder.set_memory(Memory {
        states: (500..1_500).map(|sensor| (sensor, 1)).collect(),
        mark: Some(mark),
    });
    let relay = start(&log, &recorder).await;
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_nothing_is_asked_read_or_kept() {
    let (log, recorder) = (MemoryLog::with_sensors(3, 50), Recorder::with_window(4));
    let relay = start_keeping(&log, &recorder, false).await;
    rest().await;
    relay.stops().await;
    assert_eq!(recorder.memory(), Memory::default());
    assert_eq!((recorder.questions(), log.state_reads()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_mark_waits_for_the_last_state_of_the_sweep() {
    let (log, recorder) = (MemoryLog::with_sensors(300, 300), Recorder::with_window(64));
    start_keeping(&log, &recorder, false).await.stops().await;
    recorder.expect(State(250), &[Deed::Ignore]);
    let relay = start(&log, &recorder).await;
    sleep(Duration::from_secs(4)).await;
    assert!(recorder.memory().states.contains_key(&300));
    assert_eq!(recorder.memory().mark, None);
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn events_go_on_during_a_sweep_and_no_state_goes_back() {
    let (log, recorder) = (MemoryLog::with_sensors(5_000, 5_000), Recorder::with_window(8));
    start_keeping(&log, &recorder, false).await.stops().await;
    let relay = start(&log, &recorder).await;
    while recorder.memory().states.len() < 1_000 {
        sleep(Duration::from_millis(1)).await;
    }
    // The changes overtake the sweep on its way through the sensors.
    for _ in 0..12 {
        log.append(400);
        sleep(Duration::from_millis(1)).await;
    }
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    let messages = recorder.messages();
    let first_event = messages.iter().position(|message| *message == Event(5_001)).unwrap();
    assert!(first_event < 2_000, "{first_event} messages before the first event");
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_on_which_the_broker_hangs_up_is_set_aside_and_all_the_rest_arrives() {
    let (log, recorder) = (MemoryLog::with_sensors(50, 50), Recorder::with_window(8));
    start_keeping(&log, &recorder, false).await.stops().await;
    recorder.expect(State(30), &[Deed::HangUp; 100]);
    let relay = start(&log, &recorder).await;
    rest().await;
    let mut expected = complete(&log);
    expected.states.remove(&30);
    expected.mark = None;
    assert_eq!(recorder.memory(), expected);
    log.append(50);
    relay.reaches(100).await;
    assert_eq!(relay.status.state().set_aside, 0);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_comes_again_on_a_connection_that_takes_it() {
    let (log, recorder, relay) = settled().await;
    recorder.expect(State(2), &[Deed::Refuse(Verdict::Never)]);
    log.append(7);
    relay.reaches(27).await;
    rest().await;
    let memory = recorder.memory();
    assert!(memory.states[&2] < log.revisions()[&2]);
    assert!(memory.mark.unwrap().revision < Revision::new(log.revisions()[&2]));
    relay.stops().await;
    let next = start(&log, &recorder).await;
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    next.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_mark_goes_as_far_as_the_first_event_whose_state_was_left_out_and_no_further() {
    let (log, recorder, relay) = settled().await;
    // Before the events 23 and 31.
    recorder.expect(State(2), &[Deed::Refuse(Verdict::Never)]);
    recorder.expect(State(3), &[Deed::Refuse(Verdict::Never)]);
    for (more, head) in [(3, 23), (7, 30), (1, 31)] {
        log.append(more);
        relay.reaches(head).await;
        rest().await;
        assert_eq!(recorder.memory().mark, Some(mark(&log, 22)), "at {head}");
    }
    relay.stops().await;
    assert_eq!(recorder.memory().mark, Some(mark(&log, 22)));
}

#[tokio::test(start_paused = true)]
async fn the_mark_follows_the_cursor_once_a_second_and_not_at_every_event() {
    let (log, recorder, relay) = settled().await;
    let before = recorder.marks();
    for _ in 0..100 {
        log.append(1);
        sleep(Duration::from_millis(45)).await;
    }
    // At once, and after each second of 4.5.
    assert_eq!(recorder.marks() - before, 5);
    rest().await;
    assert_eq!(recorder.marks() - before, 6);
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_acknowledged_is_not_to_blame_for_the_event_after_it() {
    let log = MemoryLog::with_sensors(6, 6);
    let recorder = Recorder::with_window(4).abrupt().script(3, &[Deed::HangUp; 100]);
    let relay = start(&log, &recorder).await;
    rest().await;
    assert_eq!(relay.status.state().set_aside, 1);
    assert_eq!(recorder.connections().len(), 5);
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_the_broker_refuses_holds_nothing_up() {
    let (log, recorder) = (MemoryLog::with_sensors(3, 3), Recorder::with_window(8));
    recorder.expect(State(2), &[Deed::Refuse(Verdict::Never); 100]);
    let relay = start(&log, &recorder).await;
    rest().await;
    let mut expected = complete(&log);
    expected.states.remove(&2);
    expected.mark = None;
    assert_eq!(recorder.memory(), expected);
    assert_eq!(relay.status.state().set_aside, 0);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_in_good_order_the_next_relay_sends_nothing_again() {
    let (log, recorder, relay) = settled().await;
    log.append(1);
    relay.reaches(21).await;
    relay.stops().await;
    assert_eq!(recorder.memory(), complete(&log));
    let next = start(&log, &recorder).await;
    rest().await;
    assert_eq!(recorder.messages(), []);
    next.stops().await;
}

#[tokio::test(start_paused = true)]
async fn events_whose_states_cannot_be_read_are_not_passed_over() {
    let (log, recorder) = (MemoryLog::with_sensors(3, 1_500), Recorder::with_window(8));
    log.fail_state_reads(2);
    let relay = start(&log, &recorder).await;
    rest().await;
    relay.reaches(1_500).await;
    assert_eq!(recorder.connections(), [(1..=1_500).collect::<Vec<_>>()]);
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn states_come_again_that_a_broker_refuses_which_refuses_everything() {
    let log = MemoryLog::with_sensors(3, 3);
    start_keeping(&log, &Recorder::with_window(8), false)
        .await
        .stops()
        .await;
    let recorder = Recorder::with_window(8).refusing_the_presence();
    for sensor in 1..=3 {
        recorder.expect(State(sensor), &[Deed::Refuse(Verdict::Never)]);
    }
    let relay = start(&log, &recorder).await;
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_mark_is_not_written_while_it_is_open_whether_a_state_is_refused_for_its_own_sake() {
    let log = MemoryLog::with_sensors(1, 1);
    start_keeping(&log, &Recorder::with_window(8), false)
        .await
        .stops()
        .await;
    let recorder = Recorder::with_window(8).refusing_the_presence();
    recorder.expect(State(1), &[Deed::RefuseFor(REASON, Duration::from_secs(1)); 3]);
    recorder.expect(Event(2), &[Deed::Refuse(Verdict::Never)]);
    recorder.expect(Event(3), &[Deed::RefuseFor("another", Duration::from_secs(4))]);
    let relay = start(&log, &recorder).await;
    // The second event is behind the end of the sweep, and not answered when that is.
    for _ in 0..2 {
        sleep(Duration::from_millis(300)).await;
        log.append(1);
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(recorder.messages(), [State(1), State(1), Event(2), State(1), Event(3)]);
    assert_eq!(recorder.memory().mark, None);
    rest().await;
    assert_eq!(recorder.memory(), complete(&log));
    relay.stops().await;
}
