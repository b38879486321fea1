//! The documents of the service as a client reads them: what it does not know it passes over.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::domain::{Epoch, Revision, SensorId};

/// A link of any document.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Link {
    rel: String,
    href: String,
    topic: Option<String>,
}

/// `GET /`
#[derive(Debug, Deserialize)]
pub(super) struct EntryPoint {
    links: Vec<Link>,
}

/// A page of `GET /sensors`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SensorPage {
    #[serde(deserialize_with = "text")]
    pub(super) epoch: Epoch,
    #[serde(deserialize_with = "number")]
    pub(super) revision: Revision,
    pub(super) items: Vec<Json>,
    pub(super) links: Vec<Link>,
}

/// A page of `GET /events`.
#[derive(Debug, Deserialize)]
pub(super) struct EventPage {
    #[serde(deserialize_with = "text")]
    pub(super) epoch: Epoch,
    #[serde(deserialize_with = "number")]
    pub(super) head: Revision,
    pub(super) events: Vec<Event>,
}

/// A change of one sensor.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Event {
    #[serde(deserialize_with = "text")]
    pub(super) sensor: SensorId,
    #[serde(deserialize_with = "text")]
    pub(super) epoch: Epoch,
    #[serde(deserialize_with = "number")]
    pub(super) revision: Revision,
    #[serde(default, deserialize_with = "optional_number")]
    pub(super) previous: Option<Revision>,
    #[serde(flatten)]
    pub(super) body: Body,
}

/// What a change did.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Body {
    /// The sensor is new.
    Created {
        /// What a GET returns.
        state: Json,
    },
    /// The sensor is another: one of the two is there.
    Modified {
        /// What a GET returns.
        state: Option<Json>,
        /// A merge patch (RFC 7396) to what a GET returned before.
        changes: Option<Json>,
    },
    /// The sensor is gone.
    Deleted,
}

/// What is retained on the collection's own topic.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(deserialize_with = "text")]
    pub(super) epoch: Epoch,
    #[serde(deserialize_with = "number")]
    pub(super) revision: Revision,
}

impl EntryPoint {
    /// Whether it has all the links that a mirror follows.
    pub(super) fn is_complete(&self) -> bool {
        self.monitor().is_ok() && self.href("collection").is_ok() && self.href("events").is_ok()
    }

    /// Where a relation leads.
    ///
    /// # Errors
    /// When there is no such link.
    pub(super) fn href(&self, rel: &str) -> Result<&str, String> {
        href(&self.links, rel).ok_or_else(|| format!("the entry point has no link {rel:?}"))
    }

    /// The broker's URL with a topic as its path, and the topic of all changes.
    ///
    /// # Errors
    /// When there is no such link.
    pub(super) fn monitor(&self) -> Result<(&str, &str), String> {
        let monitor = self.links.iter().find(|link| link.rel == "monitor");
        monitor
            .and_then(|link| Some((link.href.as_str(), link.topic.as_deref()?)))
            .ok_or_else(|| "the entry point has no link \"monitor\" with a topic".to_owned())
    }
}

impl SensorPage {
    /// Where the next page is; none after the last.
    pub(super) fn next(&self) -> Option<&str> {
        href(&self.links, "next")
    }
}

/// Reads a document.
///
/// # Errors
/// When it is not one.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn href<'a>(links: &'a [Link], rel: &str) -> Option<&'a str> {
    let link = links.iter().find(|link| link.rel == rel)?;
    Some(&link.href)
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Revision, D::Error> {
    i64::deserialize(deserializer).map(Revision::new)
}

fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Revision>, D::Error> {
    Ok(Option::<i64>::deserialize(deserializer)?.map(Revision::new))
}
