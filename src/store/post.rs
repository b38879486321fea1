//! How the answers of the writer reach those who wait for them.
//!
//! A runtime of one thread runs the tasks that the thread itself has woken before those that another one has (tokio takes one
//! of the others for every 31), so that under load each answer would wait in a second queue; and each would be a call to the
//! system. So a thread that asks for much has a task of its own, to which all its answers of a commit come together.

use tokio::sync::{mpsc, oneshot};

use super::{Outcome, WriteError};

/// What a write is answered.
pub(super) type Answer = Result<Outcome, WriteError>;

/// An answer, and who waits for it.
pub(super) struct Letter {
    pub reply: oneshot::Sender<Answer>,
    pub answer: Answer,
}

impl Letter {
    fn deliver(self) {
        // Whoever no longer waits for an answer has gone away, which takes nothing back.
        let _ = self.reply.send(self.answer);
    }
}

/// Where the answers for one thread go. Its queue holds no more than there are writes in a few groups.
pub(super) type PostBox = mpsc::UnboundedSender<Vec<Letter>>;

/// A post box, and the task that the thread has to run.
pub(super) fn post_box() -> (PostBox, impl Future<Output = ()> + 'static) {
    let (post_box, mut letters) = mpsc::unbounded_channel::<Vec<Letter>>();
    let delivery = async move {
        while let Some(letters) = letters.recv().await {
            letters.into_iter().for_each(Letter::deliver);
        }
    };
    (post_box, delivery)
}

/// The answers of one commit, by the thread that they go to.
#[derive(Default)]
pub(super) struct Post(Vec<(PostBox, Vec<Letter>)>);

impl Post {
    /// Takes an answer; without a post box it is delivered at once.
    pub(super) fn add(&mut self, to: Option<&PostBox>, letter: Letter) {
        let Some(to) = to else {
            return letter.deliver();
        };
        match self.0.iter_mut().find(|(known, _)| known.same_channel(to)) {
            Some((_, letters)) => letters.push(letter),
            None => self.0.push((to.clone(), vec![letter])),
        }
    }

    /// Sends what it has taken.
    pub(super) fn send(self) {
        for (post_box, letters) in self.0 {
            if let Err(mpsc::error::SendError(letters)) = post_box.send(letters) {
                letters.into_iter().for_each(Letter::deliver);
            }
        }
    }
}
