//! Writes that come faster than they can be made: how many may be under way then, so that those that are served are served soon.
//!
//! A queue is there for bursts. One that does not empty any more makes everybody wait and nobody faster, so that whoever comes
//! then is told soon to come back: controlled delay (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012;
//! in servers: Maurer, "Fail at Scale", ACM Queue 13(8), 2015), with a bound on how many wait in the place of one on how long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::sleep;

/// The most writes that share a transaction; the writer's `group_limit` bounds how long they may take.
pub(super) const MAX_GROUP: usize = 256;
/// How long every new group may find more writes under way than fit into one. A burst is over by then. Writes that came in until then
/// wait for each other, so a longer time makes more of them slow.
const PATIENCE: Duration = Duration::from_millis(10);
/// After the writer was idle for this long, the overload is over.
const REST: Duration = Duration::from_millis(50);
/// After nobody was refused for this long, the overload is over, and told to be.
const CALM: Duration = Duration::from_secs(1);
/// How many writes may be under way during an overload. So up to this many clients, each with one write at a time, are never refused,
/// however slow the machine is.
const FEW: usize = 64;
/// A refusal is delayed by this for each one under way: 10,000 a second at most. Many clients come back at once whatever `Retry-After`
/// says, and refusing them takes time from those who are served.
const REFUSAL_PACE: Duration = Duration::from_micros(100);

/// What the writer and those who write know of each other; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Overload(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// How many may be under way usually.
    usual: usize,
    under_way: usize,
    /// The most that were under way since the last group began.
    most: usize,
    /// Shows how many are under way.
    depth: Gauge,
    /// Since when each group has found more under way than one takes.
    crowded_since: Option<Instant>,
    /// Since when the writer has had nothing to do.
    idle_since: Option<Instant>,
    /// While few are let in: when somebody was refused last.
    refused_at: Option<Instant>,
    /// While the log says that some are refused, at either limit: when somebody was last.
    told_at: Option<Instant>,
    /// How many are being refused.
    refusals: u32,
}

/// The place of a write that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Overload);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with(|state| state.set_under_way(state.under_way - 1));
    }
}

/// A refusal that is being made, until it is dropped.
struct Refusal(Overload);

impl Refusal {
    /// Begins one; it takes so long.
    fn begin(overload: &Overload) -> (Self, Duration) {
        let refusals = overload.with(|state| {
            state.refusals += 1;
            state.refusals
        });
        (Self(overload.clone()), REFUSAL_PACE * refusals)
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.with(|state| state.refusals -= 1);
    }
}

impl Overload {
    pub(super) fn new(usual: usize, depth: Gauge) -> Self {
        Self(Arc::new(Mutex::new(State {
            usual,
            under_way: 0,
            most: 0,
            depth,
            crowded_since: None,
            idle_since: None,
            refused_at: None,
            told_at: None,
            refusals: 0,
        })))
    }

    /// A place for one more write; `None`, after a while, when there is none.
    pub(super) async fn enter(&self) -> Option<Place> {
        let place = self.admit();
        if place.is_none() {
            let (_refusal, delay) = Refusal::begin(self);
            sleep(delay).await;
        }
        place
    }

    fn admit(&self) -> Option<Place> {
        self.with(State::admit).then(|| Place(self.clone()))
    }

    /// A group begins.
    pub(super) fn group_begins(&self) {
        self.with(State::group_begins);
    }

    /// Nothing waits, and nothing is being done.
    pub(super) fn idle(&self) {
        self.with(|state| {
            state.idle_since = Some(Instant::now());
            state.crowded_since = None;
        });
    }

    /// There is something to do.
    pub(super) fn busy(&self) {
        self.with(|state| state.idle_since = None);
    }

    /// Tells when nobody has been refused for a while. Asked from time to time, because without a further write nobody else would notice.
    pub(super) fn tell_end(&self) {
        self.with(|state| {
            if state.told_at.is_some_and(|at| at.elapsed() > CALM) {
                state.told_at = None;
                tracing::info!("all writes are taken again");
            }
        });
    }

    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        // Each change is whole, so that a panic elsewhere leaves nothing half done.
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn admit(&mut self) -> bool {
        self.calm_down();
        let limit = match self.refused_at {
            Some(_) => FEW.min(self.usual),
            None => self.usual,
        };
        let admits = self.under_way < limit;
        if admits {
            self.set_under_way(self.under_way + 1);
        } else {
            self.refuse(limit);
        }
        admits
    }

    /// Whoever comes back sooner than in a second goes on with the same overload: the log may not grow by each refusal.
    fn refuse(&mut self, limit: usize) {
        let now = Instant::now();
        if let Some(refused_at) = &mut self.refused_at {
            *refused_at = now;
        }
        if self.told_at.replace(now).is_none() {
            tracing::warn!(limit, "more writes come than can be made: some are refused with 503");
        }
    }

