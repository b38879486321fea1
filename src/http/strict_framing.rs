//! What the parser takes, and a reader of the same bytes may see otherwise.
//!
//! The parser takes a bare LF for a line end (RFC 9112 §2.2), as the RFC allows. A proxy before this service may not, and two readers
//! that see different requests in the same bytes is how requests are smuggled; so a bare LF in a head is made something that no
//! parser takes. Neither does the parser mind what comes after a request that says `Connection: close`, which must not be done
//! (§9.6): it is not shown to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which a head with a bare LF is malformed, and which ends after the request that says so.
#[derive(Debug)]
pub struct StrictFraming<S> {
    stream: S,
    place: Place,
}

/// Where in the stream the next byte belongs.
#[derive(Debug)]
enum Place {
    /// In a head: the present line as far as it tells what comes after the head, and what earlier lines told.
    Head { line: Vec<u8>, after: After },
    /// In a body of which so many bytes are to come.
    Body { left: u64, is_last: bool },
    /// In what is not followed: a chunked body, another protocol, a head that is refused already.
    Unfollowed,
    /// After the last request.
    Over,
}

/// What a head says of what comes after it.
#[derive(Debug, Clone, Copy)]
struct After {
    body: Body,
    is_last: bool,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Length(u64),
    Unfollowed,
}

/// The longest part of a line that is looked at: a name, and a length.
const MAX_LINE_BYTES: usize = 64;

impl<S> StrictFraming<S> {
    /// Watches `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            place: Place::new_head(),
        }
    }

    /// Gives how many of the bytes are for the parser.
    fn check(&mut self, bytes: &mut [u8]) -> usize {
        let mut checked = 0;
        while checked < bytes.len() {
            let rest = &mut bytes[checked..];
            checked += match &mut self.place {
                Place::Unfollowed => rest.len(),
                Place::Over => return checked,
                Place::Body { left, is_last } => {
                    let skipped = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= u64::try_from(skipped).unwrap_or(u64::MAX);
                    if *left == 0 {
                        self.place = Place::after_request(*is_last);
                    }
                    skipped
                }
                Place::Head { line, after } => {
                    let Some(end) = memchr(b'\n', rest) else {
                        keep(line, rest);
                        return bytes.len();
                    };
                    keep(line, &rest[..end]);
                    if let Some(next) = end_line(&mut rest[end], line, after) {
                        self.place = next;
                    }
                    end + 1
                }
            };
        }
        checked
    }
}

impl Place {
    fn new_head() -> Self {
        Self::Head {
            line: Vec::with_capacity(MAX_LINE_BYTES),
            after: After {
                body: Body::Length(0),
                is_last: false,
            },
        }
    }

    fn after_request(is_last: bool) -> Self {
        if is_last { Self::Over } else { Self::new_head() }
    }
}

/// Adds to a line: its beginning is kept, and its last byte, which has to be the CR before the LF.
fn keep(line: &mut Vec<u8>, text: &[u8]) {
    let Some((last, text)) = text.split_last() else {
        return;
    };
    if line.len() == MAX_LINE_BYTES {
        line.pop();
    }
    let room = MAX_LINE_BYTES - 1 - line.len();
    line.extend_from_slice(&text[..text.len().min(room)]);
    line.push(*last);
}

/// Ends a line of a head; gives where the next byte belongs when the head is over.
fn end_line(line_feed: &mut u8, line: &mut Vec<u8>, after: &mut After) -> Option<Place> {
    if line.pop() != Some(b'\r') {
        *line_feed = 0;
        return Some(Place::Unfollowed);
    }
    let over = line.is_empty();
    after.learn(line);
    line.clear();
    over.then(|| match after.body {
        Body::Length(0) => Place::after_request(after.is_last),
        Body::Length(left) => Place::Body {
            left,
            is_last: after.is_last,
        },
        Body::Unfollowed => Place::Unfollowed,
    })
}

impl After {
    /// Takes what a line of a head says of it.
    fn learn(&mut self, line: &[u8]) {
        let field = std::str::from_utf8(line).ok().and_then(|text| text.split_once(':'));
        let Some((name, value)) = field else { return };
        if name.eq_ignore_ascii_case("content-length") {
            // What is no length is refused by the parser.
            self.body = value.trim().parse().map_or(Body::Unfollowed, Body::Length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") || name.eq_ignore_ascii_case("upgrade") {
            self.body = Body::Unfollowed;
        } else if name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(',').map(str::trim);
            self.is_last |= options.any(|option| option.eq_ignore_ascii_case("close"));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictFraming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let read = buffer.filled().len() - before;
            let kept = self.check(&mut buffer.filled_mut()[before..]);
            buffer.set_filled(before + kept);
            // Nothing read is the end of the stream; that all of it was dropped is none.
            if kept > 0 || read == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictFraming<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
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

    async fn read(text: &str) -> String {
        let mut read = String::new();
        StrictFraming::new(text.as_bytes())
            .read_to_string(&mut read)
            .await
            .unwrap();
        read
    }

    #[tokio::test]
    async fn heads_with_crlf_and_bodies_of_any_kind_pass_untouched() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\nb\ncGET / HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(read(text).await, text);
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200));
        assert_eq!(read(&long).await, long);
    }

    #[tokio::test]
    async fn what_comes_after_the_last_request_is_dropped() {
        for last in [
            "GET / HTTP/1.1\r\nconnection: Close\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: x, close\r\n\r\n",
            "PUT / HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\na\nb",
        ] {
            let more = format!("{last}DELETE / HTTP/1.1\r\n\r\n");
            assert_eq!(read(&more).await, last);
        }
        let open = "GET / HTTP/1.1\r\nConnection: keep-alive\r\nX: close\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(read(open).await, open);
    }

    #[tokio::test]
    async fn a_bare_lf_in_any_head_is_no_line_end() {
        for text in [
            "GET / HTTP/1.1\nHost: x\n\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\nHost: x\n\n",
            "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\n\n",
        ] {
            assert!(read(text).await.contains('\0'), "{text:?}");
        }
    }
}
