//! Where in the bytes of a connection one is: as much of RFC 9112 as it takes to know where a request ends.

use memchr::memchr;

/// Where in the stream the next byte belongs.
#[derive(Debug)]
pub(super) enum Place {
    /// Before a head.
    Between,
    /// In a head: the present line as far as it tells what comes after the head, and what earlier lines told.
    Head { line: Line, after: After },
    /// In a body of which so many bytes are to come.
    Body { left: u64, is_last: bool },
    /// In the line before a chunk.
    ChunkSize { line: Line, is_last: bool },
    /// In a chunk, with the line end after it, of which so many bytes are to come.
    Chunk { left: u64, is_last: bool },
    /// In the lines after the last chunk.
    Trailer { line: Line, is_last: bool },
    /// In another protocol.
    Unfollowed,
    /// After what no parser takes.
    Refused,
    /// After the last request.
    Over,
}

/// What a head says of what comes after it.
#[expect(clippy::struct_excessive_bools, reason = "each is said by itself")]
#[derive(Debug, Default)]
pub(super) struct After {
    /// Its first line was read.
    is_begun: bool,
    is_http_1_0: bool,
    is_chunked: bool,
    is_websocket: bool,
    length: u64,
    closes: bool,
    keeps_alive: bool,
}

/// The beginning of a line, and its last two bytes, of which the second has to be the CR before the LF.
#[derive(Debug)]
pub(super) struct Line {
    start: [u8; MAX_LINE_BYTES],
    /// How much of `start` is of the line.
    kept: usize,
    is_cut: bool,
    last: [u8; 2],
}

/// What is no line that is understood: it must not be taken for one by anybody else.
struct Malformed;

/// The longest part of a line that is looked at: a name, and a length.
const MAX_LINE_BYTES: usize = 64;

impl Place {
    /// Goes on over the first of these bytes, at least one of them, up to the next place or to their end; gives over how many. What is
    /// malformed is made something that the parser refuses.
    pub(super) fn go_on(&mut self, bytes: &mut [u8]) -> usize {
        match self {
            Self::Between => {
                *self = Self::Head {
                    line: Line::new(),
                    after: After::default(),
                };
                self.go_on(bytes)
            }
            Self::Body { left, is_last } => {
                let passed = pass(left, bytes);
                if *left == 0 {
                    *self = Self::after_request(*is_last);
                }
                passed
            }
            Self::Chunk { left, is_last } => {
                let passed = pass(left, bytes);
                if *left == 0 {
                    *self = Self::ChunkSize {
                        line: Line::new(),
                        is_last: *is_last,
                    };
                }
                passed
            }
            Self::Head { line, .. } | Self::ChunkSize { line, .. } | Self::Trailer { line, .. } => {
                let Some(end) = memchr(b'\n', bytes) else {
                    line.keep(bytes);
                    return bytes.len();
                };
                line.keep(&bytes[..end]);
                if let Err(Malformed) = self.end_line() {
                    bytes[end] = 0;
                    *self = Self::Refused;
                }
                end + 1
            }
            Self::Unfollowed | Self::Refused | Self::Over => bytes.len(),
        }
    }

    /// Whether some of a body is still to come.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(
            self,
            Self::Body { .. } | Self::ChunkSize { .. } | Self::Chunk { .. } | Self::Trailer { .. }
        )
    }

    /// Draws the conclusion from a line that is complete.
    fn end_line(&mut self) -> Result<(), Malformed> {
        let next = match self {
            Self::Head { line, after } => {
                let is_empty = line.end()?.is_empty();
                match (is_empty, after.is_begun) {
                    (true, true) => Some(after.place()),
                    // Passed over before a request (RFC 9112 §2.2).
                    (true, false) => {
                        line.clear();
                        None
                    }
                    (false, false) => {
                        after.is_begun = true;
                        after.is_http_1_0 = line.is_of_http_1_0();
                        line.clear();
                        None
                    }
                    (false, true) => {
                        after.learn(line)?;
                        line.clear();
                        None
                    }
                }
            }
            Self::ChunkSize { line, is_last } => {
                let is_last = *is_last;
                Some(match chunk_size(line)? {
                    0 => Self::Trailer {
                        line: Line::new(),
                        is_last,
                    },
                    size => Self::Chunk {
                        left: size.saturating_add(2),
                        is_last,
                    },
                })
            }
            Self::Trailer { line, is_last } => {
                let is_empty = line.end()?.is_empty();
                line.clear();
                is_empty.then(|| Self::after_request(*is_last))
            }
            _ => None,
        };
        if let Some(next) = next {
            *self = next;
        }
        Ok(())
    }

    fn after_request(is_last: bool) -> Self {
        if is_last { Self::Over } else { Self::Between }
    }
}

