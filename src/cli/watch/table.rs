use std::cmp::Reverse;
use std::fmt::Write;
use std::{array, iter};

use chrono::{DateTime, NaiveDate};
use serde_json::Value as Json;
use terminal_size::{Height, Width, terminal_size};

use super::{Show, View};
use crate::domain::Timestamp;
use crate::mirror::Status;

/// A table on the other screen of a terminal, drawn anew in place.
pub(super) struct Screen {
    url: String,
    now: fn() -> Timestamp,
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

/// A column is as wide as what stands in it.
struct Column {
    title: &'static str,
    member: &'static str,
    /// What is longer is cut.
    max_width: usize,
    /// Where the terminal is narrow, what is longer than this may be cut.
    min_width: usize,
}

const COLUMNS: [Column; 6] = [
    column("NAME", "name", 28, 12),
    column("VALUE", "value", 18, 8),
    column("UNIT", "unit", 8, 4),
    column("STATUS", "status", 9, 9),
    column("REVISION", "revision", 19, 19),
    column("UPDATED", UPDATED_AT, 24, 24),
];
const UPDATED_AT: &str = "updated_at";
/// What is left out, one after the other, where the terminal is too narrow even for what is cut: places in `COLUMNS`.
const LEFT_OUT_FIRST: [usize; 4] = [4, 3, 2, 5];

type Cells = [String; COLUMNS.len()];
type Widths = [usize; COLUMNS.len()];

/// What stands above the sensors: two lines of status, a blank one, the titles.
const HEAD_LINES: usize = 4;

const fn column(title: &'static str, member: &'static str, max_width: usize, min_width: usize) -> Column {
    Column {
        title,
        member,
        max_width,
        min_width,
    }
}

impl Screen {
    pub(super) fn new(url: &str, now: fn() -> Timestamp) -> Self {
        Self {
            url: url.to_owned(),
            now,
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
        let (width, height) = (usize::from(width), usize::from(height));
        let now = DateTime::from_timestamp_millis((self.now)().unix_ms()).unwrap_or_default();
        let lines = lines(&self.url, view, (width, height), now.date_naive());
        for (index, line) in lines.iter().enumerate() {
            let line: String = line.chars().take(width).collect();
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

/// The lines of a screen of some width and height; what changed last comes first.
fn lines(url: &str, view: &View, (width, height): (usize, usize), today: NaiveDate) -> Vec<String> {
    let mut lines = vec![format!("sensorcast {url}"), summary(view), String::new()];
    let Some(snapshot) = &view.snapshot else {
        return lines;
    };
    let mut sensors: Vec<_> = snapshot.sensors.values().collect();
    sensors.sort_unstable_by_key(|sensor| Reverse(sensor["revision"].as_i64()));
    let room = height.saturating_sub(HEAD_LINES);
    // The last line tells what there is no room for.
    let shown = if sensors.len() > room {
        room.saturating_sub(1)
    } else {
        sensors.len()
    };
    let titles = COLUMNS.map(|column| column.title.to_owned());
    let sensors_cells = sensors[..shown].iter().map(|sensor| {
        COLUMNS.map(|Column { member, .. }| match &sensor[member] {
            Json::String(text) if member == UPDATED_AT => instant(text, today),
            value => cell(value),
        })
    });
    let rows: Vec<Cells> = iter::once(titles).chain(sensors_cells).collect();
    let widths = widths(&rows, width);
    lines.extend(rows.iter().map(|cells| row(cells, widths)));
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
            "{} at {}.{}, {} behind, {status}",
            match snapshot.sensors.len() {
                1 => "1 sensor".to_owned(),
                count => format!("{count} sensors"),
            },
            snapshot.epoch,
            snapshot.revision,
            view.lag,
        ),
        None => status,
    }
}

/// How wide the columns are in a terminal of some width; what is left out has no width.
fn widths(rows: &[Cells], room: usize) -> Widths {
    let longest = |index: usize| rows.iter().map(|cells| cells[index].chars().count()).max();
    let mut widths: Widths = array::from_fn(|index| longest(index).unwrap_or(0).min(COLUMNS[index].max_width));
    // With the space between two columns.
    let total = |widths: &Widths| {
        widths
            .iter()
            .filter(|width| **width > 0)
            .map(|width| width + 1)
            .sum::<usize>()
    };
    let room = room + 1;
    for left_out in LEFT_OUT_FIRST {
        let narrowest = array::from_fn(|index| widths[index].min(COLUMNS[index].min_width));
        if total(&narrowest) <= room {
            break;
        }
        widths[left_out] = 0;
    }
    while total(&widths) > room {
        let can_be_cut = |index: &usize| widths[*index] > COLUMNS[*index].min_width;
        let Some(widest) = (0..widths.len()).filter(can_be_cut).max_by_key(|index| widths[*index]) else {
            break;
        };
        widths[widest] -= 1;
    }
    widths
}

fn row(cells: &Cells, widths: Widths) -> String {
    let shown = cells.iter().zip(widths).filter(|(_, width)| *width > 0);
    let cells: Vec<_> = shown
        .map(|(text, width)| {
            let mut text = text.clone();
            if text.chars().count() > width {
                text = text.chars().take(width - 1).chain(['…']).collect();
            }
            format!("{text:<width$}")
        })
        .collect();
    cells.join(" ").trim_end().to_owned()
}

/// An instant to the second, without the date when that is today's.
fn instant(text: &str, today: NaiveDate) -> String {
    let Ok(instant) = DateTime::parse_from_rfc3339(text) else {
        return printable(text);
    };
    let instant = instant.to_utc();
    let is_today = instant.date_naive() == today;
    let format = if is_today { "%H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%SZ" };
    instant.format(format).to_string()
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

    const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 29).unwrap();

    fn lines(view: &View, width: usize, height: usize) -> Vec<String> {
        super::lines("http://h", view, (width, height), TODAY)
    }

    #[test]
    fn what_changed_last_comes_first_and_the_rest_is_counted() {
        let shown = lines(&view(10), 80, 8);
        assert_eq!(shown.len(), 8);
        assert_eq!(shown[1], "10 sensors at aaaaaaaa.10, 0 behind, live");
        assert!(
            shown[4].starts_with("s10 ") && shown[6].starts_with("s8 "),
            "{shown:#?}"
        );
        assert_eq!(shown[7], "… and 7 more");
        assert_eq!(lines(&view(4), 80, 8).len(), 8);
        assert_eq!(lines(&view(1), 80, 8)[1], "1 sensor at aaaaaaaa.1, 0 behind, live");
    }

    #[test]
    fn every_column_is_seen_in_a_common_terminal_and_the_longest_text_is_cut_first() {
        let sensor = |name: &str, value: Json, updated_at: &str| {
            json!({
                "name": name, "value": value, "unit": "Cel", "status": "inactive",
                "revision": 1_234_567, "updated_at": updated_at,
            })
        };
        let text = json!("a value that is a text");
        let long = sensor(&"boiler-temp-".repeat(20), text, "2026-11-28T23:59:59.999Z");
        let short = sensor("b", json!(21.5), "2026-11-29T00:00:01.5Z");
        let mut two = view(2);
        let sensors = &mut two.snapshot.as_mut().unwrap().sensors;
        for (shown, sensor) in sensors.values_mut().zip([long, short]) {
            *shown = Arc::new(sensor);
        }
        assert_eq!(
            lines(&two, 80, 24)[3..],
            [
                "NAME               VALUE             UNIT STATUS   REVISION UPDATED",
                "boiler-temp-boile… a value that is … Cel  inactive 1234567  2026-11-28 23:59:59Z",
                "b                  21.5              Cel  inactive 1234567  00:00:01Z",
            ]
        );
        assert_eq!(
            lines(&two, 47, 24)[3..],
            [
                "NAME         VALUE    UNIT UPDATED",
                "boiler-temp… a value… Cel  2026-11-28 23:59:59Z",
                "b            21.5     Cel  00:00:01Z",
            ]
        );
        for width in 24..200 {
            let shown = lines(&two, width, 24);
            assert!(
                shown[3..].iter().all(|line| line.chars().count() <= width),
                "{shown:#?}"
            );
        }
    }

    #[test]
    fn what_comes_from_outside_does_not_steer_the_terminal() {
        assert!(lines(&view(1), 80, 24).iter().all(|line| !line.contains('\x1b')));
    }

    #[test]
    fn a_terminal_of_no_size_is_no_failure() {
        for size in 0..6 {
            lines(&view(3), size, size);
        }
    }
}
