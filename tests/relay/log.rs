use std::convert::Infallible;
use std::sync::Arc;

use sensorcast::domain::{ChangeKind, Epoch, Revision, SensorId, Timestamp};
use sensorcast::events::EventLog;
use sensorcast::store::{SensorState, StoredEvent};
use tokio::sync::watch;

/// A log in memory; what an event holds follows from its revision.
#[derive(Clone)]
pub struct MemoryLog {
    epoch: Epoch,
    head: Arc<watch::Sender<Revision>>,
    cursor: Arc<watch::Sender<Revision>>,
}

pub const EPOCH: &str = "k3f7q2vt";

impl MemoryLog {
    pub fn with_events(count: i64) -> Self {
        Self {
            epoch: EPOCH.parse().unwrap(),
            head: Arc::new(watch::Sender::new(Revision::new(count))),
            cursor: Arc::default(),
        }
    }

    pub fn append(&self, count: i64) {
        self.head.send_modify(|head| *head = Revision::new(head.get() + count));
    }
}

pub fn event(revision: i64) -> StoredEvent {
    let sensor = sensor_of(revision);
    let filler = "x".repeat(300);
    StoredEvent {
        revision: Revision::new(revision),
        sensor,
        name: "s1".into(),
        former_name: None,
        kind: ChangeKind::Modified,
        committed_at: Timestamp::from_unix_ms(1_795_345_200_123 + revision).unwrap(),
        payload: format!(
            r#"{{"event":"modified","sensor":"{sensor}","epoch":"{EPOCH}","revision":{revision},"filler":"é{filler}"}}"#
        )
        .into(),
    }
}

fn sensor_of(revision: i64) -> SensorId {
    format!("01936f0e-7c1b-7d61-9d0e-00000000000{}", revision % 7)
        .parse()
        .unwrap()
}

impl EventLog for MemoryLog {
    type Error = Infallible;

    fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, Infallible> {
        let head = self.head.borrow().get();
        Ok((after.get() + 1..=head).take(limit).map(event).collect())
    }

    async fn states(&self, sensors: &[SensorId]) -> Result<Vec<SensorState>, Infallible> {
        let head = self.head.borrow().get();
        let newest = |sensor| (1..=head).rev().take(7).find(|revision| sensor_of(*revision) == sensor);
        let state = |&sensor| SensorState {
            sensor,
            representation: newest(sensor).map(|revision| event(revision).payload),
        };
        Ok(sensors.iter().map(state).collect())
    }

    async fn states_after(&self, after: Option<SensorId>, limit: u32) -> Result<Vec<SensorState>, Infallible> {
        let ids: Vec<_> = (0..7).map(sensor_of).filter(|id| Some(*id) > after).collect();
        let mut states = self.states(&ids).await?;
        states.retain(|state| state.representation.is_some());
        states.truncate(limit as usize);
        Ok(states)
    }

    async fn relay_cursor(&self) -> Result<Revision, Infallible> {
        Ok(*self.cursor.borrow())
    }

    async fn advance_relay(&self, to: Revision) -> Result<(), Infallible> {
        self.cursor.send_replace(to);
        Ok(())
    }
}
