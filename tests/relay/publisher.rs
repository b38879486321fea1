use std::time::Duration;

use sensorcast::clock::Clock;
use sensorcast::config::{Config, MqttConfig};
use sensorcast::domain::{Revision, Timestamp};
use sensorcast::events::{EventLog, Relay, RelayStatus, Sink};
use sensorcast::mqtt::{Endpoint, PahoSink};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::log::{EPOCH, MemoryLog};

/// A running relay.
pub struct Publisher {
    pub status: RelayStatus,
    stop: oneshot::Sender<Instant>,
    task: JoinHandle<()>,
}

pub const SOURCE: &str = "http://localhost:8000";

impl Publisher {
    pub async fn start(log: &MemoryLog, endpoint: Endpoint) -> Self {
        Self::with_sink(log, sink(endpoint, 1)).await
    }

    pub async fn with_sink(log: &MemoryLog, sink: impl Sink + 'static) -> Self {
        let status = RelayStatus::new(log.head(), Clock::new(|| Timestamp::UNIX_EPOCH));
        let relay = Relay::new(log.clone(), sink, status.clone()).await.unwrap();
        let (stop, word) = oneshot::channel();
        let task = tokio::spawn(relay.run(word));
        Self { status, stop, task }
    }

    pub async fn reaches(&self, revision: i64) {
        let reached = self.status.reached(Revision::new(revision));
        timeout(Duration::from_secs(20), reached).await.unwrap_or_else(|_| {
            panic!("{revision} not reached: {:?}", self.status.state());
        });
    }

    pub async fn stop(self) {
        self.stop.send(Instant::now() + Duration::from_secs(10)).unwrap();
        timeout(Duration::from_secs(11), self.task)
            .await
            .expect("in time")
            .unwrap();
    }
}

pub fn config(qos: u8) -> MqttConfig {
    MqttConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        qos,
        ..Config::default().mqtt
    }
}

pub fn sink(endpoint: Endpoint, qos: u8) -> PahoSink {
    PahoSink::new(
        endpoint,
        &config(qos),
        &EPOCH.parse().unwrap(),
        &SOURCE.parse().unwrap(),
    )
    .unwrap()
}
