//! Links: what a client can do next, as absolute URLs that come from the settings and never from a request.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{SensorId, SensorRef, Status};

/// A link (RFC 8288): its target, and how the target relates to the representation that holds the link.
#[derive(Debug, Clone, Serialize, PartialEq, Eq, ToSchema)]
pub struct Link {
    /// The relation: an IANA-registered name where one exists (`self`, `collection`, `first`, `next`, `monitor`, …),
    /// otherwise a plain name (`events`, `resume`) or that of an action (`create`, `report`, `activate`, `deactivate`).
    #[schema(example = "self")]
    pub rel: &'static str,
    /// An absolute URL.
    #[schema(
        format = "uri",
        example = "http://localhost:8000/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90"
    )]
    pub href: String,
    /// The HTTP method of an action; GET where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "PATCH")]
    pub method: Option<&'static str>,
    /// The media type that is found there, or that the action takes.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "application/merge-patch+json")]
    pub media_type: Option<&'static str>,
    /// The MQTT topic of a `monitor` link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")]
    pub topic: Option<String>,
}

impl Link {
    /// A link to follow with GET.
    pub fn new(rel: &'static str, href: impl Into<String>) -> Self {
        Self {
            rel,
            href: href.into(),
            method: None,
            media_type: None,
            topic: None,
        }
    }

    /// The same link, which tells the media type that is found there.
    #[must_use]
    pub fn of_type(self, media_type: &'static str) -> Self {
        Self {
            media_type: Some(media_type),
            ..self
        }
    }

    /// A link to follow with another method, which takes a body of `media_type`.
    pub fn action(rel: &'static str, href: impl Into<String>, method: &'static str, media_type: &'static str) -> Self {
        Self {
            method: Some(method),
            media_type: Some(media_type),
            ..Self::new(rel, href)
        }
    }
}

/// What a topic may hold and the path of a URL may not (RFC 3986 §3.3); the `+` of a subscription stays as it is.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What every link starts with.
#[derive(Debug, Clone)]
pub struct LinkBase {
    public_url: String,
    mqtt_url: String,
    topic_prefix: String,
    /// The links of an active sensor as JSON, and those of an inactive one.
    of_sensor: [Template; 2],
}

/// JSON in which an id occurs several times: the text before its first occurrence, and the text after each.
#[derive(Debug, Clone, Default)]
struct Template(String, Vec<String>);

