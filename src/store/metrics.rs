use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The numbers that the store keeps about itself.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    pub(super) queue_depth: Gauge,
    pub(super) group_size: Histogram,
    pub(super) commit_seconds: Histogram,
    pub(super) events_pruned: Counter,
    pub(super) events_kept: Gauge,
}

impl StoreMetrics {
    pub(super) fn new() -> Self {
        Self {
            queue_depth: Gauge::default(),
            group_size: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            events_pruned: Counter::default(),
            events_kept: Gauge::default(),
        }
    }

    /// Makes the numbers visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "write_queue_depth",
            "Writes that wait for their answer",
            self.queue_depth.clone(),
        );
        registry.register(
            "write_group_size",
            "Commands that shared a transaction",
            self.group_size.clone(),
        );
        registry.register_with_unit(
            "write_commit",
            "Time that COMMIT took, the sync of the disk included",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register(
            "events_pruned",
            "Events that retention has removed from the log",
            self.events_pruned.clone(),
        );
        registry.register("events_kept", "Events in the log", self.events_kept.clone());
    }
}
