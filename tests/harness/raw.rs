use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// An answer as it came over a socket, decoded by nobody but this file.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends exactly these bytes and reads one answer; `None` when the connection is closed without one.
pub async fn exchange(addr: SocketAddr, request: &[u8]) -> Option<RawAnswer> {
    exchange_many(addr, request, 1).await.pop()
}

/// Sends exactly these bytes on one connection and reads up to `count` answers.
pub async fn exchange_many(addr: SocketAddr, request: &[u8], count: usize) -> Vec<RawAnswer> {
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        // The service may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut received = Vec::new();
        let mut answers = Vec::new();
        let mut at_end = false;
        while answers.len() < count {
            if let Some((answer, length)) = parse(&received, at_end) {
                received.drain(..length);
                if answer.status >= 200 {
                    answers.push(answer);
                }
            } else if at_end {
                break;
            } else {
                let mut buffer = vec![0; 16 * 1024];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                received.extend_from_slice(&buffer[..length]);
                at_end = length == 0;
            }
        }
        answers
    };
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    timeout(PATIENCE, talk)
        .await
        .unwrap_or_else(|_| panic!("neither an answer nor an end after {shown:?}"))
}

/// The first answer in `received` and its length in bytes, when it is complete. No answer to HEAD is read here.
fn parse(received: &[u8], at_end: bool) -> Option<(RawAnswer, usize)> {
    let head_length = received.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..head_length]).expect("an ASCII head");
    let mut lines = head.trim_end().split("\r\n");
    let status_line = lines.next()?;
    let status = status_line.split(' ').nth(1)?.parse().expect("a status");
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').expect("a header line"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let rest = &received[head_length..];
    let (body, length) = if status < 200 || status == 204 || status == 304 {
        (Vec::new(), 0)
    } else if header("transfer-encoding").is_some() {
        unchunk(rest)?
    } else if let Some(length) = header("content-length") {
        let length = length.parse().expect("a length");
        (rest.get(..length)?.to_vec(), length)
    } else if at_end {
        (rest.to_vec(), rest.len())
    } else {
        return None;
    };
    let answer = RawAnswer {
        status,
        headers,
        body: body.into(),
    };
    Some((answer, head_length + length))
}

/// A chunked body and its length on the wire, when it is complete.
fn unchunk(mut rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let whole = rest.len();
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|w| w == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        body.extend_from_slice(rest.get(line_end + 2..line_end + 2 + size)?);
        rest = rest.get(line_end + 2 + size + 2..)?;
        if size == 0 {
            return Some((body, whole - rest.len()));
        }
    }
}
