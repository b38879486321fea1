//! Load by wrk.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// What one run of wrk sends, and to whom.
#[derive(Debug, Clone)]
pub struct Wrk {
    /// `load.lua`.
    pub script: PathBuf,
    pub connections: u32,
    pub seconds: u32,
    /// The kind of load and its arguments, as the script has them.
    pub arguments: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Answers of any kind.
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Answers that were no success, and requests without one.
    pub failed: u64,
}

/// More bring nothing on few cores, and one alone could be the limit of what is measured.
const MAX_THREADS: u32 = 2;

impl Wrk {
    /// Sends it and waits for the end.
    pub fn run(&self, target: SocketAddr) -> anyhow::Result<Load> {
        finish(self.start(target)?)
    }

    /// As [`Wrk::run`], where nothing may fail.
    pub fn run_flawless(&self, target: SocketAddr) -> anyhow::Result<Load> {
        let load = self.run(target)?;
        ensure!(load.failed == 0, "{} of the requests of {self:?} failed", load.failed);
        Ok(load)
    }

    /// Starts it in the background; [`finish`] waits for the end.
    pub fn start(&self, target: SocketAddr) -> anyhow::Result<Child> {
        Command::new("wrk")
            .args(["-t", &self.connections.min(MAX_THREADS).to_string()])
            .args(["-c", &self.connections.to_string()])
            .args(["-d", &format!("{}s", self.seconds), "--timeout", "10s", "-s"])
            .arg(&self.script)
            .arg(format!("http://{target}"))
            .arg("--")
            .args(&self.arguments)
            .stdout(Stdio::piped())
            .spawn()
            .context("wrk")
    }
}

/// Waits for the end of a run.
pub fn finish(wrk: Child) -> anyhow::Result<Load> {
    let output = wrk.wait_with_output().context("wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("RESULT ")) else {
        bail!("wrk told no result: {text}");
    };
    let numbers: Vec<u32> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, duration_us, p50_us, p99_us, failed] = numbers[..] else {
        bail!("wrk told {line}");
    };
    Ok(Load {
        per_second: f64::from(requests) / (f64::from(duration_us) / 1e6),
        p50: Duration::from_micros(p50_us.into()),
        p99: Duration::from_micros(p99_us.into()),
        failed: failed.into(),
    })
}
