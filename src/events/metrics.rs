use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::status::RelayStatus;

impl RelayStatus {
    /// Registers the metrics of the relay. They are read from the status at each scrape, so that there is one truth.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for RelayStatus {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        // With the full stop that the registry adds to the help of its own metrics.
        let (state, lag) = (self.state(), self.lag());
        let mut metric = |name: &str, help: &str, value: &dyn Encode| value.encode(&mut encoder, name, help);
        metric(
            "sensorcast_relay_lag_events",
            "Committed events that the broker has not acknowledged.",
            &ConstGauge::new(lag.events),
        )?;
        metric(
            "sensorcast_relay_lag_seconds",
            "Age of the oldest committed event that the broker has not acknowledged.",
            &ConstGauge::new(lag.age.as_secs_f64()),
        )?;
        metric(
            "sensorcast_mqtt_connected",
            "1 while there is a connection to the broker.",
            &ConstGauge::new(i64::from(state.connected)),
        )?;
        metric(
            "sensorcast_relay_published_events",
            "Events that the broker acknowledged, repeats included.",
            &ConstCounter::new(state.published),
        )?;
        metric(
            "sensorcast_relay_set_aside_events",
            "Events that the broker does not take; each needs attention.",
            &ConstCounter::new(state.set_aside),
        )?;
        metric(
            "sensorcast_mqtt_reconnects",
            "Connections to the broker after the first one.",
            &ConstCounter::new(state.connections.saturating_sub(1)),
        )
    }
}

/// A metric of any kind, under its name.
trait Encode {
    fn encode(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> fmt::Result;
}

impl<M: EncodeMetric> Encode for M {
    fn encode(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> fmt::Result {
        let metric = encoder.encode_descriptor(name, help, None, self.metric_type())?;
        EncodeMetric::encode(self, metric)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use tokio::sync::watch;

    use super::*;
    use crate::clock::Clock;
    use crate::domain::{Revision, Timestamp};

    #[test]
    fn the_lag_is_told_in_events_and_in_seconds() {
        let (_head, head) = watch::channel(Revision::new(7));
        let at = |unix_ms| Timestamp::from_unix_ms(unix_ms).unwrap();
        let status = RelayStatus::new(head, Clock::new(move || at(5_500)));
        status.update(|state| {
            state.acknowledged = Revision::new(4);
            state.oldest_pending = Some(at(2_000));
        });
        let mut registry = Registry::default();
        status.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "sensorcast_relay_lag_events 3\n",
            "sensorcast_relay_lag_seconds 3.5\n",
            "sensorcast_mqtt_connected 0\n",
            "sensorcast_relay_published_events_total 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
