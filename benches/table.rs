//! What was measured against what is wanted, as a table for people.

use std::fmt::Write;
use std::time::Duration;

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    pub what: String,
    pub goal: Goal,
    /// What was measured, once a round.
    pub rounds: Vec<f64>,
    /// The unit, or what the number is a multiple of.
    pub unit: &'static str,
    /// The numbers behind it.
    pub absolute: String,
}

/// When a row passes.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    /// Whether the median of the rounds reaches the goal.
    pub fn passes(&self) -> bool {
        let median = median(&self.rounds);
        match self.goal {
            Goal::AtLeast(goal) => median >= goal,
            Goal::AtMost(goal) => median <= goal,
        }
    }

    fn line(&self) -> String {
        let goal = match self.goal {
            Goal::AtLeast(goal) => format!("≥ {goal}"),
            Goal::AtMost(goal) => format!("≤ {goal}"),
        };
        let (lowest, highest) = self.rounds.iter().fold((f64::MAX, f64::MIN), |(low, high), round| {
            (low.min(*round), high.max(*round))
        });
        let range = match self.rounds[..] {
            [_] => String::new(),
            _ => format!(" ({}-{})", short(lowest), short(highest)),
        };
        format!(
            "| {what} | {goal} {unit} | **{measured}**{range} | {verdict} | {absolute} |",
            what = self.what,
            unit = self.unit,
            measured = short(median(&self.rounds)),
            verdict = if self.passes() { "pass" } else { "short" },
            absolute = self.absolute,
        )
    }
}

/// The table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        "| what | goal | median (lowest-highest round) | | medians behind it |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        // Cannot fail: it is written into memory.
        let _ = writeln!(text, "{}", row.line());
    }
    text
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The time that `share` of them do not exceed; sorts them.
pub fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a list in memory"
    )]
    let index = (times.len() as f64 * share) as usize;
    times
        .get(index.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Milliseconds, for the numbers behind a row.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Three digits that count.
pub fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// A rate, in thousands a second.
pub fn thousands(per_second: f64) -> String {
    format!("{} k/s", short(per_second / 1e3))
}
