//! The relay against a scripted sink, in virtual time.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::memory_log::MemoryLog;
use super::recorder::{Deed, Recorder};
use super::{EventLog, Relay, RelayStatus, Verdict};
use crate::clock::Clock;
use crate::domain::{Revision, Timestamp};
use crate::wire::presence::PresenceStatus::{Offline, Online};

pub(super) struct Running {
    pub(super) status: RelayStatus,
    stop: oneshot::Sender<Instant>,
    task: JoinHandle<()>,
}

async fn start(log: &MemoryLog, recorder: &Recorder) -> Running {
    start_keeping(log, recorder, false).await
}

pub(super) async fn start_keeping(log: &MemoryLog, recorder: &Recorder, keeps_states: bool) -> Running {
    let started = Instant::now();
    let clock = Clock::new(move || {
        let passed_ms = started.elapsed().as_millis().try_into().unwrap();
        Timestamp::from_unix_ms(passed_ms).unwrap()
    });
    let status = RelayStatus::new(log.head(), clock);
    let relay = Relay::new(log.clone(), recorder.clone(), status.clone()).await.unwrap();
    let relay = relay.keeping_states(keeps_states);
    let (stop, word) = oneshot::channel();
    let task = tokio::spawn(relay.run(word));
    Running { status, stop, task }
}

impl Running {
    pub(super) async fn reaches(&self, revision: i64) {
        let reached = self.status.reached(Revision::new(revision));
        timeout(Duration::from_mins(10), reached)
            .await
            .expect("the relay gets there");
    }

