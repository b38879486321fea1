//! On what the numbers were measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::disk;
use crate::table::{ms, short};

/// The machine and the versions, one a line, as a list in Markdown. `folder` is on the disk that is described.
pub fn description(folder: &Path) -> anyhow::Result<String> {
    let disk = disk::measure(folder)?;
    let lines = [
        (
            "commit",
            output("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
        ),
        ("date", output("date", &["-u", "+%F %H:%M UTC"])),
        (
            "processor",
            format!("{}, {} cores", field("/proc/cpuinfo", "model name"), cores()),
        ),
        ("memory", field("/proc/meminfo", "MemTotal")),
        (
            "system",
            format!("{}, Linux {}", system(), first_line("/proc/sys/kernel/osrelease")),
        ),
        (
            "disk",
            format!(
                "{}; fdatasync after a page of 4 KiB at the end of a file: median {} ms, p99 {} ms",
                output("findmnt", &["-no", "SOURCE,FSTYPE", "-T", &folder.to_string_lossy()]),
                short(ms(disk.median)),
                short(ms(disk.p99))
            ),
        ),
        ("load before", first_line("/proc/loadavg")),
        ("compiler", output("rustc", &["--version"])),
        ("wrk", output("wrk", &["-v"])),
        ("broker", output("mosquitto", &["-h"])),
    ];
    Ok(lines.map(|(name, value)| format!("* {name}: {value}\n")).concat())
}

/// What a file of `/proc` says about `name`, the first time.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}

fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The first line that a program says, on whichever stream; some call asking for the version a failure.
fn output(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .next()
        .unwrap_or("unknown")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
