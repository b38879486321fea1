use bolero::check;
use sensorcast::domain::{Cursor, SensorId, SensorName, SensorRef, Timestamp};
use sensorcast::mqtt::Topics;

use crate::words::{spell_text, time};

const WORDS: [&str; 16] = [
    "k3f7q2vt",
    ".",
    "42",
    "9223372036854775808",
    "-",
    "+",
    "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
    "boiler-temp",
    "/",
    "#",
    "sensors/",
    "/state",
    "plant7/",
    "2026-11-22T11:00:00.000Z",
    "é",
    "\u{0}",
];

#[test]
fn a_cursor() {
    check!().with_test_time(time()).for_each(|bytes| {
        let text = spell_text(bytes, &WORDS);
        if let Ok(cursor) = text.parse::<Cursor>() {
            assert_eq!(cursor.to_string(), text);
        }
    });
}

#[test]
fn a_name_and_an_id() {
    check!().with_test_time(time()).for_each(|bytes| {
        let text = spell_text(bytes, &WORDS);
        if let Ok(name) = text.parse::<SensorName>() {
            assert_eq!(name.as_str(), text);
            assert!(matches!(text.parse(), Ok(SensorRef::Name(found)) if found == name));
            assert!(!text.contains(['/', '+', '#', '$']) && text.len() <= 64);
        }
        if let Ok(id) = text.parse::<SensorId>() {
            assert!(id.to_string().eq_ignore_ascii_case(&text), "{text}");
        }
        drop(text.parse::<SensorRef>());
        if let Ok(instant) = text.parse::<Timestamp>() {
            assert_eq!(instant.to_string().parse(), Ok(instant));
        }
    });
}

#[test]
fn a_topic() {
    let topics = ["", "plant7/"].map(|prefix| Topics::new(prefix).unwrap());
    check!().with_test_time(time()).for_each(move |bytes| {
        let text = spell_text(bytes, &WORDS);
        for topics in &topics {
            if let Some(id) = topics.sensor_of_state(&text) {
                assert!(topics.owns(&text));
                assert!(topics.state(id).eq_ignore_ascii_case(&text));
            }
        }
        if let Ok(topics) = Topics::new(&text) {
            assert!(topics.collection().starts_with(&text) && !topics.collection().contains(['+', '#']));
        }
    });
}
