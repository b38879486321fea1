//! Where the service spends its time under one kind of load, as perf sees it.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::fill::fill;
use crate::process::Place;
use crate::setting::{FEW_SENSORS, READERS, WRITERS};
use crate::stand_ins::SENSORS;
use crate::table::thousands;
use crate::wrk::finish;

const SECONDS: u32 = 10;
/// Off the beat of anything that happens every millisecond.
const SAMPLES_PER_SECOND: &str = "1997";

/// The report of perf on the service under `load`: `get` or `patch`.
pub fn run(place: &Place, load: &str) -> anyhow::Result<String> {
    let (kind, connections) = match load {
        "patch" => ("patch", WRITERS),
        _ => ("hot", READERS),
    };
    fill(place, "profile", FEW_SENSORS)?;
    let service = place.service("profile", None)?;
    let wrk = place.wrk(connections, SECONDS, &[kind, &SENSORS.to_string(), "1"]);
    let running = wrk.start(service.address())?;
    let data = place.path().join("perf.data");
    let recorded = Command::new("perf")
        .args(["record", "--quiet", "-F", SAMPLES_PER_SECOND])
        .args(["-p", &service.process.id().to_string(), "-o"])
        .arg(&data)
        .args(["--", "sleep", &(SECONDS - 1).to_string()])
        .status()
        .context("perf")?;
    ensure!(
        recorded.success(),
        "perf recorded nothing; it may need root, or kernel.perf_event_paranoid = 1"
    );
    let load = finish(running)?;
    let report = Command::new("perf")
        .args([
            "report",
            "--stdio",
            "--percent-limit",
            "0.3",
            "--sort",
            "comm,dso,symbol",
            "-i",
        ])
        .arg(&data)
        .output()?;
    let report = String::from_utf8_lossy(&report.stdout);
    // perf fills its columns up with blanks.
    let report = report.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    Ok(format!(
        "# {kind}, {connections} connections: {}\n{report}",
        thousands(load.per_second)
    ))
}
