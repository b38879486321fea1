//! The limit of open files, of which every connection is one.
//!
//! The soft limit of most systems is 1,024, for programs that use `select(2)`; this one does not, so it takes what it is allowed.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a service without connections has open besides its workers' own: measured, and one more. Six connections to the database have
/// 15 of them, the built-in broker 7.
const OWN: u64 = 40;
/// What each worker has open.
const OF_WORKER: u64 = 4;
/// The fewest that have to be left, for the first connections and for what is open for a moment.
const LEFT: u64 = 16;

/// Lets this process open as many files as it may, and warns when these are too few for `connections` at a time. Call it before
/// anything is opened.
///
/// # Errors
/// When these are too few to start at all with so many workers: no part of a service, and no library, could say so in one line.
pub fn raise(connections: usize, workers: usize) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    let Some(allowed) = allowed else { return Ok(()) };
    let as_files = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let least = as_files(workers).saturating_mul(OF_WORKER).saturating_add(OWN + LEFT);
    let needed = as_files(connections).saturating_add(least);
    ensure!(
        allowed >= least,
        "only {allowed} files may be open, and a start on {workers} cores needs {least}: raise the hard limit (`ulimit -Hn`, \
         `LimitNOFILE=`), to {needed} for HTTP_MAX_CONNECTIONS ({connections})"
    );
    if allowed < needed {
        tracing::warn!(
            allowed,
            needed,
            "HTTP_MAX_CONNECTIONS is {connections}, and too few files may be open for so many: raise the hard limit \
             (`ulimit -Hn`, `LimitNOFILE=`) or lower it"
        );
    }
    Ok(())
}
