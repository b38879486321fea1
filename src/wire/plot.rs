//! The history of a sensor as a picture (SVG 1.1): the values over time, with gaps where it did not report.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;

use super::history::{HistoryForm, PointForm};
use super::representation::{StatusForm, ValueForm};

const SIZE: (u32, u32) = (960, 420);
const INK: RGBColor = RGBColor(40, 48, 60);
const FAINT: RGBColor = RGBColor(226, 230, 236);
const ASLEEP: RGBColor = RGBColor(240, 241, 244);
const LINE: RGBColor = RGBColor(28, 100, 190);
const FONT: &str = "system-ui, sans-serif";
/// More points than this are a line without dots.
const MOST_DOTS: usize = 200;
/// The most texts that get a level of their own on the axis.
const MOST_TEXTS: usize = 12;
/// The most marks on the axis of time.
const MOST_TICKS: usize = 8;
/// The longest text of a level, and the longest unit, that are shown whole.
const LONGEST_LABEL: usize = 18;
const LONGEST_UNIT: usize = 32;
/// How wide numbers and texts on the axis are with the unit beside them, in pixels.
const NUMBERS_WIDTH: u32 = 96;
const TEXTS_WIDTH: u32 = 160;
/// Room for the half of an instant that stands at the right end of its axis, in pixels.
const RIGHT_MARGIN: u32 = 44;
/// The span of numbers beyond this could be larger than any number, so these are drawn as numbers that are so many times
/// smaller, and called what they are.
const HUGE: f64 = 1e300;
const SMALLER: f64 = 1000.0;

type Instant = DateTime<Utc>;

/// The picture of a history. `of_newest` is the number of events that were looked at, when there are older ones.
///
/// Numbers stand on an axis with the unit, and so do texts that are numbers. When there is none, booleans and texts are the
/// levels of the axis. What can be shown on neither is counted in the caption, which tells of how many events it is, too.
///
/// # Errors
/// When the picture cannot be drawn, which writing into memory excludes.
pub fn svg(history: &HistoryForm, of_newest: Option<usize>) -> anyhow::Result<String> {
    let chart = Chart::of(&history.points);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let area = caption(&area, history, &chart, of_newest)?;
        if chart.values.is_empty() {
            let place = (i32::try_from(SIZE.0 / 2)? - 60, i32::try_from(SIZE.1 / 2)? - 40);
            area.draw_text("no values in this range", &font(15).color(&INK), place)?;
        } else {
            draw(&area, history, &chart)?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// What is drawn, in the coordinates of the picture.
struct Chart {
    /// Runs of values without a gap between them.
    runs: Vec<Vec<(Instant, f64)>>,
    values: Vec<(Instant, f64)>,
    /// When the sensor was inactive or gone.
    asleep: Vec<Range<Instant>>,
    /// The texts that the levels of the axis stand for; empty when values are numbers.
    levels: Vec<String>,
    /// What has been drawn as 1.
    scale: f64,
    /// How many values cannot be shown.
    left_out: usize,
    times: Range<Instant>,
}

impl Chart {
    fn of(points: &[PointForm]) -> Self {
        let levels = levels(points);
        let mut chart = Self {
            runs: vec![Vec::new()],
            values: Vec::new(),
            asleep: Vec::new(),
            levels,
            scale: 1.0,
            left_out: 0,
            times: DateTime::UNIX_EPOCH..DateTime::UNIX_EPOCH,
        };
        let mut asleep_since = None;
        let times = points.iter().filter_map(|point| instant(&point.time));
        let (first, last) = (times.clone().min(), times.max());
        for point in points {
            let Some(time) = instant(&point.time) else { continue };
            let is_awake = !point.deleted && !matches!(point.status, Some(StatusForm::Inactive));
            match (is_awake, asleep_since) {
                (false, None) => asleep_since = Some(time),
                (true, Some(since)) => {
                    chart.asleep.push(since..time);
                    asleep_since = None;
                }
                _ => {}
            }
            if is_awake && point.value.is_some() {
                chart.add(point, time);
            } else {
                chart.runs.push(Vec::new());
            }
        }
        chart.make_smaller();
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        chart.asleep.extend(asleep_since.map(|since| since..last));
        // Room at both ends; a single point stands in the middle of two minutes.
        let margin = ((last - first) / 50).max(TimeDelta::milliseconds(1));
        let margin = if first == last { TimeDelta::minutes(1) } else { margin };
        chart.times = (first - margin)..(last + margin);
        chart
    }

    /// Adds a reported value. One that was only carried on, over a change of the status, is not one.
    fn add(&mut self, point: &PointForm, time: Instant) {
        if point
            .measured_at
            .as_ref()
            .is_some_and(|measured_at| *measured_at != point.time)
        {
            return;
        }
        let level = |text: &str| self.levels.iter().position(|level| level == text);
        let value = point.value.as_ref();
        let height = if self.levels.is_empty() {
            value.and_then(number)
        } else {
            value
                .and_then(|value| level(&text(value)))
                .and_then(|level| u32::try_from(level).ok())
                .map(f64::from)
        };
        let Some(height) = height else {
            self.left_out += 1;
            return;
        };
        self.values.push((time, height));
        if let Some(run) = self.runs.last_mut() {
            // A state holds until the next one; what a number did in between is not known.
            let held = run
                .last()
                .filter(|_| !self.levels.is_empty())
                .map(|(_, held)| (time, *held));
            run.extend(held);
            run.push((time, height));
        }
    }

    /// Sees to it that the span of the values is a number.
    fn make_smaller(&mut self) {
        if self.values.iter().any(|(_, height)| height.abs() > HUGE) {
            self.scale = SMALLER;
            for (_, height) in self.values.iter_mut().chain(self.runs.iter_mut().flatten()) {
                *height /= SMALLER;
            }
        }
    }

    /// What a place on the axis is called.
    fn label(&self, height: f64, heights: &Range<f64>) -> String {
        if !self.levels.is_empty() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a level is small and whole"
            )]
            let level = height.fract().abs().lt(&1e-9).then(|| height.max(0.0) as usize);
            let text = level
                .and_then(|level| self.levels.get(level))
                .map_or("", String::as_str);
            return cut(text, LONGEST_LABEL);
        }
        // Zero is reached in steps, each of which is rounded.
        if height.abs() < (heights.end - heights.start) * 1e-9 {
            return "0".to_owned();
        }
        let is_tiny = heights.start.abs().max(heights.end.abs()) < 1e-4;
        let rounded = (height * 1e6).round() / 1e6;
        if !is_tiny && self.scale <= 1.0 && rounded.abs() < 1e9 && rounded.to_string().len() < 10 {
            rounded.to_string()
        } else {
            format!("{:.3e}", (height * self.scale).clamp(f64::MIN, f64::MAX))
        }
    }

    /// From below the lowest to above the highest value.
    fn heights(&self) -> Range<f64> {
        if !self.levels.is_empty() {
            let count = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
            return -0.5..f64::from(count) - 0.5;
        }
        let heights = || self.values.iter().map(|(_, height)| *height);
        let (low, high) = (
            heights().fold(f64::INFINITY, f64::min),
            heights().fold(f64::NEG_INFINITY, f64::max),
        );
        let margin = (high - low) * 0.08;
        // Equal values stand in the middle; far from zero, a margin has to be a part of them to be one.
        let margin = if margin > 0.0 {
            margin
        } else {
            (high.abs() * 0.1).max(1.0)
        };
        // Where there are no numbers any more, the axis ends, too.
        (low - margin).max(f64::MIN / self.scale)..(high + margin).min(f64::MAX / self.scale)
    }
}

