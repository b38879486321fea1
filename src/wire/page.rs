//! A page of the list.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

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
    /// `self`, `first`, `next` unless this page is the last, and `monitor` with the topic of all changes.
    pub links: Vec<Link>,
}
