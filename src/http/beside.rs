//! Work that would take too long in the thread of a worker, where other requests wait meanwhile.

use actix_web::error::BlockingError;
use actix_web::web;

use super::problem::{self, Problem};

/// Work on more bytes than this goes to another thread.
const LONGEST_ON_WORKER_BYTES: usize = 64 * 1024;

/// Runs `work` on an input of this size: in place when it is small, otherwise on a thread for blocking work.
///
/// # Errors
/// When it panics on that thread.
pub async fn make<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingError> {
    if bytes > LONGEST_ON_WORKER_BYTES {
        web::block(work).await
    } else {
        Ok(work())
    }
}

impl From<BlockingError> for Problem {
    fn from(error: BlockingError) -> Self {
        tracing::error!(%error, "work beside the workers was cut off");
        Self::of_kind(&problem::INTERNAL)
    }
}
