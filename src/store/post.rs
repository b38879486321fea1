//! How the answers of the threads that know SQL reach those who wait for them.
//!
//! A single-threaded tokio runtime prefers tasks that its own thread has woken to those woken by another thread (it takes one of
//! the latter for every 31 of the former). So under load each answer would wait in a second queue, and each would cost a system
//! call. Therefore each worker thread has one task, to which all its answers of a commit are sent together.

use tokio::sync::{mpsc, oneshot};

/// An answer, and who waits for it.
pub(super) struct Letter<T> {
    pub reply: oneshot::Sender<T>,
    pub answer: T,
}

/// Answers that have only to be handed over.
type Delivery = Box<dyn FnOnce() + Send>;

impl<T> Letter<T> {
    fn deliver(self) {
        // Whoever no longer waits for an answer has gone away, which takes nothing back.
        let _ = self.reply.send(self.answer);
    }
}

/// Where the answers for one thread go. Its queue holds no more than there are requests that wait.
pub(super) type PostBox = mpsc::UnboundedSender<Delivery>;

/// A post box, and the task that the thread has to run.
pub(super) fn post_box() -> (PostBox, impl Future<Output = ()> + 'static) {
    let (post_box, mut deliveries) = mpsc::unbounded_channel::<Delivery>();
    let delivery = async move {
        while let Some(deliver) = deliveries.recv().await {
            deliver();
        }
    };
    (post_box, delivery)
}

/// The answers of one commit, or from one snapshot, by the thread that they go to.
pub(super) struct Post<T>(Vec<(PostBox, Vec<Letter<T>>)>);

impl<T> Default for Post<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Send + 'static> Post<T> {
    /// Takes an answer; without a post box it is delivered at once.
    pub(super) fn add(&mut self, to: Option<&PostBox>, letter: Letter<T>) {
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
            let deliver = Box::new(|| letters.into_iter().for_each(Letter::deliver));
            if let Err(mpsc::error::SendError(deliver)) = post_box.send(deliver) {
                deliver();
            }
        }
    }
}
