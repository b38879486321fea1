//! A log in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::log::EventLog;
use crate::domain::{ChangeKind, Epoch, Revision, SensorId, Timestamp};
use crate::store::{SensorState, StoredEvent};

/// A log of the changes of a few sensors, one after the other: event 1 is of sensor 1, and after the last sensor it is the
/// first one's turn again. Every event is a creation, or a deletion.
#[derive(Clone)]
pub(super) struct MemoryLog {
    epoch: Epoch,
    sensors: i64,
    head: watch::Sender<Revision>,
    cursor: watch::Sender<Revision>,
    state: Arc<Mutex<LogState>>,
}

#[derive(Default)]
struct LogState {
    deletions: HashSet<i64>,
    pruned: i64,
    state_reads: usize,
    /// How many reads of states will fail.
    failing_state_reads: usize,
    /// The first event that cannot be read, where one cannot.
    unreadable_from: Option<i64>,
    /// How many times the cursor cannot be saved.
    failing_saves: usize,
    /// How many times it was to be saved.
    saves: usize,
}

impl LogState {
    fn read_states(&mut self) -> Result<(), &'static str> {
        self.state_reads += 1;
        fails(&mut self.failing_state_reads)
    }
}

pub(super) fn fails(count: &mut usize) -> Result<(), &'static str> {
    match count.checked_sub(1) {
        Some(left) => {
            *count = left;
            Err("the disk does not answer")
        }
        None => Ok(()),
    }
}

impl MemoryLog {
    /// With a single sensor.
    pub(super) fn with_events(count: i64) -> Self {
        Self::with_sensors(1, count)
    }

    pub(super) fn with_sensors(sensors: i64, count: i64) -> Self {
        Self {
            epoch: Epoch::from_random(0),
            sensors,
            head: watch::Sender::new(Revision::new(count)),
            cursor: watch::Sender::new(Revision::ZERO),
            state: Arc::default(),
        }
    }

    pub(super) fn append(&self, count: i64) {
        self.head.send_modify(|head| *head = Revision::new(head.get() + count));
    }

    /// The event after the head is a deletion.
    pub(super) fn delete_next(&self) {
        self.state
            .lock()
            .unwrap()
            .deletions
            .insert(self.head.borrow().get() + 1);
        self.append(1);
    }

    /// Forgets the events up to this one.
    pub(super) fn prune(&self, until: i64) {
        self.state.lock().unwrap().pruned = until;
    }

    /// What would be there after a crash.
    pub(super) fn saved_cursor(&self) -> i64 {
        self.cursor.borrow().get()
    }

    /// The next reads of states fail.
    pub(super) fn fail_state_reads(&self, count: usize) {
        self.state.lock().unwrap().failing_state_reads = count;
    }

    /// From now on events from this one on cannot be read, or all can.
    pub(super) fn make_unreadable(&self, from: Option<i64>) {
        self.state.lock().unwrap().unreadable_from = from;
    }

    /// The cursor cannot be saved the next times.
    pub(super) fn fail_saves(&self, count: usize) {
        self.state.lock().unwrap().failing_saves = count;
    }

    /// How many times the cursor was to be saved.
    pub(super) fn saves(&self) -> usize {
        self.state.lock().unwrap().saves
    }

    /// How many times states were asked for.
    pub(super) fn state_reads(&self) -> usize {
        self.state.lock().unwrap().state_reads
    }

    /// Each sensor that there is, with its revision.
    pub(super) fn revisions(&self) -> BTreeMap<i64, i64> {
        (1..=self.sensors)
            .filter_map(|sensor| Some((sensor, self.revision_of(sensor)?)))
            .collect()
    }

    fn revision_of(&self, sensor: i64) -> Option<i64> {
        let head = self.head.borrow().get();
        let newest = head - (head - sensor).rem_euclid(self.sensors);
        let is_deleted = self.state.lock().unwrap().deletions.contains(&newest);
        (newest > 0 && sensor <= self.sensors && !is_deleted).then_some(newest)
    }

    fn sensor_state(&self, sensor: i64) -> SensorState {
        let revision = self.revision_of(sensor);
        SensorState {
            sensor: id_of(sensor),
            representation: revision.map(|revision| revision.to_string().into()),
        }
    }
}

/// So many states are a page, as if they were large.
const MOST_STATES: usize = 100;
/// So many events are a read, as if they were.
const MOST_EVENTS: usize = 300;
/// What happens between a read and the sending of what was read.
const READ_TIME: Duration = Duration::from_millis(1);

pub(super) fn id_of(sensor: i64) -> SensorId {
    SensorId::new(uuid::Uuid::from_u128(u128::try_from(sensor).unwrap()))
}

pub(super) fn number_of(sensor: SensorId) -> i64 {
    i64::from_str_radix(&sensor.to_string().replace('-', ""), 16).unwrap()
}

impl EventLog for MemoryLog {
    type Error = &'static str;

    fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, &'static str> {
        let head = self.head.borrow().get();
        let state = self.state.lock().unwrap();
        let revisions = (after.get().max(state.pruned) + 1..=head).take(limit.min(MOST_EVENTS));
        let reads = |from: i64| revisions.clone().any(|revision| revision >= from);
        if state.unreadable_from.is_some_and(reads) {
            return Err("the disk does not answer");
        }
        let event = |revision: i64| StoredEvent {
            revision: Revision::new(revision),
            sensor: id_of((revision - 1) % self.sensors + 1),
            name: "s1".into(),
            former_name: None,
            kind: if state.deletions.contains(&revision) {
                ChangeKind::Deleted
            } else {
                ChangeKind::Created
            },
            committed_at: Timestamp::from_unix_ms(revision).unwrap(),
            payload: format!("{revision}").into(),
        };
        Ok(revisions.map(event).collect())
    }

    async fn states(&self, sensors: &[SensorId]) -> Result<Vec<SensorState>, &'static str> {
        self.state.lock().unwrap().read_states()?;
        let states = sensors.iter().map(|id| self.sensor_state(number_of(*id))).collect();
        sleep(READ_TIME).await;
        Ok(states)
    }

    async fn states_after(&self, after: Option<SensorId>, limit: u32) -> Result<Vec<SensorState>, &'static str> {
        self.state.lock().unwrap().read_states()?;
        let after = after.map_or(0, number_of);
        let states = ((after + 1)..=self.sensors)
            .map(|sensor| self.sensor_state(sensor))
            .filter(|state| state.representation.is_some())
            .take((limit as usize).min(MOST_STATES))
            .collect();
        sleep(READ_TIME).await;
        Ok(states)
    }

    async fn relay_cursor(&self) -> Result<Revision, &'static str> {
        Ok(*self.cursor.borrow())
    }

    async fn advance_relay(&self, to: Revision) -> Result<(), &'static str> {
        self.state.lock().unwrap().saves += 1;
        fails(&mut self.state.lock().unwrap().failing_saves)?;
        self.cursor.send_replace(to);
        Ok(())
    }
}
