//! Measures the service as it is released against what it is meant to reach: the table of `benches/RESULTS.md`.
//!
//! A program and no bench target: the features that dev-dependencies add to shared crates would then be in the service
//! that is measured.
#![expect(clippy::print_stdout, reason = "the table is its output")]
#![expect(clippy::print_stderr, reason = "the progress is for whoever waits")]

mod cost;
mod delivery;
mod disk;
mod fill;
mod http;
mod machine;
mod mqtt;
mod overload;
#[path = "../tests/faults/pace.rs"]
#[expect(clippy::expect_used, reason = "shared with the tests")]
mod pace;
mod paho;
#[path = "../tests/harness/port.rs"]
#[expect(clippy::expect_used, reason = "shared with the tests")]
mod port;
mod process;
mod profile;
mod rows;
mod sample;
mod scale;
mod setting;
mod stand_ins;
mod table;
mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use process::Place;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The rows that take minutes
    Table {
        /// Times that each contest is repeated
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Only these rows: get, 304, patch, alone, relay, lag, latency, list
        #[arg(long, value_delimiter = ',')]
        rows: Vec<String>,
        /// Where to write the table and the machine's description
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// The rows that need big databases
    Scale {
        /// Times that each contest is repeated
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// 1 for a million sensors and five million events
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
        /// Where to write the table and the machine's description
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// What a PATCH costs the processor, part by part, and what the goals leave for it
    Cost {
        /// Where to write it, with the machine's description
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// What is served and refused when five times too many writes come
    Overload {
        /// How long they come
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// On how many connections: with no more than a transaction takes there is no too much
        #[arg(long, default_value_t = 512)]
        connections: u32,
    },
    /// What perf says of the service under load
    Profile {
        /// get or patch
        load: String,
    },
    /// A stand-in: actix-web that gives the answers of a file
    #[command(hide = true)]
    Bare { address: SocketAddr, answers: PathBuf },
    /// A stand-in: a service with a transaction a request
    #[command(hide = true)]
    Transactions { address: SocketAddr, database: PathBuf },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Table { rounds, rows, write } => report("Results", write, |place| {
            Ok(table::table(&rows::run(place, rounds, &rows)?))
        }),
        Command::Scale { rounds, scale, write } => report("Results with big databases", write, |place| {
            Ok(table::table(&scale::run(place, rounds, scale)?))
        }),
        Command::Cost { write } => report("What a PATCH costs", write, cost::run),
        Command::Profile { load } => {
            println!("{}", profile::run(&Place::new()?, &load)?);
            Ok(())
        }
        Command::Overload { seconds, connections } => {
            println!(
                "{}",
                overload::run(&Place::new()?, Duration::from_secs(seconds), connections)?
            );
            Ok(())
        }
        Command::Bare { address, answers } => stand_ins::serve_bare(address, &answers),
        Command::Transactions { address, database } => stand_ins::serve_transactions(address, &database),
    }
}

/// Measures, prints the table, and writes it down where that is asked for.
fn report(
    title: &str,
    write: Option<PathBuf>,
    measure: impl FnOnce(&Place) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let place = Place::new()?;
    let machine = machine::description(place.path())?;
    let table = measure(&place)?;
    println!("\n{machine}\n{table}");
    if let Some(path) = write {
        let text = format!("# {title}\n\n{machine}\n{table}");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Tells whoever waits what has been done.
fn progress(line: &str) {
    eprintln!("{line}");
}
