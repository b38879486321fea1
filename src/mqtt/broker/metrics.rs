use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::numbers::{FROM_LOG, Numbers};

/// Reads the numbers at each scrape.
#[derive(Clone)]
pub(super) struct BrokerMetrics(pub(super) Arc<Numbers>);

impl Collector for BrokerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let numbers = &*self.0;
        let connections = i64::try_from(numbers.connections()).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(connections);
        // With the full stop that the registry adds to those of its own metrics.
        let help = "Clients that are connected to the built-in broker, the relay included.";
        let metric = encoder.encode_descriptor("sensorcast_broker_connections", help, None, gauge.metric_type())?;
        gauge.encode(metric)?;
        let from_log = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let refused = from_log(&FROM_LOG.connections_refused) + numbers.impostors_refused.total();
        let counters = [
            (
                "sensorcast_broker_connections_refused",
                "Connections that the built-in broker refused: too many, or with the relay's name.",
                refused,
            ),
            (
                "sensorcast_broker_connections_failed",
                "Connections to the built-in broker that ended with an error.",
                numbers.connections_failed.total(),
            ),
            (
                "sensorcast_broker_publishes_refused",
                "Messages of others on the service's topics or the broker's own, which the built-in broker refused.",
                numbers.publishes_refused.total(),
            ),
            (
                "sensorcast_broker_messages_dropped",
                "Messages that the built-in broker dropped because too many waited for a client.",
                from_log(&FROM_LOG.messages_dropped),
            ),
        ];
        for (name, help, count) in counters {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for BrokerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerMetrics")
    }
}
