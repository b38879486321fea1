//! Writes that come faster than they can be made: how many may be under way then, so that those that are served are served soon.
//!
//! A queue is there for bursts. One that does not empty any more makes everybody wait and nobody faster, so that whoever comes
//! then is told at once to come back: controlled delay (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012;
//! in servers: Maurer, "Fail at Scale", ACM Queue 13(8), 2015), with a bound on how many wait in the place of one on how long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

/// How long groups of writes may leave some waiting: a burst that takes longer is none. And how long the writer has had nothing to
/// do when too much is over.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long nobody was refused when too much is over.
const CALM: Duration = Duration::from_secs(1);
/// How many may be under way while there is too much to do: so many clients can write one thing after the other, on however slow a
/// machine, and none is refused.
const FEW: usize = 64;

/// What the writer and those who write know of each other; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Overload(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// How many may be under way usually.
    usual: usize,
    under_way: usize,
    /// Shows how many are under way.
    depth: Gauge,
    /// Since when every group has left some waiting.
    crowded_since: Option<Instant>,
    /// Since when the writer has had nothing to do.
    idle_since: Option<Instant>,
    /// While there is too much to do: when somebody was refused last.
    refused_at: Option<Instant>,
}

/// The place of a write that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Overload);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with(|state| state.set_under_way(state.under_way - 1));
    }
}

impl Overload {
    pub(super) fn new(usual: usize, depth: Gauge) -> Self {
        Self(Arc::new(Mutex::new(State {
            usual,
            under_way: 0,
            depth,
            crowded_since: None,
            idle_since: None,
            refused_at: None,
        })))
    }

    /// A place for one more write; `None` when there is none.
    pub(super) fn admit(&self) -> Option<Place> {
        self.with(State::admit).then(|| Place(self.clone()))
    }

    /// A group is about to be committed; whether it leaves some waiting.
    pub(super) fn took(&self, leaves_some: bool) {
        self.with(|state| state.took(leaves_some));
    }

    /// Nothing waits, and nothing is being done.
    pub(super) fn idle(&self) {
        self.with(|state| state.idle_since = Some(Instant::now()));
    }

    /// There is something to do.
    pub(super) fn busy(&self) {
        self.with(|state| state.idle_since = None);
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
        } else if let Some(refused_at) = &mut self.refused_at {
            *refused_at = Instant::now();
        }
        admits
    }

    fn set_under_way(&mut self, under_way: usize) {
        self.under_way = under_way;
        self.depth.set(i64::try_from(under_way).unwrap_or(i64::MAX));
    }

    fn took(&mut self, leaves_some: bool) {
        if !leaves_some {
            self.crowded_since = None;
            return;
        }
        let since = *self.crowded_since.get_or_insert_with(Instant::now);
        if self.refused_at.is_none() && since.elapsed() > PATIENCE {
            tracing::warn!("more writes come than can be made: some are refused with 503");
            self.refused_at = Some(Instant::now());
        }
    }

    /// Those who were refused may be back at once, so that a moment without work does not say that it is over.
    fn calm_down(&mut self) {
        let Some(refused_at) = self.refused_at else { return };
        if refused_at.elapsed() > CALM || self.idle_since.is_some_and(|since| since.elapsed() > PATIENCE) {
            tracing::info!("all writes are taken again");
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

    /// Groups have left some waiting for long.
    fn overloaded() -> Overload {
        let overload = Overload::new(USUAL, Gauge::default());
        overload.took(true);
        sleep(LONG);
        overload.took(true);
        overload
    }

    /// How many are let in.
    fn admitted(overload: &Overload) -> usize {
        let places: Vec<Place> = iter::from_fn(|| overload.admit()).collect();
        places.len()
    }

    #[test]
    fn a_burst_that_is_taken_soon_finds_the_usual_place() {
        let overload = Overload::new(USUAL, Gauge::default());
        overload.took(true);
        sleep(LONG);
        overload.took(false);
        overload.took(true);
        assert_eq!(admitted(&overload), USUAL);
    }

    #[test]
    fn a_slow_disk_alone_is_no_overload() {
        let overload = Overload::new(USUAL, Gauge::default());
        overload.took(false);
        sleep(LONG);
        overload.took(false);
        assert_eq!(admitted(&overload), USUAL);
    }

    #[test]
    fn few_are_let_in_while_groups_leave_some_waiting_for_long() {
        let overload = overloaded();
        assert_eq!(admitted(&overload), FEW);
        overload.took(false);
        overload.idle();
        overload.busy();
        assert_eq!(admitted(&overload), FEW, "a moment without work");
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
