//! The thread that looks for sensors that are not in memory: it takes all questions that wait, and answers them from one
//! snapshot.
//!
//! A thread of its own, as the writer is: no thread that serves requests waits for the disk, and all who ask at once share the
//! way to it and back.

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::StoreError;
use super::post::{Letter, Post, PostBox};
use super::row::{SensorRow, find, head};
use crate::domain::{Revision, SensorRef};

/// The most questions that share a snapshot, so that the first of them does not wait for long.
const MAX_QUESTIONS: usize = 64;

/// What the thread is asked.
pub(super) enum Question {
    /// What a sensor is.
    Find {
        sensor: SensorRef,
        reply: oneshot::Sender<Found>,
        /// Where the answer goes; `None` when it goes to whoever waits.
        post_box: Option<PostBox>,
    },
    /// To close its connection and to end.
    Stop(oneshot::Sender<()>),
}

/// What was seen of a sensor.
pub(super) struct Sight {
    /// The sensor, where there is one.
    pub row: Option<SensorRow>,
    /// The newest revision of the snapshot.
    pub head: Revision,
}

/// The answer.
pub(super) type Found = Result<Sight, StoreError>;

pub(super) struct Lookup {
    pub connection: Connection,
    pub questions: mpsc::UnboundedReceiver<Question>,
    pub failed: CancellationToken,
}

impl Lookup {
    /// Works until it is told to stop, or nobody is left to ask.
    pub(super) fn run(mut self) {
        // A panic ends the process, as one of the writer does.
        let failed = self.failed.clone().drop_guard();
        let mut questions = Vec::new();
        let mut stop = None;
        // A snapshot answers only the questions that were in the queue before it began: whoever asks later may know of a newer
        // commit.
        while stop.is_none() && self.questions.blocking_recv_many(&mut questions, MAX_QUESTIONS) > 0 {
            stop = self.answer(questions.drain(..));
        }
        failed.disarm();
        drop(self.connection);
        if let Some(stop) = stop {
            // Nobody waiting is fine.
            let _ = stop.send(());
        }
    }

    /// Answers the questions; gives who waits for the end.
    fn answer(&mut self, questions: impl Iterator<Item = Question>) -> Option<oneshot::Sender<()>> {
        let mut post = Post::default();
        let mut stop = None;
        // Rolled back when it is dropped: it only holds the snapshot.
        let snapshot = self.connection.transaction();
        let snapshot = snapshot.and_then(|snapshot| head(&snapshot).map(|head| (snapshot, head)));
        let snapshot = snapshot.map_err(StoreError::from);
        for question in questions {
            match question {
                Question::Find {
                    sensor,
                    reply,
                    post_box,
                } => {
                    let answer = match &snapshot {
                        Ok((snapshot, head)) => find(snapshot, &sensor)
                            .map(|row| Sight { row, head: *head })
                            .map_err(StoreError::from),
                        Err(error) => Err(error.clone()),
                    };
                    post.add(post_box.as_ref(), Letter { reply, answer });
                }
                Question::Stop(reply) => stop = Some(reply),
            }
        }
        drop(snapshot);
        post.send();
        stop
    }
}