impl LinkBase {
    /// `public_url` is the base of the service, `mqtt_url` the broker as subscribers reach it (without credentials),
    /// `topic_prefix` what stands before every topic; a slash at the end of a URL does not matter.
    #[must_use]
    pub fn new(public_url: &str, mqtt_url: &str, topic_prefix: &str) -> Self {
        let base = Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            mqtt_url: mqtt_url.trim_end_matches('/').to_owned(),
            topic_prefix: topic_prefix.to_owned(),
            of_sensor: Default::default(),
        };
        // A placeholder that no setting contains.
        let id = SensorId::new(Uuid::from_u128(0xf1de_1d00_0000_4000_8000_0000_0000_0001));
        let of_sensor = [Status::Active, Status::Inactive].map(|status| {
            let json = serde_json::to_string(&base.of_sensor(id, status)).unwrap_or_default();
            let id = id.to_string();
            let mut pieces = json.split(&id).map(str::to_owned);
            Template(pieces.next().unwrap_or_default(), pieces.collect())
        });
        Self { of_sensor, ..base }
    }

    /// The links of a sensor as compact JSON, in pieces: the same as [`Self::of_sensor`] serialized, but only the id is filled in.
    pub fn json_of_sensor<'a>(&'a self, id: &'a str, status: Status) -> impl Iterator<Item = &'a str> + Clone {
        let [active, inactive] = &self.of_sensor;
        let Template(first, others) = match status {
            Status::Active => active,
            Status::Inactive => inactive,
        };
        let others = others.iter().flat_map(move |piece| [id, piece]);
        std::iter::once(first.as_str()).chain(others)
    }

    /// The URL of `path`, which starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// The URL of a sensor, by its id or its name.
    #[must_use]
    pub fn sensor_url(&self, sensor: &SensorRef) -> String {
        format!("{}/sensors/{sensor}", self.public_url)
    }

    /// The broker as subscribers reach it, without a slash at the end.
    #[must_use]
    pub fn mqtt_url(&self) -> &str {
        &self.mqtt_url
    }

    /// The MQTT topic `topic` with what stands before every topic.
    #[must_use]
    pub fn topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.topic_prefix)
    }

    /// The link to the MQTT topic `topic`, where changes are announced. The path of a WebSocket's URL is its own.
    #[must_use]
    pub fn monitor(&self, topic: &str) -> Link {
        let topic = self.topic(topic);
        let href = if self.mqtt_url.starts_with("ws") {
            self.mqtt_url.clone()
        } else {
            format!("{}/{}", self.mqtt_url, utf8_percent_encode(&topic, NOT_IN_A_PATH))
        };
        Link {
            topic: Some(topic),
            ..Link::new("monitor", href)
        }
    }

    /// The link of an action on a sensor that is a patch of it.
    fn patch(&self, rel: &'static str, id: SensorId) -> Link {
        let sensor = self.sensor_url(&SensorRef::Id(id));
        Link::action(rel, sensor, "PATCH", "application/merge-patch+json")
    }

    /// The link that activates an inactive sensor.
    #[must_use]
    pub fn activate(&self, id: SensorId) -> Link {
        self.patch("activate", id)
    }

    /// The links of a sensor. They depend on its state: only an active one can report, only an inactive one be activated.
    #[must_use]
    pub fn of_sensor(&self, id: SensorId, status: Status) -> Vec<Link> {
        let own = self.sensor_url(&SensorRef::Id(id));
        let mut links = vec![Link::new("self", &own), Link::new("collection", self.url("/sensors"))];
        links.extend(match status {
            Status::Active => vec![
                Link::action("report", format!("{own}/value"), "PUT", "application/json"),
                self.patch("deactivate", id),
            ],
            Status::Inactive => vec![self.activate(id)],
        });
        links.push(Link::new("events", format!("{own}/events")));
        links.push(Link::new("version-history", format!("{own}/history")));
        links.push(self.monitor(&format!("sensors/{id}")));
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_depend_on_the_state() {
        let base = LinkBase::new("https://example.org/api/", "mqtt://example.org:1883/", "plant7/");
        let id: SensorId = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90".parse().unwrap();
        let relations = |status| -> Vec<_> { base.of_sensor(id, status).into_iter().map(|link| link.rel).collect() };
        assert_eq!(
            relations(Status::Active),
            [
                "self",
                "collection",
                "report",
                "deactivate",
                "events",
                "version-history",
                "monitor"
            ]
        );
        assert_eq!(
            relations(Status::Inactive),
            ["self", "collection", "activate", "events", "version-history", "monitor"]
        );
        let links = base.of_sensor(id, Status::Active);
        assert_eq!(links[0].href, format!("https://example.org/api/sensors/{id}"));
        assert_eq!(links[4].href, format!("https://example.org/api/sensors/{id}/events"));
        assert_eq!(links[5].href, format!("https://example.org/api/sensors/{id}/history"));
        assert_eq!(links[6].href, format!("mqtt://example.org:1883/plant7/sensors/{id}"));
        assert_eq!(links[6].topic.as_deref(), Some(format!("plant7/sensors/{id}").as_str()));
    }

    #[test]
    fn the_links_as_json_are_the_links() {
        let base = LinkBase::new("https://example.org/api", "mqtt://example.org", "it/plant 7/");
        let id: SensorId = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90".parse().unwrap();
        for status in [Status::Active, Status::Inactive] {
            let links = serde_json::to_string(&base.of_sensor(id, status)).unwrap();
            assert_eq!(base.json_of_sensor(&id.to_string(), status).collect::<String>(), links);
        }
    }

    #[test]
    fn a_topic_is_a_path_in_a_link_whatever_the_prefix_holds() {
        let base = LinkBase::new("https://example.org", "mqtt://example.org", "it/plant 7 {50%}?/");
        let link = base.monitor("sensors/+");
        assert_eq!(link.href, "mqtt://example.org/it/plant%207%20%7B50%25%7D%3F/sensors/+");
        assert_eq!(link.topic.as_deref(), Some("it/plant 7 {50%}?/sensors/+"));
    }

    #[test]
    fn a_link_to_a_websocket_is_the_url_to_connect_to() {
        let base = LinkBase::new("https://example.org", "wss://example.org/mqtt", "plant7/");
        let link = base.monitor("sensors/+");
        assert_eq!(link.href, "wss://example.org/mqtt");
        assert_eq!(link.topic.as_deref(), Some("plant7/sensors/+"));
    }
}
