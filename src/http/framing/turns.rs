//! One request at a time: whose turn it is on a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use actix_http::Request;

/// How many requests of a connection were shown to the parser, and how many have their answer.
///
/// The parser reads ahead: it takes the next request while the one before it is being answered, and then writes that answer as the
/// next one wants it, with or without a body and for its version of HTTP.
#[derive(Debug, Default)]
pub(super) struct Turns {
    shown: Cell<u64>,
    answered: Cell<u64>,
    waiting: RefCell<Option<Waker>>,
}

/// The turn of one request; over when it is dropped, which is just before the head of the answer is written.
#[derive(Debug)]
pub struct Turn(Rc<Turns>);

impl Turns {
    /// Notes that the parser has a whole head.
    pub(super) fn begin(&self) {
        self.shown.set(self.shown.get() + 1);
    }

    /// Whether there was a request.
    pub(super) fn have_begun(&self) -> bool {
        self.shown.get() > 0
    }

    /// Whether a request has no answer yet.
    pub(super) fn is_taken(&self) -> bool {
        self.answered.get() < self.shown.get()
    }

    /// Wakes `waker` when it has one.
    pub(super) fn wait(&self, waker: &Waker) {
        *self.waiting.borrow_mut() = Some(waker.clone());
    }
}

impl Turn {
    /// The turn of this request; `None` where its connection has no turns, as in a test.
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        request.conn_data().map(Self::on)
    }

    pub(super) fn on(turns: &Rc<Turns>) -> Self {
        Self(Rc::clone(turns))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.answered.set(self.0.answered.get() + 1);
        if let Some(waker) = self.0.waiting.take() {
            waker.wake();
        }
    }
}
