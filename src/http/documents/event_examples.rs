//! The life of one sensor as events, made by the code that makes real ones: the examples of the documents.

use anyhow::{anyhow, bail};
use serde_json::{Value as Json, json};

use crate::domain::{
    self, Change, ChangeKind, Cursor, EventForm, Fault, Moment, Revision, Sensor, SensorId, SensorRef,
};
use crate::wire::attributes::AttributesForm;
use crate::wire::changes::changes;
use crate::wire::event::{Body, payload};
use crate::wire::input::{self, Draft, MergePatch};
use crate::wire::link::LinkBase;
use crate::wire::presence::{Presence, PresenceStatus};
use crate::wire::representation;

/// One message.
#[derive(Debug)]
pub struct Example {
    /// A name that is unique among all examples.
    pub name: &'static str,
    /// What happened before it.
    pub summary: &'static str,
    /// The user properties, where it has some.
    pub attributes: Option<AttributesForm>,
    /// The bytes.
    pub payload: String,
}

/// Messages of every kind.
#[derive(Debug)]
pub struct Examples {
    /// After a POST.
    pub created: Example,
    /// After a PATCH.
    pub patched: Example,
    /// After a PUT.
    pub replaced: Example,
    /// After a DELETE.
    pub deleted: Example,
    /// What is retained while the service runs.
    pub online: Example,
    /// The Last Will.
    pub offline: Example,
    /// What is retained of a sensor.
    pub state: Example,
    /// What is retained beside the states.
    pub mark: Example,
}

const SENSOR: &str = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
/// Before the first of the changes.
const CURSOR: &str = "k3f7q2vt.41";
const START: &str = "2026-11-22T11:00:00.123Z";
const SECONDS_BETWEEN: i64 = 60;

impl Examples {
    /// The messages of a service with these links.
    ///
    /// # Errors
    /// When a request below is not valid any more, which a test excludes.
    pub fn new(links: &LinkBase) -> anyhow::Result<Self> {
        let mut story = Story::start(links)?;
        let post = json!({
            "name": "boiler-temp",
            "kind": "temperature",
            "unit": "Cel",
            "value": 21.5,
            "location": {"type": "Point", "coordinates": [12.4924, 41.8902]},
            "metadata": {"room": "cellar"},
        });
        let created = story.post(post)?;
        let patched = story.patch(json!({"value": 21.7}))?;
        let replaced = story.put(json!({"name": "boiler-temp", "value": 21.7, "status": "inactive"}))?;
        let state = story.state()?;
        let deleted = story.delete()?;
        Ok(Self {
            created,
            patched,
            replaced,
            deleted,
            online: story.presence("online", "While the service publishes", PresenceStatus::Online),
            offline: story.presence(
                "offline",
                "When it has stopped, or as the Last Will",
                PresenceStatus::Offline,
            ),
            state,
            mark: story.mark(),
        })
    }

    /// The example of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Example> {
        let all = [
            &self.created,
            &self.patched,
            &self.replaced,
            &self.deleted,
            &self.online,
            &self.offline,
            &self.state,
            &self.mark,
        ];
        all.into_iter().find(|example| example.name == name)
    }
}

/// One sensor, and the store that it lives in.
struct Story<'a> {
    links: &'a LinkBase,
    id: SensorId,
    head: Cursor,
    moment: Moment,
    sensor: Option<Sensor>,
}

impl<'a> Story<'a> {
    fn start(links: &'a LinkBase) -> anyhow::Result<Self> {
        let head: Cursor = CURSOR.parse().map_err(|error| anyhow!("{error}"))?;
        Ok(Self {
            links,
            id: SENSOR.parse().map_err(|error| anyhow!("{error}"))?,
            moment: Moment {
                revision: head.revision,
                now: START.parse().map_err(|error| anyhow!("{error}"))?,
            },
            head,
            sensor: None,
        })
    }

    fn post(&mut self, body: Json) -> anyhow::Result<Example> {
        let Draft {
            properties,
            measured_at,
        } = input::creation(body).map_err(|faults| invalid(&faults))?;
        self.pass_time();
        let change = domain::create(self.id, properties, measured_at, self.moment);
        self.tell("afterPost", "After POST /sensors", change)
    }

    fn patch(&mut self, body: Json) -> anyhow::Result<Example> {
        let patch = MergePatch::parse(body).map_err(|faults| invalid(&faults))?;
        let draft = patch.apply(self.current()?).map_err(|faults| invalid(&faults))?;
        self.revise("afterPatch", "After PATCH /sensors/{id}", draft, EventForm::Changes)
    }

