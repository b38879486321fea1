use std::cmp::Reverse;
use std::fmt::Write;

use serde_json::Value as Json;
use terminal_size::{Height, Width, terminal_size};

use super::{Show, View};
use crate::mirror::Status;

/// A table on the other screen of a terminal, drawn anew in place.
pub(super) struct Screen {
    url: String,
    is_open: bool,
}

// ECMA-48, and xterm's private modes for the other screen and the cursor.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[m";

/// The columns: title, member and width. The last one ends where the terminal does.
const COLUMNS: [(&str, &str, usize); 6] = [
    ("NAME", "name", 28),
    ("VALUE", "value", 18),
    ("UNIT", "unit", 8),
    ("STATUS", "status", 9),
    ("REVISION", "revision", 10),
    ("UPDATED", "updated_at", 24),
];
/// What stands above the sensors: two lines of status, a blank one, the titles.
const HEAD_LINES: usize = 4;

impl Screen {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            is_open: false,
        }
    }
}

impl Show for Screen {
    fn text(&mut self, view: &View) -> String {
        let (Width(width), Height(height)) = terminal_size().unwrap_or((Width(80), Height(24)));
        let mut text = String::new();
        if !self.is_open {
            self.is_open = true;
            text += OPEN;
        }
        text += HOME;
        let lines = lines(&self.url, view, usize::from(height));
        for (index, line) in lines.iter().enumerate() {
            let line: String = line.chars().take(usize::from(width)).collect();
            let is_title = index == 0 || index + 1 == HEAD_LINES;
            let (before, after) = if is_title { (BOLD, PLAIN) } else { ("", "") };
            let line_feed = if index == 0 { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{line_feed}{before}{line}{after}{CLEAR_LINE}");
        }
        text + CLEAR_BELOW
    }

    fn farewell(&self) -> &'static str {
        if self.is_open { CLOSE } else { "" }
    }
}

/// The lines of a screen of some height; what changed last comes first.
fn lines(url: &str, view: &View, height: usize) -> Vec<String> {
    let mut lines = vec![format!("sensorcast {url}"), summary(view), String::new()];
    let Some(snapshot) = &view.snapshot else {
        return lines;
    };
    lines.push(row(|(title, _, _)| title.to_owned()));
    let mut sensors: Vec<_> = snapshot.sensors.values().collect();
    sensors.sort_unstable_by_key(|sensor| Reverse(sensor["revision"].as_i64()));
    let room = height.saturating_sub(HEAD_LINES);
    // The last line tells what there is no room for.
    let shown = if sensors.len() > room {
        room.saturating_sub(1)
    } else {
        sensors.len()
    };
    lines.extend(
        sensors[..shown]
            .iter()
            .map(|sensor| row(|(_, member, _)| cell(&sensor[member]))),
    );
    if shown < sensors.len() {
        lines.push(format!("… and {} more", sensors.len() - shown));
    }
    lines
}

fn summary(view: &View) -> String {
    let status = match &view.status {
        Status::Connecting { problem: None } => "connecting".to_owned(),
        Status::Connecting { problem: Some(problem) } => format!("trying again: {}", printable(problem)),
        Status::Reading => "reading the list".to_owned(),
        Status::Live => "live".to_owned(),
    };
    match &view.snapshot {
        Some(snapshot) => format!(
            "{} sensors at {}.{}, {} behind, {status}",
            snapshot.sensors.len(),
            snapshot.epoch,
            snapshot.revision,
            view.lag,
        ),
        None => status,
    }
}

fn row(text: impl Fn((&'static str, &'static str, usize)) -> String) -> String {
    let cells = COLUMNS.map(|column| {
        let width = column.2;
        let mut text = text(column);
        if text.chars().count() > width {
            text = text.chars().take(width - 1).chain(['…']).collect();
        }
        format!("{text:<width$}")
    });
    cells.join(" ").trim_end().to_owned()
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// What comes from outside must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::{Epoch, Revision};
    use crate::mirror::Snapshot;

    fn view(sensors: i64) -> View {
        let sensor = |number: i64| {
            let id = format!("01936f0e-7c1b-7d61-9d0e-{number:012}").parse().unwrap();
            let sensor = json!({"name": format!("s{number}"), "value": "\x1b[2J", "revision": number});
            (id, Arc::new(sensor))
        };
        View {
            status: Status::Live,
            lag: 0,
            snapshot: Some(Snapshot {
                epoch: Epoch::from_random(0),
                revision: Revision::new(sensors),
                sensors: (1..=sensors).map(sensor).collect(),
            }),
        }
    }

    #[test]
    fn what_changed_last_comes_first_and_the_rest_is_counted() {
        let lines = lines("http://h", &view(10), 8);
        assert_eq!(lines.len(), 8);
        assert_eq!(lines[1], "10 sensors at aaaaaaaa.10, 0 behind, live");
        assert!(
            lines[4].starts_with("s10 ") && lines[6].starts_with("s8 "),
            "{lines:#?}"
        );
        assert_eq!(lines[7], "… and 7 more");
        assert_eq!(super::lines("http://h", &view(4), 8).len(), 8);
    }

    #[test]
    fn what_comes_from_outside_does_not_steer_the_terminal() {
        assert!(
            lines("http://h", &view(1), 24)
                .iter()
                .all(|line| !line.contains('\x1b'))
        );
    }

    #[test]
    fn a_terminal_of_no_height_is_no_failure() {
        for height in 0..6 {
            lines("http://h", &view(3), height);
        }
    }
}