    pub(super) async fn stops(self) {
        self.stop.send(Instant::now() + Duration::from_secs(10)).unwrap();
        timeout(Duration::from_secs(11), self.task)
            .await
            .expect("in time")
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_comes_once_and_in_order_when_nothing_goes_wrong() {
    let (log, recorder) = (MemoryLog::with_events(2_000), Recorder::with_window(64));
    let relay = start(&log, &recorder).await;
    relay.reaches(2_000).await;
    log.append(3);
    relay.reaches(2_003).await;
    relay.stops().await;
    assert_eq!(recorder.connections(), [(1..=2_003).collect::<Vec<_>>()]);
    assert_eq!(log.saved_cursor(), 2_003);
}

#[tokio::test(start_paused = true)]
async fn a_slow_broker_keeps_its_connection_as_long_as_it_answers_at_all() {
    let answer = |revision: i64| [Deed::AcceptAfter(Duration::from_secs(revision.unsigned_abs()))];
    let recorder = (1..=20).fold(Recorder::with_window(20), |recorder, revision| {
        recorder.script(revision, &answer(revision))
    });
    let log = MemoryLog::with_events(20);
    let relay = start(&log, &recorder).await;
    relay.reaches(20).await;
    relay.stops().await;
    assert_eq!(recorder.connections(), [(1..=20).collect::<Vec<_>>()]);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_it_goes_back_to_the_first_unacknowledged_event() {
    let log = MemoryLog::with_events(10);
    let recorder = Recorder::with_window(4).script(5, &[Deed::HangUp]);
    let relay = start(&log, &recorder).await;
    relay.reaches(10).await;
    let connections = recorder.connections();
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[0][..5], [1, 2, 3, 4, 5]);
    assert_eq!(connections[1], [5, 6, 7, 8, 9, 10]);
    assert_eq!(relay.status.state().connections, 2);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_cursor_never_passes_an_event_without_an_answer() {
    let log = MemoryLog::with_events(10);
    let recorder = Recorder::with_window(8).script(3, &[Deed::Ignore; 2]);
    let relay = start(&log, &recorder).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(relay.status.state().acknowledged, Revision::new(2));
    assert_eq!(log.saved_cursor(), 2);
    assert_eq!(recorder.connections(), [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..10].to_vec()]);
    relay.reaches(10).await;
    assert_eq!(
        recorder.connections()[1..],
        [[3, 4, 5, 6, 7, 8, 9, 10], [3, 4, 5, 6, 7, 8, 9, 10]]
    );
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_broker_never_takes_is_set_aside_and_the_others_pass() {
    let log = MemoryLog::with_events(6);
    let recorder = Recorder::with_window(4).script(3, &[Deed::Refuse(Verdict::Never)]);
    let relay = start(&log, &recorder).await;
    relay.reaches(6).await;
    assert_eq!(recorder.connections(), [[1, 2, 3, 4, 5, 6]]);
    assert_eq!(relay.status.state().set_aside, 1);
    assert_eq!(relay.status.state().published, 5);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_broker_gets_the_same_event_again_later_however_often() {
    let log = MemoryLog::with_events(3);
    let recorder = Recorder::with_window(4).script(2, &[Deed::Refuse(Verdict::NotNow); 9]);
    let relay = start(&log, &recorder).await;
    relay.reaches(3).await;
    let connections = recorder.connections();
    assert_eq!(connections.len(), 10);
    assert_eq!(connections[0], [1, 2, 3]);
    // Nothing is sent behind it that could pass it once more.
    assert!(connections[1..9].iter().all(|sent| sent == &[2]), "{connections:?}");
    assert_eq!(connections[9], [2, 3]);
    assert_eq!(relay.status.state().set_aside, 0);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_verdict_is_not_passed_over_by_the_answers_behind_it() {
    let log = MemoryLog::with_events(6);
    let recorder = Recorder::with_window(6).script(3, &[Deed::Refuse(Verdict::Unclear)]);
    let relay = start(&log, &recorder).await;
    relay.reaches(6).await;
    assert_eq!(recorder.connections(), [vec![1, 2, 3, 4, 5, 6], vec![3, 4, 5, 6]]);
    assert_eq!(relay.status.state().set_aside, 0);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn poison_is_sent_alone_once_and_then_set_aside() {
    let log = MemoryLog::with_events(6);
    let recorder = Recorder::with_window(4).script(3, &[Deed::HangUp; 100]);
    let relay = start(&log, &recorder).await;
    relay.reaches(6).await;
    let connections = recorder.connections();
    assert_eq!(connections.len(), 5);
    assert_eq!(connections[3], [3], "alone");
    assert_eq!(connections[4], [4, 5, 6]);
    assert_eq!(relay.status.state().set_aside, 1);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_taken_when_it_travels_alone_is_no_poison() {
    let log = MemoryLog::with_events(6);
    let recorder = Recorder::with_window(4).script(3, &[Deed::HangUp; 3]);
    let relay = start(&log, &recorder).await;
    relay.reaches(6).await;
    assert_eq!(recorder.connections()[3], [3, 4, 5, 6]);
    assert_eq!(relay.status.state().set_aside, 0);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_costs_nothing_but_time() {
    let log = MemoryLog::with_events(3);
    let recorder = Recorder::with_window(4).refuse_connects(20);
    let relay = start(&log, &recorder).await;
    sleep(Duration::from_secs(2)).await;
    let state = relay.status.state();
    assert!(!state.connected);
    assert_eq!(state.last_error.as_deref(), Some("nobody there"));
    assert_eq!(state.oldest_pending, Timestamp::from_unix_ms(1));
    assert_eq!(relay.status.lag().events, 3);
    relay.reaches(3).await;
    assert_eq!(relay.status.lag().events, 0);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_lag_grows_while_the_log_cannot_be_read_whether_the_broker_is_there_or_not() {
    // The last broker comes after some minutes, and the next event alone could be read all the time.
    for (refused_connects, unreadable_from) in [(0, 1), (1_000, 1), (30, 3)] {
        let log = MemoryLog::with_events(3);
        let recorder = Recorder::with_window(4).refuse_connects(refused_connects);
        log.make_unreadable(Some(unreadable_from));
        let relay = start(&log, &recorder).await;
        for minute in 1..=6 {
            sleep(Duration::from_mins(1)).await;
            let lag = relay.status.lag();
            assert!(
                lag.events == 3 && lag.age >= Duration::from_secs(59 * minute),
                "{refused_connects}: {lag:?}"
            );
        }
        assert_eq!(relay.status.state().connected, refused_connects < 1_000);
        log.make_unreadable(None);
        sleep(Duration::from_secs(10)).await;
        let lag = relay.status.lag();
        match refused_connects {
            // Its age is known now.
            1_000 => assert!(lag.age > Duration::from_secs(369), "{lag:?}"),
            _ => assert_eq!((lag.events, lag.age), (0, Duration::ZERO)),
        }
        relay.stops().await;
    }
}

#[tokio::test(start_paused = true)]
async fn how_old_the_oldest_event_is_is_known_before_the_first_attempt_ends() {
    let log = MemoryLog::with_events(3);
    let recorder = Recorder::with_window(4).connecting_in(Duration::from_secs(5));
    let relay = start(&log, &recorder).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(relay.status.state().oldest_pending, Timestamp::from_unix_ms(1));
    relay.reaches(3).await;
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn the_retained_head_follows_within_five_seconds_and_not_at_every_change() {
    let (log, recorder) = (MemoryLog::with_events(1), Recorder::with_window(4));
    let relay = start(&log, &recorder).await;
    relay.reaches(1).await;
    assert_eq!(recorder.presences(), [(Online, 1)]);
    for _ in 0..100 {
        log.append(1);
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(4)).await;
    let presences = recorder.presences();
    assert_eq!(presences.last(), Some(&(Online, 101)));
    assert!(presences.len() <= 4, "{presences:?}");
    relay.stops().await;
    assert_eq!(recorder.presences().last(), Some(&(Offline, 101)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_publishes_what_is_there_and_says_farewell() {
    let (log, recorder) = (MemoryLog::with_events(1_500), Recorder::with_window(4));
    start(&log, &recorder).await.stops().await;
    assert_eq!(recorder.connections(), [(1..=1_500).collect::<Vec<_>>()]);
    assert_eq!(recorder.presences().last(), Some(&(Offline, 1_500)));
    assert_eq!(log.saved_cursor(), 1_500);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_in_time_when_the_broker_does_not_answer() {
    let log = MemoryLog::with_events(5);
    let recorder = Recorder::with_window(4).script(2, &[Deed::Ignore; 100]);
    let relay = start(&log, &recorder).await;
    relay.reaches(1).await;
    relay.stops().await;
    assert_eq!(log.saved_cursor(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_relay_goes_on_where_the_last_one_stopped() {
    let (log, recorder) = (MemoryLog::with_events(5), Recorder::with_window(4));
    let first = start(&log, &recorder).await;
    first.reaches(5).await;
    first.stops().await;
    log.append(2);
    let second = start(&log, &recorder).await;
    second.reaches(7).await;
    second.stops().await;
    assert_eq!(recorder.connections()[1], [6, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_could_not_be_saved_is_saved_without_a_further_event() {
    let (log, recorder) = (MemoryLog::with_events(5), Recorder::with_window(4));
    log.fail_saves(2);
    let relay = start(&log, &recorder).await;
    relay.reaches(5).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(log.saved_cursor(), 5);
    log.fail_saves(usize::MAX);
    log.append(1);
    relay.reaches(6).await;
    relay.stops().await;
    assert_eq!(log.saved_cursor(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_cannot_be_saved_is_not_tried_more_often_because_it_moves() {
    let (log, recorder) = (MemoryLog::with_events(1), Recorder::with_window(4));
    log.fail_saves(usize::MAX);
    let relay = start(&log, &recorder).await;
    for _ in 0..58 {
        log.append(1);
        sleep(Duration::from_millis(250)).await;
    }
    relay.reaches(59).await;
    assert_eq!(log.saves(), 3, "at once, and every 5 s of 14.5");
    log.fail_saves(0);
    relay.stops().await;
    assert_eq!(log.saved_cursor(), 59);
}

#[tokio::test(start_paused = true)]
async fn the_last_cursor_is_saved_also_when_the_save_before_it_failed() {
    let (log, recorder) = (MemoryLog::with_events(5), Recorder::with_window(4));
    let relay = start(&log, &recorder).await;
    relay.reaches(5).await;
    sleep(Duration::from_secs(1)).await;
    log.fail_saves(1);
    log.append(1);
    relay.reaches(6).await;
    relay.stops().await;
    assert_eq!(log.saved_cursor(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_the_presence_and_one_event_gets_the_others() {
    let log = MemoryLog::with_events(5);
    let recorder = Recorder::with_window(4).refusing_the_presence();
    let recorder = recorder.script(1, &[Deed::Refuse(Verdict::Never); 100]);
    let relay = start(&log, &recorder).await;
    relay.reaches(5).await;
    assert_eq!(recorder.connections(), [[1, 2, 3, 4, 5]]);
    assert_eq!(relay.status.state().set_aside, 1);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn events_that_a_broker_refuses_for_several_reasons_with_the_presence_are_set_aside_once_it_takes_one() {
    let log = MemoryLog::with_events(5);
    let recorder = Recorder::with_window(4).refusing_the_presence();
    let recorder = recorder.script(1, &[Deed::Refuse(Verdict::Never)]);
    let recorder = recorder.script(2, &[Deed::RefuseFor("another", Duration::ZERO)]);
    let relay = start(&log, &recorder).await;
    relay.reaches(5).await;
    assert_eq!(recorder.connections(), [[1, 2, 3, 4, 5]]);
    let state = relay.status.state();
    assert_eq!((state.set_aside, state.published), (2, 3));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_for_another_reason_does_not_take_the_cursor_over_those_before_it() {
    let log = MemoryLog::with_events(2);
    let recorder = Recorder::with_window(4).refusing_the_presence();
    let recorder = recorder.script(1, &[Deed::Refuse(Verdict::Never)]);
    let recorder = recorder.script(2, &[Deed::RefuseFor("another", Duration::ZERO); 2]);
    let relay = start(&log, &recorder).await;
    relay.reaches(2).await;
    assert_eq!(recorder.connections(), [[1, 2], [1, 2]]);
    let state = relay.status.state();
    assert_eq!((state.set_aside, state.published), (1, 1));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn a_presence_that_is_taken_in_between_does_not_take_the_cursor_over_what_was_refused_before() {
    let log = MemoryLog::with_events(2);
    let recorder = Recorder::with_window(2).refusing_presences(1);
    let recorder = recorder.script(1, &[Deed::Refuse(Verdict::Never)]);
    let recorder = recorder.script(2, &[Deed::RefuseFor("another", Duration::from_secs(3))]);
    let recorder = recorder.script(3, &[Deed::RefuseFor("another", Duration::ZERO)]);
    let relay = start(&log, &recorder).await;
    sleep(Duration::from_millis(1)).await;
    // The head that has moved is announced before the second event is refused.
    log.append(1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(recorder.presences(), [(Online, 2), (Online, 3)]);
    assert_eq!(relay.status.state().acknowledged, Revision::ZERO);
    relay.reaches(3).await;
    let state = relay.status.state();
    assert_eq!(state.set_aside + state.published, 3);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_broker_refuses_that_refuses_everything_comes_again() {
    let log = MemoryLog::with_events(9);
    let recorder = Recorder::with_window(4).refusing_the_presence();
    let recorder = (1..=9).fold(recorder, |recorder, revision| {
        recorder.script(revision, &[Deed::Refuse(Verdict::Never); 3])
    });
    let relay = start(&log, &recorder).await;
    relay.reaches(9).await;
    assert_eq!(relay.status.state().set_aside, 0);
    assert_eq!(recorder.connections(), vec![(1..=9).collect::<Vec<_>>(); 4]);
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn one_sensor_that_is_refused_for_long_does_not_keep_the_events_behind_from_a_broker_that_refuses_the_presence() {
    const REFUSED: i64 = 300;
    let log = MemoryLog::with_events(REFUSED + 5);
    let recorder = Recorder::with_window(1).refusing_the_presence();
    let recorder = (1..=REFUSED).fold(recorder, |recorder, revision| {
        recorder.script(revision, &[Deed::Refuse(Verdict::Never); 100])
    });
    let relay = start(&log, &recorder).await;
    relay.reaches(REFUSED + 5).await;
    let state = relay.status.state();
    assert_eq!((state.set_aside, state.published), (300, 5));
    relay.stops().await;
}

#[tokio::test(start_paused = true)]
async fn no_event_is_blamed_when_the_broker_hangs_up_for_reasons_of_its_own() {
    let log = MemoryLog::with_events(5);
    for recorder in [Recorder::with_window(4), Recorder::with_window(4).abrupt()] {
        let recorder = recorder.script(3, &[Deed::HangUpForNow; 9]);
        let relay = start(&log, &recorder).await;
        relay.reaches(5).await;
        assert_eq!(relay.status.state().set_aside, 0);
        relay.stops().await;
        log.advance_relay(Revision::ZERO).await.unwrap();
    }
}
