use bolero::check;
use sensorcast::domain::{self, Change, Moment, Revision, Sensor, SensorRef, Timestamp};
use sensorcast::http::parsers;
use sensorcast::wire::input::{MergePatch, creation, replacement};
use sensorcast::wire::json::{self, parse};
use sensorcast::wire::json_patch::JsonPatch;
use sensorcast::wire::link::LinkBase;
use serde_json::Value;

use crate::words::{spell, time};

const WORDS: [&str; 65] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "null",
    "true",
    "false",
    "-",
    "0",
    "1e400",
    "1.5",
    "9007199254740993",
    "123456789012345678901",
    "\"name\":",
    "\"kind\":",
    "\"unit\":",
    "\"value\":",
    "\"measured_at\":",
    "\"status\":",
    "\"location\":",
    "\"metadata\":",
    "\"id\":",
    "\"revision\":",
    "\"links\":",
    "\"a\"",
    "\"active\"",
    "\"inactive\"",
    "\"2026-11-22T11:00:00Z\"",
    "\"\\ud800\"",
    "{\"type\":\"Point\",\"coordinates\":[",
    "12.5,41.9",
    "]}",
    "{\"name\":\"a\",",
    "{\"name\":\"a\"}",
    "\u{feff}",
    "\u{0}",
    "\u{10ffff}",
    "\"op\":",
    "\"add\"",
    "\"remove\"",
    "\"replace\"",
    "\"move\"",
    "\"copy\"",
    "\"test\"",
    "\"path\":",
    "\"from\":",
    "\"/value\"",
    "\"/metadata\"",
    "\"/metadata/a\"",
    "\"/metadata/~1\"",
    "\"\"",
    "\"/links/0/href\"",
    "\"/location/coordinates/-\"",
    "[{\"op\":\"add\",\"path\":\"/metadata/a\",\"value\":",
    "[{\"op\":\"copy\",\"from\":\"/metadata\",\"path\":",
    "}]",
    "},{",
    "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
    "é",
    " ",
    "\n",
];

const BATCH_WORDS: [&str; 26] = [
    "{\"operations\":[",
    "]}",
    "],\"atomic\":false}",
    "{\"method\":",
    "\"POST\"",
    "\"PUT\"",
    "\"PATCH\"",
    "\"DELETE\"",
    "\"GET\"",
    ",\"path\":",
    "\"/sensors\"",
    "\"/sensors/a\"",
    "\"/sensors/a/value\"",
    "\"http://localhost:8000/sensors/a\"",
    "\"/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\"",
    "\"/sensors//a?b#c%2F\"",
    ",\"body\":",
    ",\"headers\":",
    "{\"If-Match\":\"*\"}",
    "{}",
    "[]",
    "null",
    "1",
    "}",
    ",",
    "\"é\"",
];

fn sensor() -> Sensor {
    let body = br#"{"name": "s", "value": 1, "unit": "Cel", "location": {"type": "Point", "coordinates": [1, 2, 3]},
        "metadata": {"a": {"b": [1, null]}}}"#;
    let draft = creation(parse(body).unwrap()).unwrap();
    let id = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90".parse().unwrap();
    let moment = Moment {
        revision: Revision::new(1),
        now: Timestamp::UNIX_EPOCH,
    };
    match domain::create(id, draft.properties, draft.measured_at, moment) {
        Change::Create(sensor) => sensor,
        other => panic!("{other:?}"),
    }
}

fn json_of(bytes: &[u8]) -> Option<Value> {
    parse(&spell(bytes, &WORDS)).ok()
}

#[test]
fn a_body() {
    check!().with_test_time(time()).for_each(|bytes| {
        let Some(body) = json_of(bytes) else { return };
        let again = json::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(body, again, "what was read is written and read the same");
        if let Ok(draft) = creation(body.clone()) {
            assert!(draft.properties.name.as_str().len() <= 64);
        }
        for target in ["s", "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90"] {
            let target: SensorRef = target.parse().unwrap();
            drop(replacement(body.clone(), &target));
        }
    });
}

#[test]
fn a_batch() {
    check!().with_test_time(time()).for_each(|bytes| {
        let Ok(body) = parse(&spell(bytes, &BATCH_WORDS)) else {
            return;
        };
        if let Some(count) = parsers::batch(body) {
            assert!((1..=500).contains(&count));
        }
    });
}

#[test]
fn a_merge_patch() {
    let sensor = sensor();
    check!().with_test_time(time()).for_each(move |bytes| {
        let Some(Ok(patch)) = json_of(bytes).map(MergePatch::parse) else {
            return;
        };
        drop(patch.apply(&sensor));
    });
}

#[test]
fn a_json_patch() {
    let sensor = sensor();
    let links = LinkBase::new("http://localhost:8000", "mqtt://localhost:1883", "");
    check!().with_test_time(time()).for_each(move |bytes| {
        let Some(Ok(patch)) = json_of(bytes).map(JsonPatch::parse) else {
            return;
        };
        drop(patch.apply(&sensor, &links));
    });
}
