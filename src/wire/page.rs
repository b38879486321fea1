//! A page of the list, and one of the log.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::event::EventForm;
use super::link::Link;
use super::representation::SensorForm;

/// A page of sensors, in the order of their ids.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SensorPage)]
pub struct SensorPageForm<'a> {
    /// The sensors.
    #[schema(value_type = Vec<SensorForm>)]
    pub items: Vec<&'a RawValue>,
    /// The life of the store that the revision belongs to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    pub epoch: &'a str,
    /// The revision of the store when the page was read: events after that of the *first* page complete the list.
    #[schema(minimum = 0, example = 45)]
    pub revision: i64,
    /// `self`, `first`, `next` unless this page is the last, `monitor` with the topic of all changes; and on the first
    /// page `events`, the changes after it.
    pub links: Vec<Link>,
}

/// A page of the event log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPage)]
pub struct EventPageForm<'a> {
    /// The life of the store that the revisions belong to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    pub epoch: &'a str,
    /// The newest revision.
    #[schema(minimum = 0, example = 45)]
    pub head: i64,
    /// The events, each byte for byte as MQTT carries it.
    #[schema(value_type = Vec<EventForm>)]
    pub events: Vec<&'a RawValue>,
    /// `self`, `first`, `next` when there is more already, and `resume`: what comes after this page, now or later. With a
    /// filter, `next` and `resume` are after all that was passed over.
    pub links: Vec<Link>,
}
