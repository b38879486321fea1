//! Several changes as one command: in the order in which they are asked for, with no other change between them.

use tokio::sync::oneshot;

use super::command::{Decide, Outcome};
use super::once::Once;
use super::overload::Place;
use super::{StoreError, WriteError};
use crate::domain::SensorRef;

/// What became of a batch.
#[derive(Debug)]
pub enum BatchOutcome {
    /// What became of each change.
    Done(Vec<Result<Outcome, WriteError>>),
    /// Nothing was changed, because this change cannot be made: its place in the batch, the first being 0, and why.
    Failed(usize, WriteError),
    /// What is kept for the request, which was done now or before.
    Kept(String),
    /// Nothing was changed, because the key belongs to another request.
    KeyReused,
}

/// Tells the outcomes of a batch as its client is told, for them to be kept.
pub type Tell = Box<dyn FnOnce(Vec<Result<Outcome, WriteError>>) -> String + Send>;

/// Changes that are run together, and who waits for them.
pub(super) struct Batch {
    /// Which events belong together.
    pub id: String,
    /// Whether all are undone when one cannot be made.
    pub atomic: bool,
    /// Taken when they are run.
    pub writes: Vec<(SensorRef, Decide)>,
    /// What the answer is kept under, for when the request comes again, and what it says.
    pub once: Option<(Once, Tell)>,
    /// Held back until they are committed.
    pub result: Option<BatchOutcome>,
    pub reply: oneshot::Sender<Result<BatchOutcome, StoreError>>,
    /// As that of a single write.
    pub place: Place,
}
