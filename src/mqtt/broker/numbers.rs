//! Numbers of the built-in broker for the metrics, and how often its log lines come: at most once a minute, whatever clients do.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use mqtt5::broker::sys_topics::BrokerStats;
use tracing::Event;
use tracing::field::{Field, Visit};

/// The numbers of one broker.
#[derive(Default)]
pub(super) struct Numbers {
    /// The library's own; there when the broker runs.
    pub(super) stats: OnceLock<Arc<BrokerStats>>,
    pub(super) publishes_refused: Count,
    pub(super) impostors_refused: Count,
    pub(super) connections_failed: Count,
    /// Times that the system had no connection to give.
    pub(super) accepts_failed: Count,
    /// Connections that were made while many clients were connected.
    pub(super) in_a_crowd: Count,
}

impl Numbers {
    /// Clients that are connected now, the relay included.
    pub(super) fn connections(&self) -> usize {
        let stats = self.stats.get();
        stats.map_or(0, |stats| stats.clients_connected.load(Ordering::Relaxed))
    }
}

/// A count of something that clients can do as often as they like, and when it was logged last.
#[derive(Default)]
pub(super) struct Count {
    total: AtomicU64,
    told: Mutex<Option<(Instant, u64)>>,
}

const TELL_INTERVAL: Duration = Duration::from_mins(1);

impl Count {
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts one more. `Some` when a line is due (once a minute): how many there were since the last line.
    pub(super) fn one_more(&self) -> Option<u64> {
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match *told {
            None => 0,
            Some((at, before)) if at.elapsed() >= TELL_INTERVAL => before,
            Some(_) => return None,
        };
        *told = Some((Instant::now(), total));
        Some(total.saturating_sub(before))
    }
}

/// What the library reports only in its log, counted since the start of the process.
pub(super) static FROM_LOG: FromLog = FromLog {
    messages_dropped: AtomicU64::new(0),
    connections_refused: AtomicU64::new(0),
};

pub(super) struct FromLog {
    pub(super) messages_dropped: AtomicU64,
    pub(super) connections_refused: AtomicU64,
}

/// Counts a warning of the library. The texts and fields are those of the pinned version.
pub fn read_log(event: &Event<'_>) {
    let mut line = Line::default();
    event.record(&mut line);
    match event.metadata().target() {
        "mqtt5::broker::storage::client_queue" => {
            FROM_LOG.messages_dropped.fetch_add(line.dropped, Ordering::Relaxed);
        }
        // With one limit, that of the clients, its warnings are about connections alone.
        "mqtt5::broker::resource_monitor" => _ = FROM_LOG.connections_refused.fetch_add(1, Ordering::Relaxed),
        _ => {}
    }
}

/// What a line says.
#[derive(Default)]
struct Line {
    /// So many messages were dropped.
    dropped: u64,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "dropped" {
            self.dropped = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
