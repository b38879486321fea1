//! Writes that come faster than they can be made: how many may wait then, so that those that are served are served soon.
//!
//! A queue is there for bursts. One that does not empty any more makes everybody wait and nobody faster, so that whoever comes
//! then is told at once to come back: controlled delay (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012;
//! in servers: Maurer, "Fail at Scale", ACM Queue 13(8), 2015), with a bound on how many wait in the place of one on how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the queue may stay filled: a burst that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long nobody has to be refused until it is over.
const CALM: Duration = Duration::from_secs(1);
/// How long the statements of a group may always take.
const MIN_GROUP_LIMIT: Duration = Duration::from_millis(5);
/// How many commands may wait while there is too much to do: 64 clients can write one thing after the other, on however slow a machine,
/// and none is refused, with some room for what the service itself asks of the writer.
const FEW: usize = 72;

/// How many writes may wait now; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct QueueLimit(Arc<Bound>);

#[derive(Debug)]
struct Bound {
    limit: AtomicUsize,
    has_refused: AtomicBool,
}

impl QueueLimit {
    pub(super) fn new(usual: usize) -> Self {
        Self(Arc::new(Bound {
            limit: AtomicUsize::new(usual),
            has_refused: AtomicBool::new(false),
        }))
    }

    /// Whether one more may wait where so many do.
    pub(super) fn admits(&self, waiting: usize) -> bool {
        let admits = waiting < self.get();
        if !admits {
            self.0.has_refused.store(true, Ordering::Relaxed);
        }
        admits
    }

    fn get(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }
}

/// What the writer sees of its queue, from which the limit follows.
#[derive(Debug)]
pub(super) struct Overload {
    limit: QueueLimit,
    usual: usize,
    /// When the writer had taken all that waited.
    emptied_at: Instant,
    /// While there is too much to do: when somebody was refused last.
    refused_at: Option<Instant>,
    last_commit: Duration,
}

impl Overload {
    pub(super) fn new(limit: QueueLimit) -> Self {
        Self {
            usual: limit.get(),
            limit,
            emptied_at: Instant::now(),
            refused_at: None,
            last_commit: Duration::ZERO,
        }
    }

    /// All that waited is taken.
    pub(super) fn emptied(&mut self) {
        self.emptied_at = Instant::now();
    }

    /// Nothing waits, and nothing is being done. Those who were refused may be back at once.
    pub(super) fn idle(&mut self) {
        self.calm_down();
    }

    /// How long the statements of a group may take: half as long as a COMMIT at least, so that a third of the time is work.
    pub(super) fn group_limit(&self) -> Duration {
        (self.last_commit / 2).max(MIN_GROUP_LIMIT)
    }

    /// A group is committed.
    pub(super) fn committed(&mut self, commit: Duration) {
        self.last_commit = commit;
        if self.refused_at.is_some() {
            self.calm_down();
        } else if self.emptied_at.elapsed() > PATIENCE {
            tracing::warn!("more writes come than can be made: some are refused with 503");
            self.refused_at = Some(Instant::now());
            self.set_limit(FEW);
        }
    }

    /// The usual number may wait again when nobody has been refused for some time.
    fn calm_down(&mut self) {
        let Some(refused_at) = &mut self.refused_at else { return };
        if self.limit.0.has_refused.swap(false, Ordering::Relaxed) {
            *refused_at = Instant::now();
        } else if refused_at.elapsed() > CALM {
            tracing::info!("all writes are taken again");
            self.refused_at = None;
            self.set_limit(self.usual);
        }
    }

    fn set_limit(&self, limit: usize) {
        self.limit.0.limit.store(limit.min(self.usual), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const USUAL: usize = 1_000;
    const LONG: Duration = Duration::from_millis(150);
    const SHORT: Duration = Duration::from_millis(1);

    /// The queue has not been empty for long.
    fn overloaded() -> (QueueLimit, Overload) {
        let limit = QueueLimit::new(USUAL);
        let mut overload = Overload::new(limit.clone());
        sleep(LONG);
        overload.committed(SHORT);
        (limit, overload)
    }

    #[test]
    fn a_burst_that_is_taken_soon_finds_the_usual_place() {
        let limit = QueueLimit::new(USUAL);
        let mut overload = Overload::new(limit.clone());
        sleep(LONG);
        overload.emptied();
        overload.committed(SHORT);
        assert!(limit.admits(USUAL - 1) && !limit.admits(USUAL));
    }

    #[test]
    fn a_queue_that_does_not_empty_takes_few() {
        let (limit, mut overload) = overloaded();
        assert!(limit.admits(FEW - 1) && !limit.admits(FEW));
        overload.emptied();
        overload.committed(SHORT);
        assert!(limit.admits(FEW - 1) && !limit.admits(FEW));
    }

    #[test]
    fn the_usual_place_is_there_again_once_nobody_was_refused_for_a_second() {
        let (limit, mut overload) = overloaded();
        sleep(CALM / 2);
        assert!(!limit.admits(FEW));
        overload.idle();
        sleep(CALM * 3 / 5);
        overload.idle();
        assert!(!limit.admits(FEW), "somebody was refused since");
        overload.idle();
        sleep(CALM);
        overload.idle();
        assert!(limit.admits(USUAL - 1));
    }

    #[test]
    fn a_slow_disk_makes_groups_longer() {
        let mut overload = Overload::new(QueueLimit::new(USUAL));
        assert_eq!(overload.group_limit(), MIN_GROUP_LIMIT);
        overload.committed(LONG);
        assert_eq!(overload.group_limit(), LONG / 2);
    }
}