    fn set_under_way(&mut self, under_way: usize) {
        self.under_way = under_way;
        self.most = self.most.max(under_way);
        self.depth.set(i64::try_from(under_way).unwrap_or(i64::MAX));
    }

    fn group_begins(&mut self) {
        let most = std::mem::replace(&mut self.most, self.under_way);
        if most <= MAX_GROUP {
            self.crowded_since = None;
            return;
        }
        let since = *self.crowded_since.get_or_insert_with(Instant::now);
        if self.refused_at.is_none() && since.elapsed() > PATIENCE {
            self.refused_at = Some(Instant::now());
        }
    }

    /// Refused clients may be back at once, so a moment without work does not mean that the overload is over.
    fn calm_down(&mut self) {
        let Some(refused_at) = self.refused_at else { return };
        if refused_at.elapsed() > CALM || self.idle_since.is_some_and(|since| since.elapsed() > REST) {
            self.refused_at = None;
            self.crowded_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::thread::sleep;

    use super::*;

    const USUAL: usize = 1_000;
    const LONG: Duration = Duration::from_millis(150);

    /// Lets so many in.
    fn enter(overload: &Overload, count: usize) -> Vec<Place> {
        iter::from_fn(|| overload.admit()).take(count).collect()
    }

    /// Many have been under way for long, and all are served.
    fn overloaded() -> Overload {
        let overload = Overload::new(USUAL, Gauge::default());
        let many = enter(&overload, MAX_GROUP + 1);
        overload.group_begins();
        sleep(LONG);
        overload.group_begins();
        drop(many);
        overload
    }

    /// How many are let in.
    fn admitted(overload: &Overload) -> usize {
        enter(overload, usize::MAX).len()
    }

    #[test]
    fn a_burst_that_is_done_soon_finds_the_usual_place() {
        let overload = Overload::new(USUAL, Gauge::default());
        let burst = enter(&overload, USUAL);
        assert_eq!(burst.len(), USUAL);
        overload.group_begins();
        drop(burst);
        overload.idle();
        sleep(LONG);
        overload.busy();
        let next = enter(&overload, USUAL / 2);
        overload.group_begins();
        assert_eq!(admitted(&overload), USUAL - next.len());
    }

    #[test]
    fn as_many_as_a_group_takes_are_no_overload_however_long_it_takes() {
        let overload = Overload::new(USUAL, Gauge::default());
        let many = enter(&overload, MAX_GROUP);
        overload.group_begins();
        sleep(LONG);
        overload.group_begins();
        assert_eq!(admitted(&overload), USUAL - many.len());
    }

    #[test]
    fn clients_that_come_back_at_once_are_an_overload_though_few_are_left_when_a_group_begins() {
        let overload = Overload::new(USUAL, Gauge::default());
        let began = Instant::now();
        while began.elapsed() < LONG {
            drop(enter(&overload, 2 * MAX_GROUP));
            overload.group_begins();
        }
        assert_eq!(admitted(&overload), FEW);
    }

    #[test]
    fn few_are_let_in_while_many_have_been_under_way_for_long() {
        let overload = overloaded();
        assert_eq!(admitted(&overload), FEW);
        overload.group_begins();
        overload.idle();
        overload.busy();
        assert_eq!(admitted(&overload), FEW, "a moment without work");
    }

    #[tokio::test]
    async fn the_more_are_refused_the_longer_a_refusal_takes() {
        let overload = overloaded();
        let few = enter(&overload, FEW);
        let refusals: Vec<(Refusal, Duration)> = (0..200).map(|_| Refusal::begin(&overload)).collect();
        assert_eq!(refusals[199].1, REFUSAL_PACE * 200);
        let asked = Instant::now();
        assert!(overload.enter().await.is_none());
        assert!(asked.elapsed() >= REFUSAL_PACE * 201);
        drop(refusals);
        assert_eq!(Refusal::begin(&overload).1, REFUSAL_PACE);
        drop(few);
        assert!(overload.enter().await.is_some());
    }

    #[test]
    fn the_usual_place_is_there_again_once_nobody_was_refused_for_a_second() {
        let overload = overloaded();
        sleep(CALM / 2);
        assert_eq!(admitted(&overload), FEW);
        sleep(CALM * 3 / 5);
        assert_eq!(admitted(&overload), FEW, "somebody was refused since");
        sleep(CALM + LONG);
        assert_eq!(admitted(&overload), USUAL);
    }

    #[test]
    fn the_usual_place_is_there_again_once_the_writer_had_nothing_to_do() {
        let overload = overloaded();
        assert_eq!(admitted(&overload), FEW);
        overload.idle();
        sleep(LONG);
        assert_eq!(admitted(&overload), USUAL);
    }
}
