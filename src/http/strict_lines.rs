//! Line ends as RFC 9112 §2.2 has them: CRLF.
//!
//! The parser takes a bare LF, too, as the RFC allows. A proxy before this service may not, and two readers that see different
//! requests in the same bytes is how requests are smuggled; so a bare LF in a head is made something that no parser takes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which a head with a bare LF is malformed.
#[derive(Debug)]
pub struct StrictLines<S> {
    stream: S,
    place: Place,
}

/// Where in the stream the next byte belongs.
#[derive(Debug)]
enum Place {
    /// In a head: the present line as far as it tells where the head's body ends, and what earlier lines told.
    Head { line: Vec<u8>, body: Body },
    /// In a body of which so many bytes are to come.
    Body { left: u64 },
    /// In what is not followed: a chunked body, another protocol, a head that is refused already.
    Unfollowed,
}

/// What a head says of what comes after it.
#[derive(Debug, Clone, Copy)]
enum Body {
    Length(u64),
    Unfollowed,
}

/// The longest part of a line that is looked at: a name, and a length.
const MAX_LINE_BYTES: usize = 64;

impl<S> StrictLines<S> {
    /// Watches `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            place: Place::new_head(),
        }
    }

    fn check(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            bytes = match &mut self.place {
                Place::Unfollowed => return,
                Place::Body { left } => {
                    let skipped = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= u64::try_from(skipped).unwrap_or(u64::MAX);
                    if *left == 0 {
                        self.place = Place::new_head();
                    }
                    &mut bytes[skipped..]
                }
                Place::Head { line, body } => {
                    let Some(end) = memchr(b'\n', bytes) else {
                        return keep(line, bytes);
                    };
                    let (text, rest) = bytes.split_at_mut(end + 1);
                    if let Some((line_feed, text)) = text.split_last_mut() {
                        keep(line, text);
                        if let Some(next) = end_line(line_feed, line, body) {
                            self.place = next;
                        }
                    }
                    rest
                }
            };
        }
    }
}

impl Place {
    fn new_head() -> Self {
        Self::Head {
            line: Vec::with_capacity(MAX_LINE_BYTES),
            body: Body::Length(0),
        }
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
fn end_line(line_feed: &mut u8, line: &mut Vec<u8>, body: &mut Body) -> Option<Place> {
    if line.pop() != Some(b'\r') {
        *line_feed = 0;
        return Some(Place::Unfollowed);
    }
    let over = line.is_empty();
    if let Some(found) = body_after(line) {
        *body = found;
    }
    line.clear();
    over.then(|| match *body {
        Body::Length(0) => Place::new_head(),
        Body::Length(left) => Place::Body { left },
        Body::Unfollowed => Place::Unfollowed,
    })
}

/// What a line of a head says of the body.
fn body_after(line: &[u8]) -> Option<Body> {
    let text = std::str::from_utf8(line).ok()?;
    let (name, value) = text.split_once(':')?;
    if name.eq_ignore_ascii_case("content-length") {
        // What is no length is refused by the parser.
        Some(value.trim().parse().map_or(Body::Unfollowed, Body::Length))
    } else if name.eq_ignore_ascii_case("transfer-encoding") || name.eq_ignore_ascii_case("upgrade") {
        Some(Body::Unfollowed)
    } else {
        None
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictLines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.check(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictLines<S> {
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
        StrictLines::new(text.as_bytes())
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