/// Passes over what is left, or over all of the bytes where they are fewer; gives over how many.
fn pass(left: &mut u64, bytes: &[u8]) -> usize {
    let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= u64::try_from(passed).unwrap_or(u64::MAX);
    passed
}

impl Line {
    fn new() -> Self {
        Self {
            start: [0; MAX_LINE_BYTES],
            kept: 0,
            is_cut: false,
            last: [0; 2],
        }
    }

    fn clear(&mut self) {
        self.kept = 0;
        self.is_cut = false;
    }

    /// Adds to the line.
    fn keep(&mut self, text: &[u8]) {
        let room = (MAX_LINE_BYTES - self.kept).min(text.len());
        self.start[self.kept..][..room].copy_from_slice(&text[..room]);
        self.kept += room;
        self.is_cut |= room < text.len();
        match text {
            [.., before, last] => self.last = [*before, *last],
            [last] => self.last = [self.last[1], *last],
            [] => {}
        }
    }

    /// What was kept of a line that has come to its end, without that.
    fn end(&mut self) -> Result<&[u8], Malformed> {
        if self.last[1] != b'\r' || self.kept == 0 {
            return Err(Malformed);
        }
        if !self.is_cut {
            self.kept -= 1;
        }
        Ok(self.start())
    }

    /// What was kept of the line.
    fn start(&self) -> &[u8] {
        &self.start[..self.kept]
    }

    /// Whether a request line that has come to its end is one of HTTP/1.0.
    fn is_of_http_1_0(&self) -> bool {
        self.last[0] == b'0'
    }
}

impl After {
    /// Takes what a field of a head says of it.
    fn learn(&mut self, line: &Line) -> Result<(), Malformed> {
        let line_start = line.start();
        let Some(colon) = memchr(b':', line_start) else {
            return Ok(());
        };
        let (name, value) = (&line_start[..colon], line_start[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            if line.is_cut {
                return Err(Malformed);
            }
            // What is no length, and a length beside chunks, is refused by the parser.
            let digits = std::str::from_utf8(value).unwrap_or_default();
            self.length = digits.parse().unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.is_websocket |= value.eq_ignore_ascii_case(b"websocket");
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.closes |= option.eq_ignore_ascii_case(b"close");
                self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    /// What comes after the head, as the parser sees it: chunks before another protocol, and that before a length.
    fn place(&self) -> Place {
        let is_last = self.closes || (self.is_http_1_0 && !self.keeps_alive);
        if self.is_chunked {
            Place::ChunkSize {
                line: Line::new(),
                is_last,
            }
        } else if self.is_websocket {
            Place::Unfollowed
        } else if self.length > 0 {
            Place::Body {
                left: self.length,
                is_last,
            }
        } else {
            Place::after_request(is_last)
        }
    }
}

/// The size that a line before a chunk tells (RFC 9112 §7.1): hexadecimal digits, and perhaps an extension.
fn chunk_size(line: &mut Line) -> Result<u64, Malformed> {
    line.end()?;
    let end = memchr(b';', line.start());
    if end.is_none() && line.is_cut {
        return Err(Malformed);
    }
    let digits = &line.start()[..end.unwrap_or(line.kept)];
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Malformed);
    }
    u64::from_str_radix(digits, 16).map_err(|_| Malformed)
}
