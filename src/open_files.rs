//! The limit of open files, of which every connection is one.
//!
//! The soft limit of most systems is 1,024, for programs that use `select(2)`; this one does not, so it takes what it is allowed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides connections: the database, the threads' own, the broker.
const OTHERS: u64 = 128;

/// Lets this process open as many files as it may, and warns when these are too few for `connections` at a time.
pub fn raise(connections: usize) {
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
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "HTTP_MAX_CONNECTIONS is {connections}, and too few files may be open for so many: raise the hard limit \
             (`ulimit -Hn`, `LimitNOFILE=`) or lower it"
        );
    }
}