/// The levels of an axis without numbers, in the order in which they are told.
fn levels(points: &[PointForm]) -> Vec<String> {
    let mut levels = Vec::new();
    for value in points.iter().filter_map(|point| point.value.as_ref()) {
        if number(value).is_some() {
            return Vec::new();
        }
        if let ValueForm::Boolean(_) = value
            && levels.is_empty()
        {
            levels.extend(["false".to_owned(), "true".to_owned()]);
        }
        let text = text(value);
        if !levels.contains(&text) && levels.len() < MOST_TEXTS {
            levels.push(text);
        }
    }
    levels
}

fn number(value: &ValueForm) -> Option<f64> {
    let number = match value {
        ValueForm::Number(number) => number.as_f64(),
        ValueForm::Text(text) => text.trim().parse().ok(),
        ValueForm::Boolean(_) => None,
    };
    number.filter(|number| number.is_finite())
}

fn text(value: &ValueForm) -> String {
    match value {
        ValueForm::Number(number) => number.to_string(),
        ValueForm::Boolean(boolean) => boolean.to_string(),
        ValueForm::Text(text) => text.clone(),
    }
}

fn instant(text: &str) -> Option<Instant> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

fn font(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes who and when on the top, and gives the rest.
fn caption<'a>(
    area: &Area<'a>,
    history: &HistoryForm,
    chart: &Chart,
    of_newest: Option<usize>,
) -> anyhow::Result<Area<'a>> {
    let (top, rest) = area.split_vertically(46);
    let name = history.name.as_deref().unwrap_or(&history.sensor);
    let title = (FONT, 19, FontStyle::Bold).into_font().color(&INK);
    top.draw_text(name, &title, (20, 14))?;
    let mut facts = Vec::new();
    if !chart.values.is_empty() {
        let day =
            |instant: Option<&(Instant, f64)>| instant.map(|(time, _)| time.format("%Y-%m-%d %H:%M:%S").to_string());
        let from = day(chart.values.iter().min_by_key(|(time, _)| *time)).unwrap_or_default();
        let to = day(chart.values.iter().max_by_key(|(time, _)| *time)).unwrap_or_default();
        let count = chart.values.len();
        let values = if count == 1 { "value" } else { "values" };
        facts.push(format!("{count} {values}, {from} to {to} UTC"));
    }
    if chart.left_out > 0 {
        let reason = if chart.levels.is_empty() {
            "being no numbers"
        } else {
            "having no level"
        };
        facts.push(format!("{} not shown, {reason}", chart.left_out));
    }
    facts.extend(of_newest.map(|events| format!("of the newest {events} events")));
    let right = font(13).pos(plotters::style::text_anchor::Pos::new(
        plotters::style::text_anchor::HPos::Right,
        plotters::style::text_anchor::VPos::Top,
    ));
    top.draw_text(&facts.join("; "), &right, (i32::try_from(SIZE.0)? - 22, 19))?;
    Ok(rest)
}

