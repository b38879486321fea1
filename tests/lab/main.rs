//! The service made to die, to fail and to wait at every place that matters, and the checker made to find planted bugs.
//!
//! The binary that these tests start is built with the feature `failpoints`: `make test-lab`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests fail loudly, tell what they measured, and share their harness"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../ledger/mod.rs"]
mod ledger;

mod announced;
mod backup;
mod bugs;
mod durability;
mod places;
mod pruning;

use std::process::ExitStatus;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Processes under test at once: as many as keep two cores busy while others wait for a delay or a broker.
const AT_ONCE: usize = 4;

/// Tries all rows of a table, some at once. One that fails does not keep the others from being tried.
async fn for_each<T, F>(table: impl IntoIterator<Item = T>, attempt: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    let mut attempts = JoinSet::new();
    for row in table {
        let (seats, attempt) = (Arc::clone(&seats), attempt(row));
        attempts.spawn(async move {
            let _seat = seats.acquire().await.expect("a seat");
            attempt.await;
        });
    }
    let mut failed = 0;
    while let Some(attempt) = attempts.join_next().await {
        failed += usize::from(attempt.is_err());
    }
    assert_eq!(failed, 0, "rows failed; see above");
}

/// Whether the process aborted itself.
fn has_aborted(status: ExitStatus) -> bool {
    const SIGABRT: i32 = 6;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGABRT)
}
