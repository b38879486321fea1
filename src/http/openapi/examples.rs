//! Whole answers as examples, made by the code that makes real ones.

use anyhow::anyhow;
use serde_json::{Value as Json, json};
use utoipa::openapi::content::Content;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{OpenApi, Ref, RefOr};

use super::methods;
use crate::http::documents::Examples;
use crate::wire::history::{HistoryForm, PointForm};
use crate::wire::link::{Link, LinkBase};
use crate::wire::members::Members;
use crate::wire::page::{EventPageForm, SensorPage};
use crate::wire::representation::{StatusForm, ValueForm};
use crate::wire::{csv, hal, plot, xml};

const JSON: &str = "application/json";
const SENSOR: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
const EPOCH: &str = "k3f7q2vt";
/// What the example of a sensor is called, to which every answer with one refers.
const SHARED: &str = "sensor";

/// Puts an example into every answer that shows a sensor, a page of them, a history, events or the outcomes of a batch.
///
/// # Errors
/// When one cannot be made, which a test excludes.
pub fn add(document: &mut OpenApi, events: &Examples, links: &LinkBase) -> anyhow::Result<()> {
    let answers = Answers::new(events, links)?;
    for (_, operation) in methods::all_mut(document) {
        let id = operation.operation_id.clone().unwrap_or_default();
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            for (media_type, content) in &mut response.content {
                let RefOr::T(content) = content else { continue };
                if !status.starts_with('2') {
                    continue;
                }
                if media_type == JSON && shows_sensor(content) {
                    let shared = Ref::new(format!("#/components/examples/{SHARED}"));
                    content.examples.insert(SHARED.to_owned(), RefOr::Ref(shared));
                } else if let Some(example) = answers.example(&id, media_type)? {
                    content.example = Some(example);
                }
            }
        }
    }
    let sensor: Json = serde_json::from_str(&answers.sensor)?;
    let shared = ExampleBuilder::new().summary("A sensor").value(Some(sensor)).build();
    let components = document.components.get_or_insert_default();
    components.examples.insert(SHARED.to_owned(), shared.into());
    Ok(())
}

/// What is shown, as JSON.
struct Answers<'a> {
    links: &'a LinkBase,
    sensor: String,
    page: Vec<u8>,
    events: [String; 2],
}

impl<'a> Answers<'a> {
    fn new(events: &Examples, links: &'a LinkBase) -> anyhow::Result<Self> {
        let created = Members::read(events.created.payload.as_bytes())?;
        let sensor = created
            .get("state")
            .ok_or_else(|| anyhow!("an event without its state"))?;
        let url = |rest: &str| links.url(&format!("/sensors?limit=50{rest}"));
        let page_links = [
            Link::new("self", url("")),
            Link::new("first", url("")),
            Link::new("next", url(&format!("&cursor=id~{SENSOR}"))),
            Link::action("create", links.url("/sensors"), "POST", JSON),
            links.monitor("sensors/+"),
            Link::new("events", links.url(&format!("/events?after={EPOCH}.45"))),
        ];
        let frame = SensorPage {
            epoch: EPOCH,
            revision: 45,
            count: None,
            links: &page_links,
        };
        Ok(Self {
            page: frame.write(&[sensor.get()])?,
            sensor: sensor.get().to_owned(),
            events: [&events.created, &events.patched].map(|event| event.payload.clone()),
            links,
        })
    }

    /// The example of an answer, where it needs one.
    fn example(&self, operation: &str, media_type: &str) -> anyhow::Result<Option<Json>> {
        let json = |bytes: &[u8]| -> anyhow::Result<Json> { Ok(serde_json::from_slice(bytes)?) };
        let text = |bytes: Vec<u8>| -> anyhow::Result<Json> { Ok(String::from_utf8(bytes)?.into()) };
        let (sensor, page) = (self.sensor.as_bytes(), &self.page);
        Ok(Some(match (operation, media_type) {
            ("readSensor", "application/hal+json") => json(&hal::hal(sensor)?)?,
            ("readSensor", "application/xml") => text(xml::sensor(sensor)?)?,
            ("listSensors", JSON) => json(page)?,
            ("listSensors", "application/hal+json") => json(&hal::hal(page)?)?,
            ("listSensors", "application/xml") => text(xml::page(page)?)?,
            ("listSensors", "text/csv") => text(csv::page(page, |_| true)?)?,
            ("readHistory", JSON) => serde_json::to_value(self.history())?,
            ("readHistory", "image/svg+xml") => plot::svg(&self.history(), None)?.into(),
            ("batch", JSON) => self.outcomes()?,
            ("listEvents", JSON) => self.event_page("/events")?,
            ("listSensorEvents", JSON) => self.event_page(&format!("/sensors/{SENSOR}/events"))?,
            _ => return Ok(None),
        }))
    }

    fn history(&self) -> HistoryForm {
        let point = |revision: i64, minute: u32, value: f64| {
            let time = format!("2026-11-22T11:{minute:02}:00.123Z");
            PointForm {
                revision,
                measured_at: Some(time.clone()),
                time,
                value: serde_json::Number::from_f64(value).map(ValueForm::Number),
                status: Some(StatusForm::Active),
                deleted: false,
            }
        };
        let own = format!("/sensors/{SENSOR}/history");
        let page = self.links.url(&format!("{own}?limit=100"));
        HistoryForm {
            sensor: SENSOR.to_owned(),
            epoch: EPOCH.to_owned(),
            name: Some("boiler-temp".to_owned()),
            unit: Some("Cel".to_owned()),
            points: vec![point(42, 1, 21.5), point(43, 2, 21.7)],
            links: vec![
                Link::new("self", page.clone()),
                Link::new("first", page),
                Link::new("related", self.links.url(&format!("/sensors/{SENSOR}"))),
                Link {
                    media_type: Some("image/svg+xml"),
                    ..Link::new("alternate", self.links.url(&own))
                },
            ],
        }
    }

    fn event_page(&self, path: &str) -> anyhow::Result<Json> {
        let events = self.events.iter().map(|event| serde_json::from_str(event));
        let url = |query: &str| self.links.url(&format!("{path}?{query}"));
        let page = EventPageForm {
            epoch: EPOCH,
            head: 43,
            events: events.collect::<Result<_, _>>()?,
            links: vec![
                Link::new("self", url("limit=100")),
                Link::new("first", url("limit=100")),
                Link::new("resume", url(&format!("after={EPOCH}.43&limit=100"))),
            ],
        };
        Ok(serde_json::to_value(page)?)
    }

    fn outcomes(&self) -> anyhow::Result<Json> {
        let sensor: Json = serde_json::from_str(&self.sensor)?;
        let url = self.links.url(&format!("/sensors/{SENSOR}"));
        let headers = json!({
            "etag": format!("\"{EPOCH}.42\""), "last-modified": "Sun, 22 Nov 2026 11:01:00 GMT", "cache-control": "no-cache",
            "vary": "Accept, Accept-Encoding", "content-type": JSON, "content-location": url.clone(), "location": url,
        });
        Ok(json!({"outcomes": [
            {"status": 201, "headers": headers, "body": sensor},
            {"status": 204, "headers": {}},
        ]}))
    }
}

/// Whether it is a sensor.
pub fn shows_sensor(content: &Content) -> bool {
    matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with("/Sensor"))
}
