use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The two steps of stopping.
#[derive(Default)]
pub(super) struct Stop {
    /// Publish what is there, then stop.
    pub(super) asked: CancellationToken,
    /// Stop, whatever is left.
    pub(super) over: CancellationToken,
}

/// What the farewell takes of the time in which to stop.
const FAREWELL_RESERVE: Duration = Duration::from_secs(2);

impl Stop {
    /// Waits for the word, and resolves when it says. A little before, it is over: the farewell gets its time. An attempt to connect may go on
    /// until it resolves.
    pub(super) async fn follow(&self, word: oneshot::Receiver<Instant>) {
        // Who went away without a word waits for nothing.
        let deadline = word.await.unwrap_or_else(|_| Instant::now());
        self.asked.cancel();
        sleep_until(deadline - FAREWELL_RESERVE).await;
        self.over.cancel();
        sleep_until(deadline).await;
    }
}
