use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Waker};

use futures_util::FutureExt;
use futures_util::future::{MaybeDone, maybe_done};

use super::sink::{Acknowledgement, Answer};

/// The answers to the messages that are on their way, in the order in which these were sent.
#[derive(Default)]
pub(super) struct Answers(VecDeque<MaybeDone<Acknowledgement>>);

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, answer: Acknowledgement) {
        self.0.push_back(maybe_done(answer));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The answer to the oldest message, if it was there at the last look.
    pub(super) fn next_there(&mut self) -> Option<Answer> {
        let answer = Pin::new(self.0.front_mut()?).take_output()?;
        self.0.pop_front();
        Some(answer)
    }

    /// Takes those that are there, without being woken by those to come. Not the oldest alone, so that a connection that has failed one
    /// message knows it before it is given the next.
    pub(super) fn look(&mut self) {
        let mut unwoken = Context::from_waker(Waker::noop());
        for answer in &mut self.0 {
            let _ = answer.poll_unpin(&mut unwoken);
        }
    }

    /// Waits for half of them, as brokers answer in order (MQTT 5 §4.6). To be woken by each costs the relay, Paho and the broker half as
    /// much again; and while the broker works at the other half, the window is filled.
    pub(super) async fn half(&mut self) {
        let Some(last) = self.0.len().checked_sub(1) else {
            return pending().await;
        };
        let is_there = |answer: &MaybeDone<_>| matches!(answer, MaybeDone::Done(_));
        // This broker does not keep the order.
        let awaited = if self.0.get(last / 2).is_some_and(is_there) {
            0
        } else {
            last / 2
        };
        if let Some(answer) = self.0.get_mut(awaited) {
            answer.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_failure_in_the_midst_is_noticed_before_its_turn_comes() {
        let noticed = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&noticed);
        let failure = ready(Answer::Lost("cut".to_owned())).inspect(move |_| note.store(true, Ordering::Relaxed));
        let mut answers = Answers::default();
        answers.push(pending().boxed());
        answers.push(failure.boxed());
        answers.look();
        assert!(noticed.load(Ordering::Relaxed));
        assert_eq!(answers.next_there(), None);
    }

    #[test]
    fn the_oldest_is_waited_for_where_only_later_ones_are_answered() {
        let mut answers = Answers::default();
        answers.push(pending().boxed());
        for _ in 0..3 {
            answers.push(ready(Answer::Accepted).boxed());
        }
        answers.look();
        assert_eq!(answers.half().now_or_never(), None);
    }
}
