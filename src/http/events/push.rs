//! What the two forms of streams share: the loop, the bounds, and the reasons to end.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::StreamLimits;
use crate::domain::Cursor;
use crate::events::{FeedError, Reader};
use crate::http::HttpState;
use crate::http::metrics::Open;
use crate::http::problem::{self, Problem};
use crate::store::{Room, StoredEvent};

/// How a stream writes what it has to say.
pub(super) trait Framing: 'static {
    /// Events, one at least; `reached` is the cursor of the last one.
    fn events(&mut self, events: &[StoredEvent], reached: &Cursor) -> Bytes;

    /// That the stream lives.
    fn keep_alive(&mut self, head: &Cursor, reached: &Cursor) -> Bytes;

    /// That it ends; to be gone on from `reached`.
    fn end(&mut self, end: End, reached: &Cursor) -> Bytes;

    /// Waits for the client to say something. The future may be dropped.
    async fn heard(&mut self) -> Heard;
}

/// What follows from what the client said.
pub(super) enum Heard {
    /// An answer.
    Reply(Bytes),
    /// The end, after these last words; nothing when the client has gone.
    End(Bytes),
}

/// Why the service ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The service stops.
    Stopping,
    /// The client has taken nothing for too long.
    TooSlow,
    /// The client has fallen behind what the log keeps.
    Gone,
    /// The log cannot be read.
    Failed,
}

/// The most in one piece, so that what a reader has not taken yet stays small.
const MAX_AT_ONCE: Room = Room {
    events: 32,
    bytes: 64 * 1024,
};

/// The body of a stream, which makes the next piece when the connection has room for one: a reader that is slow has
/// nothing waiting for it but that piece, and holds up nobody.
///
/// # Errors
/// 503 when as many streams are open as may be.
pub(super) fn stream<F: Framing>(
    reader: Reader,
    framing: F,
    state: &HttpState,
) -> Result<impl Stream<Item = Result<Bytes, Infallible>> + use<F>, Problem> {
    let limits = state.stream_limits;
    let (open, others) = Open::count(&state.metrics.open_streams);
    if others >= limits.max_open {
        return Err(Problem::of_kind(&problem::TOO_MANY_STREAMS));
    }
    let mut keep_alive = interval(limits.keep_alive);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let push = Push {
        reader,
        framing,
        limits,
        stop: state.stop.clone(),
        keep_alive,
        given_at: Instant::now(),
        _open: open,
    };
    Ok(stream::unfold(Some(push), |push| async {
        let mut push = push?;
        let (piece, is_last) = push.next().await;
        Some((Ok(piece), (!is_last).then_some(push)))
    }))
}

struct Push<F> {
    reader: Reader,
    framing: F,
    limits: StreamLimits,
    stop: CancellationToken,
    keep_alive: Interval,
    /// When the last piece was made.
    given_at: Instant,
    _open: Open,
}

impl<F: Framing> Push<F> {
    /// The next piece, and whether it is the last.
    async fn next(&mut self) -> (Bytes, bool) {
        // The piece before has waited for the client since then: only now there is room for another.
        if self.given_at.elapsed() > self.limits.stall {
            return self.end(End::TooSlow);
        }
        let piece = tokio::select! {
            biased;
            () = self.stop.cancelled() => self.end(End::Stopping),
            heard = self.framing.heard() => match heard {
                Heard::Reply(bytes) => (bytes, false),
                Heard::End(bytes) => (bytes, true),
            },
            _ = self.keep_alive.tick() => {
                let head = Cursor { revision: self.reader.head(), ..self.reached() };
                let reached = self.reached();
                (self.framing.keep_alive(&head, &reached), false)
            }
            events = self.reader.next(MAX_AT_ONCE) => match events {
                Ok(events) => {
                    let reached = self.reached();
                    (self.framing.events(&events, &reached), false)
                }
                Err(FeedError::Gone { .. }) => self.end(End::Gone),
                Err(error) => {
                    tracing::warn!(%error, "an event stream ends");
                    self.end(End::Failed)
                }
            },
        };
        self.given_at = Instant::now();
        piece
    }

    fn end(&mut self, end: End) -> (Bytes, bool) {
        let reached = self.reached();
        tracing::debug!(?end, %reached, "an event stream ends");
        (self.framing.end(end, &reached), true)
    }

    fn reached(&self) -> Cursor {
        Cursor {
            epoch: self.reader.epoch().clone(),
            revision: self.reader.position(),
        }
    }
}

impl End {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "the service stops",
            Self::TooSlow => "too slow",
            Self::Gone => "behind what is kept",
            Self::Failed => "the log cannot be read",
        }
    }
}