    fn put(&mut self, body: Json) -> anyhow::Result<Example> {
        let target = SensorRef::Id(self.id);
        let replacement = input::replacement(body, &target).map_err(|faults| invalid(&faults))?;
        self.revise(
            "afterPut",
            "After PUT /sensors/{id}",
            replacement.draft,
            EventForm::State,
        )
    }

    fn delete(&mut self) -> anyhow::Result<Example> {
        let change = domain::delete(self.sensor.as_ref()).map_err(|refusal| anyhow!("{refusal:?}"))?;
        self.pass_time();
        self.tell("afterDelete", "After DELETE /sensors/{id}", change)
    }

    fn revise(
        &mut self,
        name: &'static str,
        summary: &'static str,
        draft: Draft,
        form: EventForm,
    ) -> anyhow::Result<Example> {
        self.pass_time();
        let change = domain::revise(self.current()?, draft.properties, draft.measured_at, form, self.moment)
            .map_err(|refusal| anyhow!("{refusal:?}"))?;
        self.tell(name, summary, change)
    }

    fn pass_time(&mut self) {
        self.moment.revision = self.moment.revision.next();
        let now_ms = self.moment.now.unix_ms() + SECONDS_BETWEEN * 1000;
        self.moment.now = domain::Timestamp::from_unix_ms(now_ms).unwrap_or(self.moment.now);
    }

    /// The event of a change, which becomes the present.
    fn tell(&mut self, name: &'static str, summary: &'static str, change: Change) -> anyhow::Result<Example> {
        let before = self.sensor.take();
        let previous = before.as_ref().map(|sensor| sensor.revision);
        let (kind, payload) = match change {
            Change::None => bail!("{name}: nothing changes"),
            Change::Create(next) => {
                let payload = self.payload(ChangeKind::Created, previous, Body::State(&self.document(&next)?))?;
                self.sensor = Some(next);
                (ChangeKind::Created, payload)
            }
            Change::Modify(next, EventForm::State) => {
                let payload = self.payload(ChangeKind::Modified, previous, Body::State(&self.document(&next)?))?;
                self.sensor = Some(next);
                (ChangeKind::Modified, payload)
            }
            Change::Modify(next, EventForm::Changes) => {
                let before = before.ok_or_else(|| anyhow!("{name}: there is no sensor"))?;
                let changes = changes(&before, &next, self.links)?;
                let payload = self.payload(ChangeKind::Modified, previous, Body::Changes(&changes))?;
                self.sensor = Some(next);
                (ChangeKind::Modified, payload)
            }
            Change::Delete => (
                ChangeKind::Deleted,
                self.payload(ChangeKind::Deleted, previous, Body::Gone)?,
            ),
        };
        self.head.revision = self.moment.revision;
        let source = self.links.url("");
        Ok(Example {
            name,
            summary,
            attributes: Some(AttributesForm::new(&self.head, &source, kind, self.id, self.moment.now)),
            payload,
        })
    }

    fn payload(&self, kind: ChangeKind, previous: Option<Revision>, body: Body<'_>) -> serde_json::Result<String> {
        payload(kind, self.id, &self.head.epoch, self.moment.revision, previous, body)
    }

    fn document(&self, sensor: &Sensor) -> serde_json::Result<String> {
        let document = representation::document(sensor)?;
        let (id, status) = (sensor.id.to_string(), sensor.properties.status);
        Ok(representation::representation(&document, &id, status, self.links))
    }

    fn state(&self) -> anyhow::Result<Example> {
        Ok(Example {
            name: "state",
            summary: "After PUT /sensors/{id}",
            attributes: None,
            payload: self.document(self.current()?)?,
        })
    }

    fn presence(&self, name: &'static str, summary: &'static str, status: PresenceStatus) -> Example {
        let presence = Presence {
            status,
            epoch: self.head.epoch.clone(),
            revision: self.head.revision,
        };
        Example {
            name,
            summary,
            attributes: None,
            payload: String::from_utf8_lossy(&presence.to_json()).into_owned(),
        }
    }

    fn mark(&self) -> Example {
        Example {
            name: "mark",
            summary: "When nothing is missing",
            attributes: None,
            payload: self.head.to_string(),
        }
    }

    fn current(&self) -> anyhow::Result<&Sensor> {
        self.sensor.as_ref().ok_or_else(|| anyhow!("there is no sensor"))
    }
}

fn invalid(faults: &[Fault]) -> anyhow::Error {
    anyhow!("an example is not valid: {faults:?}")
}
