//! Several changes as one command: in the order in which they are asked for, with no other change between them.

use tokio::sync::oneshot;

use super::command::{Decide, Outcome};
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
}

/// Changes that are run together, and who waits for them.
pub(super) struct Batch {
    /// Which events belong together.
    pub id: String,
    /// Whether all are undone when one cannot be made.
    pub atomic: bool,
    /// Taken when they are run.
    pub writes: Vec<(SensorRef, Decide)>,
    /// Held back until they are committed.
    pub result: Option<BatchOutcome>,
    pub reply: oneshot::Sender<Result<BatchOutcome, StoreError>>,
    /// As that of a single write.
    pub place: Place,
}