fn draw(area: &Area<'_>, history: &HistoryForm, chart: &Chart) -> anyhow::Result<()> {
    let heights = chart.heights();
    let mut context = ChartBuilder::on(area)
        .margin_right(RIGHT_MARGIN)
        .margin_bottom(10)
        .margin_left(8)
        .x_label_area_size(34)
        .y_label_area_size(if chart.levels.is_empty() {
            NUMBERS_WIDTH
        } else {
            TEXTS_WIDTH
        })
        .build_cartesian_2d(chart.times.clone(), heights.clone())?;
    let asleep = chart.asleep.iter().map(|times| {
        let corners = [(times.start, heights.start), (times.end, heights.end)];
        Rectangle::new(corners, ASLEEP.filled())
    });
    context.draw_series(asleep)?;
    let span = chart.times.end - chart.times.start;
    let (time_format, finest) = time_format(span);
    context
        .configure_mesh()
        .axis_style(FAINT)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .label_style(font(13))
        .x_labels(most_ticks(span, finest))
        .y_labels(if chart.levels.is_empty() { 7 } else { chart.levels.len() })
        .x_label_formatter(&|time| time.format(time_format).to_string())
        .y_label_formatter(&|height| chart.label(*height, &heights))
        .y_desc(cut(history.unit.as_deref().unwrap_or_default(), LONGEST_UNIT))
        .draw()?;
    for run in &chart.runs {
        context.draw_series(LineSeries::new(run.iter().copied(), LINE.stroke_width(2)))?;
    }
    // A single value between two gaps is no line: without a dot it would not be seen.
    let alone = || chart.runs.iter().filter(|run| run.len() == 1).flatten();
    let dotted: Vec<_> = if chart.values.len() <= MOST_DOTS {
        chart.values.iter().collect()
    } else {
        alone().collect()
    };
    context.draw_series(dotted.into_iter().map(|at| Circle::new(*at, 3, LINE.filled())))?;
    Ok(())
}

/// A text that takes at most so many characters.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() > longest {
        text.chars().take(longest - 1).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

/// How an instant is written, as fine as the span of the axis asks for, and the shortest time that it tells apart.
fn time_format(span: TimeDelta) -> (&'static str, TimeDelta) {
    match span {
        span if span < TimeDelta::seconds(8) => ("%H:%M:%S%.3f", TimeDelta::milliseconds(1)),
        span if span < TimeDelta::minutes(8) => ("%H:%M:%S", TimeDelta::seconds(1)),
        span if span < TimeDelta::days(2) => ("%H:%M", TimeDelta::minutes(1)),
        span if span < TimeDelta::days(600) => ("%Y-%m-%d", TimeDelta::days(1)),
        _ => ("%Y-%m", TimeDelta::days(31)),
    }
}

