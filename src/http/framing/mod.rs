//! What stands between a socket and the parser of the framework: the parser takes more than it should, and says less.
//!
//! * It takes a bare LF for a line end (RFC 9112 §2.2), as the RFC allows. A proxy before this service may not, and two readers that see
//!   different requests in the same bytes is how requests are smuggled; so a bare LF in a head or between chunks is made something that
//!   no parser takes ([`place`]).
//! * It does what comes after a request that says `Connection: close` (§9.6): that is not shown to it.
//! * It reads ahead, and then answers one request as the next one wants it: it is shown one at a time ([`turns`]).
//! * It waits for ever for the rest of a head that is not the first one of its connection (its limit of that is off), and for the rest of
//!   a body in chunks whose request has its answer: both have a limit here ([`Awaited`]).
//! * What it refuses, it answers without a problem document: that is put in ([`refusal`]).

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Extensions;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::metrics::Open;
use place::Place;
pub use refusal::Refusals;
pub use turns::Turn;
use turns::Turns;

mod place;
mod refusal;
mod turns;

/// A connection on whose other side is the parser.
#[derive(Debug)]
pub struct StrictFraming<S> {
    stream: S,
    place: Place,
    turns: Rc<Turns>,
    /// What was read, and is the next request's.
    held: BytesMut,
    /// How long a head may take.
    head_limit: Duration,
    /// Runs while something is waited for that has a limit.
    limit: Option<(Awaited, Pin<Box<Sleep>>)>,
    /// A head did not come in time.
    is_late: bool,
    refusals: Rc<Refusals>,
    /// What is left to write of a refusal that is being written.
    refusal: Option<Bytes>,
    _open: Open,
}

/// What is waited for, though not for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The rest of a head, or the first one of a connection.
    Head,
    /// The rest of a body that nobody needs any more.
    RestOfBody,
}

/// What is left of a body may take so long when its request has its answer, before the connection ends.
const LATE_BODY_LIMIT: Duration = Duration::from_secs(1);

impl<S> StrictFraming<S> {
    /// Watches `stream`, on which a head may take as long as `head_limit`.
    pub fn new(stream: S, head_limit: Duration, refusals: Rc<Refusals>) -> Self {
        Self {
            stream,
            place: Place::Between,
            turns: Rc::default(),
            held: BytesMut::new(),
            head_limit,
            limit: None,
            is_late: false,
            _open: refusals.open_connection(),
            refusals,
            refusal: None,
        }
    }

    /// Lets the requests of a connection find their [`Turn`].
    pub fn hand_over(&self, connection: &mut Extensions) {
        connection.insert(Rc::clone(&self.turns));
    }

    /// Resolves when something has not come in time.
    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<Awaited> {
        let awaited = match &self.place {
            Place::Head { .. } => Awaited::Head,
            Place::Between if !self.turns.have_begun() => Awaited::Head,
            place if place.is_in_body() => {
                if self.turns.is_taken() {
                    self.turns.wait(context.waker());
                    return Poll::Pending;
                }
                Awaited::RestOfBody
            }
            _ => return Poll::Pending,
        };
        if self.limit.as_ref().is_none_or(|(earlier, _)| *earlier != awaited) {
            let limit = match awaited {
                Awaited::Head => self.head_limit,
                Awaited::RestOfBody => LATE_BODY_LIMIT,
            };
            self.limit = Some((awaited, Box::pin(sleep(limit))));
        }
        let Some((_, limit)) = &mut self.limit else {
            return Poll::Pending;
        };
        limit.as_mut().poll(context).map(|()| awaited)
    }

