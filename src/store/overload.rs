//! Writes that come faster than they can be made: how many may wait then, so that those that are served are served soon.
//!
//! A queue is there for bursts. One that does not empty any more makes everybody wait and nobody faster, so that whoever comes
//! then is told at once to come back: controlled delay (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012;
//! in servers: Maurer, "Fail at Scale", ACM Queue 13(8), 2015), with the number of those who wait in the place of their time,
//! because the writer knows how many it serves in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the queue may stay filled: a burst that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the statements of a group may always take.
const MIN_GROUP_LIMIT: Duration = Duration::from_millis(5);
/// How many commands may always wait: 64 clients can write one thing after the other, on however slow a machine, and none is refused,
/// with some room for what the service itself asks of the writer.
const MIN_WAITING: usize = 72;

/// How many writes may wait now; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct QueueLimit(Arc<AtomicUsize>);

impl QueueLimit {
    pub(super) fn new(usual: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(usual)))
    }

    /// Whether one more may wait where so many do.
    pub(super) fn admits(&self, waiting: usize) -> bool {
        waiting < self.get()
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the writer sees of its queue, from which the limit follows.
#[derive(Debug)]
pub(super) struct Overload {
    limit: QueueLimit,
    usual: usize,
    /// When the writer had taken all that waited.
    emptied_at: Instant,
    last_commit: Duration,
}

impl Overload {
    pub(super) fn new(limit: QueueLimit) -> Self {
        Self {
            usual: limit.get(),
            limit,
            emptied_at: Instant::now(),
            last_commit: Duration::ZERO,
        }
    }

    /// All that waited is taken.
    pub(super) fn emptied(&mut self) {
        self.emptied_at = Instant::now();
    }

    /// Nothing waits, and nothing is being done.
    pub(super) fn idle(&self) {
        self.set_limit(self.usual);
    }

    /// How long the statements of a group may take: half as long as a COMMIT at least, so that a third of the time is work.
    pub(super) fn group_limit(&self) -> Duration {
        (self.last_commit / 2).max(MIN_GROUP_LIMIT)
    }

    /// A group of so many commands is committed. When the queue has not been empty for long, as many may wait as a group takes that
    /// is full; after one that took all that waited, a quarter more, until that is as many as usual.
    pub(super) fn committed(&mut self, commands: usize, is_full: bool, commit: Duration) {
        self.last_commit = commit;
        let before = self.limit.get();
        let is_over = before < self.usual || self.emptied_at.elapsed() > PATIENCE;
        let limit = match (is_over, is_full) {
            (false, _) => self.usual,
            (true, true) => commands.max(MIN_WAITING),
            (true, false) => before.saturating_add(before.div_ceil(4)),
        };
        self.set_limit(limit.min(self.usual));
    }

    fn set_limit(&self, limit: usize) {
        let before = self.limit.0.swap(limit, Ordering::Relaxed);
        if limit < self.usual && before == self.usual {
            tracing::warn!("more writes come than can be made: some are refused with 503");
        } else if limit == self.usual && before < self.usual {
            tracing::info!("all writes are taken again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const USUAL: usize = 1_000;
    const LONG: Duration = Duration::from_millis(300);
    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_that_is_taken_soon_finds_the_usual_place() {
        let limit = QueueLimit::new(USUAL);
        let mut overload = Overload::new(limit.clone());
        sleep(LONG);
        overload.emptied();
        overload.committed(100, true, SHORT);
        assert!(limit.admits(USUAL - 1) && !limit.admits(USUAL));
    }

    #[test]
    fn a_queue_that_does_not_empty_takes_what_a_group_holds_and_more_again_while_groups_take_all() {
        let limit = QueueLimit::new(USUAL);
        let mut overload = Overload::new(limit.clone());
        sleep(LONG);
        overload.committed(100, true, SHORT);
        assert!(limit.admits(99) && !limit.admits(100));
        overload.emptied();
        overload.committed(100, false, SHORT);
        assert!(limit.admits(124) && !limit.admits(125));
        overload.committed(1, true, SHORT);
        assert!(limit.admits(MIN_WAITING - 1) && !limit.admits(MIN_WAITING));
        overload.idle();
        assert!(limit.admits(USUAL - 1));
        sleep(LONG);
        overload.committed(100, true, SHORT);
        assert!(!limit.admits(100));
        for _ in 0..20 {
            overload.emptied();
            overload.committed(10, false, SHORT);
        }
        assert!(limit.admits(USUAL - 1) && !limit.admits(USUAL));
    }

    #[test]
    fn a_slow_disk_makes_groups_longer() {
        let mut overload = Overload::new(QueueLimit::new(USUAL));
        assert_eq!(overload.group_limit(), MIN_GROUP_LIMIT);
        overload.committed(1, false, LONG);
        assert_eq!(overload.group_limit(), LONG / 2);
    }
}
