//! Work that would take too long in the thread of a worker, where other requests wait meanwhile.

use actix_web::error::BlockingError;
use actix_web::web;

use super::problem::{self, Problem};

/// What is made of more bytes than this is made beside the workers.
const LONGEST_ON_WORKER_BYTES: usize = 64 * 1024;

/// Makes something of so many bytes; of few of them at once.
///
/// # Errors
/// When it panics beside the workers.
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