    /// Gives how many of the bytes are for the parser now.
    fn check(&mut self, bytes: &mut [u8]) -> usize {
        let mut checked = 0;
        while checked < bytes.len() {
            match &self.place {
                Place::Refused | Place::Over => break,
                Place::Between if self.turns.is_taken() => break,
                _ => {}
            }
            let was_in_head = matches!(self.place, Place::Between | Place::Head { .. });
            checked += self.place.go_on(&mut bytes[checked..]);
            if was_in_head && !matches!(self.place, Place::Head { .. }) {
                self.turns.begin();
                self.limit = None;
            }
        }
        checked
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictFraming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if matches!(self.place, Place::Refused) {
                // The end: a body that is malformed is one that does not come.
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() {
                let before = buffer.filled().len();
                let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) else {
                    if ready!(self.poll_limit(context)) == Awaited::Head {
                        // What no parser takes, so that it answers.
                        buffer.put_slice(&[0]);
                        self.place = Place::Refused;
                        self.is_late = true;
                    }
                    return Poll::Ready(Ok(()));
                };
                read?;
                let read = &mut buffer.filled_mut()[before..];
                if read.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let shown = self.check(read);
                self.held.extend_from_slice(&read[shown..]);
                buffer.set_filled(before + shown);
                if shown > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut held = std::mem::take(&mut self.held);
                let room = buffer.remaining().min(held.len());
                let shown = self.check(&mut held[..room]);
                buffer.put_slice(&held[..shown]);
                held.advance(shown);
                self.held = held;
                if shown > 0 {
                    return Poll::Ready(Ok(()));
                }
            }
            match self.place {
                Place::Refused => {}
                Place::Over => self.held.clear(),
                _ => {
                    self.turns.wait(context.waker());
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictFraming<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        // Another protocol has bytes of its own.
        let is_http = !matches!(this.place, Place::Unfollowed);
        if this.refusal.is_none() {
            match refusal::begins_at(bytes).filter(|_| is_http) {
                None => return Pin::new(&mut this.stream).poll_write(context, bytes),
                Some(0) => this.refusal = Some(this.refusals.with_document(bytes, this.is_late)),
                Some(earlier) => return Pin::new(&mut this.stream).poll_write(context, &bytes[..earlier]),
            }
        }
        // Until all of it is written, the same bytes come again.
        while let Some(rest) = this.refusal.as_mut().filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
        }
        this.refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::http::HttpMetrics;
    use crate::wire::link::LinkBase;

    fn framing(text: &str) -> StrictFraming<&[u8]> {
        let links = LinkBase::new("http://localhost:8000", "mqtt://localhost", "");
        let refusals = Refusals::new(links, HttpMetrics::default());
        StrictFraming::new(text.as_bytes(), Duration::from_secs(5), Rc::new(refusals))
    }

    /// What the parser is shown while each request is answered at once.
    async fn read(text: &str) -> String {
        let mut framing = framing(text);
        let mut shown = Vec::new();
        while framing.read_buf(&mut shown).await.unwrap() > 0 {
            while framing.turns.is_taken() {
                drop(Turn::on(&framing.turns));
            }
        }
        String::from_utf8(shown).unwrap()
    }

    #[tokio::test]
    async fn heads_with_crlf_and_bodies_of_any_kind_pass_untouched() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\nb\ncGET / HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\n\n\n\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n\n\nwhatever",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n\n\nwhatever",
        ] {
            assert_eq!(read(text).await, text);
        }
        for length in 0..200 {
            let long = format!(
                "GET /{} HTTP/1.1\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                "0".repeat(length)
            );
            assert_eq!(read(&long).await, long);
        }
    }

    #[tokio::test]
    async fn the_next_request_is_shown_when_the_one_before_it_has_its_answer() {
        let requests = [
            "GET /1 HTTP/1.1\r\n\r\n",
            "PUT /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
            "PUT /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "GET /4 HTTP/1.1\r\n\r\n",
        ];
        let text = requests.concat();
        let mut framing = framing(&text);
        for request in requests {
            let mut shown = Vec::with_capacity(1024);
            framing.read_buf(&mut shown).await.unwrap();
            assert_eq!(String::from_utf8(shown).unwrap(), request);
            let turn = Turn::on(&framing.turns);
            if request != requests[3] {
                let mut early = Vec::new();
                tokio::select! {
                    biased;
                    read = framing.read_buf(&mut early) => panic!("{read:?}: {}", String::from_utf8_lossy(&early)),
                    () = tokio::task::yield_now() => {}
                }
            }
            drop(turn);
        }
        assert_eq!(framing.read_buf(&mut Vec::new()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_comes_after_the_last_request_is_dropped() {
        for last in [
            "GET / HTTP/1.1\r\nconnection: Close\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: x, close\r\n\r\n",
            "PUT / HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\na\nb",
            "PUT / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
        ] {
            let more = format!("{last}DELETE / HTTP/1.1\r\n\r\n");
            assert_eq!(read(&more).await, last);
        }
        for open in [
            "GET / HTTP/1.1\r\nConnection: keep-alive\r\nX: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        ] {
            assert_eq!(read(open).await, open);
        }
    }

    #[tokio::test]
    async fn what_two_readers_could_take_for_different_things_is_taken_by_none() {
        let zeros = "0".repeat(100);
        for text in [
            "GET / HTTP/1.1\nHost: x\n\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\nHost: x\n\n",
            "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\n\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\n\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nUpgrade: websocket\r\n\r\n0\r\n\r\nGET / HTTP/1.1\n\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n",
            &format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{zeros}2\r\n{{}}\r\n0\r\n\r\n"),
            &format!("PUT / HTTP/1.1\r\nContent-Length: {zeros}2\r\n\r\n{{}}"),
        ] {
            assert!(read(text).await.contains('\0'), "{text:?}");
        }
    }
}
