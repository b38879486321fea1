//! The values of a sensor over time.

use serde::Serialize;
use utoipa::ToSchema;

use super::fold::{Fold, Told};
use super::link::Link;
use super::representation::{StatusForm, ValueForm};
use crate::domain::Timestamp;

/// A page of the history of one sensor, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History)]
pub struct HistoryForm {
    /// The id of the sensor.
    #[schema(format = "uuid", example = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")]
    pub sensor: String,
    /// The life of the store that the revisions belong to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    pub epoch: String,
    /// The name of the sensor; of a deleted one its last name, if the log still has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "boiler-temp")]
    pub name: Option<String>,
    /// The unit of the values, as it is now or was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Cel")]
    pub unit: Option<String>,
    /// The changes of value, `measured_at` and status.
    pub points: Vec<PointForm>,
    /// `self`, `first`, `next` when there is more, `related` with the sensor unless it is gone, and `alternate` with the plot
    /// of the range.
    pub links: Vec<Link>,
}

/// A change of value, `measured_at` or status.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = HistoryPoint)]
pub struct PointForm {
    /// The revision that the change made: `?revision=` shows the whole sensor, or is 410 when the log no longer tells all
    /// of it.
    #[schema(minimum = 1, example = 43)]
    pub revision: i64,
    /// The time of the point: `measured_at` where the change reported a value, otherwise the instant of the change.
    #[schema(format = "date-time", example = "2026-11-22T11:00:00.000Z")]
    pub time: String,
    /// When the value was measured; also absent when the event that set it is no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false, example = "2026-11-22T11:00:00.000Z")]
    pub measured_at: Option<String>,
    /// The value from then on; absent when it is not set, or the event that set it is no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<ValueForm>,
    /// The status from then on; absent when the sensor is deleted, or the event that set it is no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<StatusForm>,
    /// `true` when the sensor was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub deleted: bool,
}

/// Makes points of the events of one sensor, one after the other.
#[derive(Debug)]
pub struct Series {
    fold: Fold,
}

/// What a point is about.
#[derive(PartialEq)]
struct Facts {
    value: Option<ValueForm>,
    measured_at: Option<String>,
    status: Option<StatusForm>,
}

impl Series {
    /// After what `fold` tells.
    #[must_use]
    pub fn after(fold: Fold) -> Self {
        Self { fold }
    }

    /// The point that an event makes, if it does: `None` for a change of something else. The event was committed at
    /// `committed_at`; `deletes` says whether it told that the sensor is gone.
    pub fn next(&mut self, event: Told, committed_at: Timestamp, deletes: bool) -> Option<PointForm> {
        let revision = event.revision;
        let before = self.facts();
        self.fold.apply(event);
        let after = self.facts();
        if before == after && !deletes {
            return None;
        }
        let is_report = before.value != after.value || before.measured_at != after.measured_at;
        let measured_at = after.measured_at.clone().filter(|_| is_report);
        Some(PointForm {
            revision,
            time: measured_at.unwrap_or_else(|| committed_at.to_string()),
            measured_at: after.measured_at,
            value: after.value,
            status: after.status,
            deleted: deletes,
        })
    }

    fn facts(&self) -> Facts {
        let text = |name| Some(self.fold.get(name)?.as_str()?.to_owned());
        Facts {
            value: self
                .fold
                .get("value")
                .and_then(|value| serde_json::from_value(value.clone()).ok()),
            measured_at: text("measured_at"),
            status: self
                .fold
                .get("status")
                .and_then(|status| serde_json::from_value(status.clone()).ok()),
        }
    }
}
