use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::documents::{Body, Event, SensorPage};
use crate::domain::{Cursor, Epoch, Revision, SensorId};

/// What a mirror holds, made of pages and events alone: no I/O, no clock.
///
/// The pages are read one after another while sensors change, so a later page may tell of changes that are after the
/// revision of the first one. The events after that revision repair this: once all events up to the revision of the
/// *last* page are in, the state is that of the store at exactly [`State::revision`], and stays so with every event.
#[derive(Debug, Clone)]
pub(super) struct State {
    epoch: Epoch,
    /// Every event up to here is in.
    revision: Revision,
    /// The revision of the newest page.
    settles_at: Revision,
    sensors: BTreeMap<SensorId, Arc<Json>>,
    gaps: Gaps,
}

/// Whether events are checked to follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    /// As it has to be.
    Detected,
    /// To show that the tests notice.
    Ignored,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It was the next one, and is in.
    Applied,
    /// It was in before.
    Repeat,
    /// Events before it are missing: nothing was changed.
    Gap,
    /// It is of another epoch: nothing was changed.
    Foreign,
    /// It does not fit to what is held, so that something is wrong with that: nothing was changed.
    Contradiction,
}

/// A page does not belong to the list of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ForeignPage;

impl State {
    /// Starts with the first page.
    pub(super) fn new(first: SensorPage, gaps: Gaps) -> Self {
        let mut state = Self {
            epoch: first.epoch,
            revision: first.revision,
            settles_at: first.revision,
            sensors: BTreeMap::new(),
            gaps,
        };
        state.add_items(first.items);
        state
    }

    /// Adds a page that was read later.
    pub(super) fn add(&mut self, page: SensorPage) -> Result<(), ForeignPage> {
        if page.epoch != self.epoch || page.revision < self.settles_at {
            return Err(ForeignPage);
        }
        self.settles_at = page.revision;
        self.add_items(page.items);
        Ok(())
    }

    /// Takes the next event, if it is that.
    pub(super) fn apply(&mut self, event: Event) -> Step {
        if event.epoch != self.epoch {
            return Step::Foreign;
        }
        if event.revision <= self.revision {
            return Step::Repeat;
        }
        if event.revision != self.revision.next() && self.gaps == Gaps::Detected {
            return Step::Gap;
        }
        let held = self.sensors.get(&event.sensor).map(|sensor| revision_of(sensor));
        // A page that was read after this change has it already.
        let is_in_page = held >= Some(event.revision);
        // Before the state has settled, a sensor may be missing because it was deleted before its page was read: the
        // event of that is still to come.
        let fits = held == event.previous || (held.is_none() && !self.is_settled());
        if !is_in_page && !fits && self.gaps == Gaps::Detected {
            return Step::Contradiction;
        }
        if !is_in_page {
            self.change(event.sensor, event.body);
        }
        self.revision = event.revision;
        Step::Applied
    }

    /// Whether this is the store at exactly [`State::revision`].
    pub(super) fn is_settled(&self) -> bool {
        self.revision >= self.settles_at
    }

    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn settles_at(&self) -> Revision {
        self.settles_at
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            revision: self.revision,
        }
    }

    pub(super) fn sensors(&self) -> &BTreeMap<SensorId, Arc<Json>> {
        &self.sensors
    }

    /// An item without an id is none that a store could hold, and is passed over.
    fn add_items(&mut self, items: Vec<Json>) {
        for item in items {
            let id = item["id"].as_str().and_then(|id| id.parse().ok());
            if let Some(id) = id {
                self.sensors.insert(id, Arc::new(item));
            }
        }
    }

    fn change(&mut self, id: SensorId, body: Body) {
        match body {
            Body::Created { state } | Body::Modified { state: Some(state), .. } => {
                self.sensors.insert(id, Arc::new(state));
            }
            Body::Modified { changes, .. } => {
                if let (Some(sensor), Some(changes)) = (self.sensors.get_mut(&id), changes) {
                    // Copies the sensor only while a reader holds it.
                    json_patch::merge(Arc::make_mut(sensor), &changes);
                }
            }
            Body::Deleted => {
                self.sensors.remove(&id);
            }
        }
    }
}

fn revision_of(sensor: &Json) -> Revision {
    Revision::new(sensor["revision"].as_i64().unwrap_or_default())
}
