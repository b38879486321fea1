//! What the writer is asked to do, who waits for it, and what they are told.

use tokio::sync::oneshot;

use super::once::Once;
use super::overload::Place;
use super::post::{Letter, Post, PostBox};
use super::{Record, StoreError, WriteError};
use crate::domain::{Change, Moment, Refusal, Revision, Sensor, SensorId, SensorRef};

/// What a write did, once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the sensor is what it was. No revision was made.
    Unchanged(Record),
    /// There is a new sensor.
    Created(Record),
    /// The sensor is now this.
    Modified(Record),
    /// The sensor of this id is gone, since this revision.
    Deleted(SensorId, Revision),
}

/// What looks at a sensor, inside the transaction, and says what to do.
pub type Decide = Box<dyn FnOnce(Option<&Sensor>, Moment) -> Result<Change, Refusal> + Send>;

/// What a write is answered.
pub(super) type Answer = Result<Outcome, WriteError>;

/// A change of one sensor, and who waits for it.
pub(super) struct Write {
    pub target: SensorRef,
    /// Taken when it is run.
    pub decide: Option<Decide>,
    /// What the answer is kept under, for when the request comes again.
    pub once: Option<Once>,
    /// Held back until it is committed.
    pub result: Option<Answer>,
    pub reply: oneshot::Sender<Answer>,
    /// Where the answer goes; `None` when it goes to whoever waits.
    pub post_box: Option<PostBox>,
    /// Given back before the answer is sent, so that the client finds a place for its next write.
    pub place: Place,
}

/// What became of a batch.
#[derive(Debug)]
pub enum BatchOutcome {
    /// What became of each change.
    Done(Vec<Answer>),
    /// Nothing was changed, because this change cannot be made: its place in the batch, the first being 0, and why.
    Failed(usize, WriteError),
    /// What is kept for the request, which was done now or before.
    Kept(String),
    /// Nothing was changed, because the key belongs to another request.
    KeyReused,
}

/// Tells the outcomes of a batch as its client is told, for them to be kept.
pub type Tell = Box<dyn FnOnce(Vec<Answer>) -> String + Send>;

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

/// What the store has to note about itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Note {
    /// The broker has acknowledged every event up to this one.
    Relayed(Revision),
    /// Nothing, but in a transaction that writes: to see whether it can.
    Probe,
}

/// What the writer is asked to do.
pub(super) enum Command {
    Write(Write),
    Batch(Batch),
    Note(Note, oneshot::Sender<Result<(), StoreError>>),
    /// Remove some of the events that may go. The answer is how many they were.
    Prune(oneshot::Sender<usize>),
    Stop(oneshot::Sender<()>),
}

impl Command {
    // Whoever no longer waits for an answer has gone away, which takes nothing back: a failed send is no error.

    pub(super) fn answer(self, post: &mut Post<Answer>) {
        match self {
            Self::Write(Write {
                result: Some(answer),
                reply,
                post_box,
                place,
                ..
            }) => {
                drop(place);
                post.add(post_box.as_ref(), Letter { reply, answer });
            }
            Self::Batch(Batch {
                result: Some(result),
                reply,
                place,
                ..
            }) => {
                drop(place);
                let _ = reply.send(Ok(result));
            }
            Self::Note(_, reply) => drop(reply.send(Ok(()))),
            Self::Write(_) | Self::Batch(_) | Self::Prune(_) | Self::Stop(_) => {}
        }
    }

    /// The bug of an answer before COMMIT.
    pub(super) fn answer_early(&mut self) {
        if let Self::Write(write) = self
            && let Some(result) = write.result.take()
        {
            let reply = std::mem::replace(&mut write.reply, oneshot::channel().0);
            let _ = reply.send(result);
        }
    }

    pub(super) fn fail(self, error: &StoreError) {
        match self {
            Self::Write(Write { reply, place, .. }) => {
                drop(place);
                let _ = reply.send(Err(WriteError::RolledBack(error.clone())));
            }
            Self::Batch(Batch { reply, place, .. }) => {
                drop(place);
                let _ = reply.send(Err(error.clone()));
            }
            Self::Note(_, reply) => drop(reply.send(Err(error.clone()))),
            Self::Prune(_) | Self::Stop(_) => {}
        }
    }
}
