//! Five times too many writes, and what becomes of those that are served and of those that are refused.

use std::time::Duration;

use crate::fill;
use crate::pace::{Pace, Tally, p50, p99};
use crate::process::Place;
use crate::progress;
use crate::setting::{FEW_SENSORS, WRITERS};
use crate::table::{ms, short};

const TIMES_TOO_MUCH: f64 = 5.0;

/// Measures for `time`, with shorter times before and after it, and gives the table. `crowd` is how many connections send too
/// much.
pub fn run(place: &Place, time: Duration, crowd: u32) -> anyhow::Result<String> {
    fill::fill(place, "overload", FEW_SENSORS)?;
    let service = place.service("overload", None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measure = |what: &str, pace: Pace| {
        progress(what);
        runtime.block_on(pace.run(service.address()))
    };
    let most = measure("as much as it can", Pace::closed(WRITERS, time / 3));
    let half = measure("half of that", Pace::open(WRITERS, most.rate() / 2.0, time / 3));
    let too_much = measure("too much", Pace::open(crowd, most.rate() * TIMES_TOO_MUCH, time));
    let after = measure(
        "half of it, afterwards",
        Pace::open(WRITERS, most.rate() / 2.0, time / 6),
    );
    let rows = [
        row(&format!("as much as it can, {WRITERS} connections"), &most),
        row("half of that", &half),
        row(&format!("five times that, {crowd} connections"), &too_much),
        row("half of it, afterwards", &after),
    ];
    Ok(format!(
        "| | served/s | p50 | p99 | p99 of a second | refused/s | p50 | p99 | other answers |\n|---|---|---|---|---|---|---|---|---|\n{}\n\nserved under too much: {:.2} times the p99 of as much as it can, {:.2} times in a second as most are\n",
        rows.join("\n"),
        ratio(p99(&too_much.served), p99(&most.served)),
        ratio(too_much.p99_of_a_second(), most.p99_of_a_second()),
    ))
}

fn ratio(time: Duration, other: Duration) -> f64 {
    time.as_secs_f64() / other.as_secs_f64()
}

fn row(what: &str, tally: &Tally) -> String {
    let time = |time| format!("{} ms", short(ms(time)));
    let of = |times: &[Duration]| format!("{} | {}", time(p50(times)), time(p99(times)));
    let refused = u32::try_from(tally.refused.len()).unwrap_or(u32::MAX);
    format!(
        "| {what} | {:.0} | {} | {} | {:.0} | {} | {} |",
        tally.rate(),
        of(&tally.served),
        time(tally.p99_of_a_second()),
        f64::from(refused) / tally.time.as_secs_f64(),
        of(&tally.refused),
        tally.odd.len()
    )
}