/// The most ticks for which no two neighbours have the same text.
fn most_ticks(span: TimeDelta, finest: TimeDelta) -> usize {
    let told_apart = span.num_milliseconds() / finest.num_milliseconds();
    usize::try_from(told_apart).unwrap_or(MOST_TICKS).clamp(1, MOST_TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of values, each so long after the start.
    fn picture_of(values: impl Iterator<Item = (TimeDelta, f64)>, unit: &str) -> String {
        let first = instant("2026-11-22T11:00:00.123Z").expect("an instant");
        let points = values.zip(1..).map(|((after, value), revision)| PointForm {
            revision,
            measured_at: None,
            time: (first + after).to_rfc3339(),
            value: serde_json::Number::from_f64(value).map(ValueForm::Number),
            status: Some(StatusForm::Active),
            deleted: false,
        });
        let history = HistoryForm {
            sensor: String::new(),
            epoch: String::new(),
            name: None,
            unit: Some(unit.to_owned()),
            points: points.collect(),
            links: Vec::new(),
        };
        svg(&history, None).expect("a picture")
    }

    /// A picture of two values, so long one after the other.
    fn picture_of_two(apart: TimeDelta) -> String {
        picture_of([(TimeDelta::zero(), 1.0), (apart, 2.0)].into_iter(), "")
    }

    fn texts(svg: &str) -> Vec<String> {
        let text = |before: &str| Some(before.rsplit('>').next()?.trim().to_owned());
        svg.split("</text>").filter_map(text).collect()
    }

    /// The texts of a picture of these values, a minute apart, and how high their dots stand, in pixels from the top.
    fn picture(values: &[f64], unit: &str) -> (Vec<String>, Vec<f64>) {
        let minutes = (0..).map(TimeDelta::minutes);
        let svg = picture_of(minutes.zip(values.iter().copied()), unit);
        let dots = svg.split("<circle").skip(1).filter_map(|dot| {
            let height = dot.split("cy=\"").nth(1)?.split('"').next()?;
            height.parse().ok()
        });
        (texts(&svg), dots.collect())
    }

    /// The numbers on the axis of values.
    fn numbers(texts: &[String]) -> Vec<f64> {
        let labels = texts.iter().filter(|text| !text.contains(':'));
        labels.filter_map(|text| text.parse().ok()).collect()
    }

    #[test]
    fn the_largest_numbers_stand_where_the_axis_says() {
        for values in [
            [1e308, 0.0],
            [1e308, -1e308],
            [f64::MAX, f64::MIN],
            [f64::MAX, 1e308],
            [3e15, -3e15],
        ] {
            let (texts, dots) = picture(&values, "Cel");
            let numbers = numbers(&texts);
            assert!(dots.len() == 2 && numbers.len() > 2, "{values:?}: {texts:?}");
            assert!(numbers.iter().all(|number| number.is_finite()), "{values:?}: {texts:?}");
            let highest = numbers.iter().copied().fold(f64::MIN, f64::max);
            // The next label above it would be a step away.
            assert!(
                highest > values[0] * 0.5 && highest <= f64::MAX,
                "{values:?}: {texts:?}"
            );
            assert!(dots[1] - dots[0] > 200.0, "{values:?}: {dots:?}");
            let has_zero = texts.iter().any(|text| text == "0");
            assert_eq!(has_zero, values[1] <= 0.0, "{values:?}: {texts:?}");
        }
    }

    #[test]
    fn small_numbers_have_names_of_their_own_on_the_axis() {
        let (texts, _) = picture(&[1e-7, 3e-7], "");
        let mut names = numbers(&texts);
        names.dedup();
        assert!(names.len() > 2, "{texts:?}");
    }

    #[test]
    fn a_long_unit_is_cut() {
        let (texts, _) = picture(&[1.0, 2.0], &"unit-".repeat(12));
        let unit = texts.iter().find(|text| text.starts_with("unit-")).expect("a unit");
        assert!(unit.chars().count() <= 32 && unit.ends_with('…'), "{unit}");
    }

    #[test]
    fn two_ticks_next_to_each_other_on_the_axis_of_time_have_two_names() {
        let mut apart = TimeDelta::milliseconds(1);
        while apart < TimeDelta::days(3000) {
            let texts = texts(&picture_of_two(apart));
            let ticks = texts.iter().filter(|text| text.contains(':') || text.starts_with("20"));
            let ticks: Vec<_> = ticks.filter(|text| !text.contains(' ')).collect();
            assert!(!ticks.is_empty(), "{apart}: {texts:?}");
            assert!(ticks.windows(2).all(|pair| pair[0] != pair[1]), "{apart}: {ticks:?}");
            apart = apart * 5 / 4 + TimeDelta::milliseconds(1);
        }
    }

    #[test]
    fn every_name_on_the_axis_of_time_ends_in_the_picture() {
        let mut apart = TimeDelta::milliseconds(1);
        while apart < TimeDelta::days(3000) {
            let svg = picture_of_two(apart);
            let named = svg
                .split("<text ")
                .filter(|text| text.contains("text-anchor=\"middle\""));
            let ends = named.filter_map(|text| {
                let number = |name| text.split(name).nth(1)?.split('"').next()?.parse::<f64>().ok();
                let name = text.split("</text>").next()?.rsplit('>').next()?.trim();
                // No common font has digits wider than twice this.
                Some(number("x=\"")? + f64::from(u32::try_from(name.len()).ok()?) * 0.32 * number("font-size=\"")?)
            });
            let end = ends.fold(0.0, f64::max);
            assert!(end > 0.0 && end <= f64::from(SIZE.0), "{apart}: {end}");
            apart = apart * 5 / 4 + TimeDelta::milliseconds(1);
        }
    }
}
