//! WebSocket (RFC 6455): every event is a text message, nothing is taken from the client.

use actix_http::body::{BodyStream, MessageBody};
use actix_http::ws::{self, CloseCode, CloseReason, HandshakeError, OpCode, Parser, ProtocolError};
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::push::{self, End, Framing, Heard};
use crate::domain::Cursor;
use crate::events::Reader;
use crate::http::HttpState;
use crate::http::cors;
use crate::http::problem::{self, Problem};
use crate::store::StoredEvent;

/// The largest frame that is read from a client, only to be refused.
const MAX_FRAME_BYTES: usize = 64 * 1024;
/// What comes before the data of a frame from a client (RFC 6455 §5.2).
const MAX_FRAME_HEAD_BYTES: usize = 14;
/// Beyond what the standard assigns: as 410 is to a page.
const CLOSE_GONE: u16 = 4410;

/// Whether the request wants to become a WebSocket.
pub(super) fn is_asked_for(request: &HttpRequest) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

pub(super) fn answer(
    request: &HttpRequest,
    payload: Payload,
    reader: Reader,
    state: &HttpState,
) -> Result<HttpResponse, Problem> {
    let mut response = ws::handshake(request.head()).map_err(refused)?;
    if !cors::may_listen(&state.cors_origins, request.head(), &state.links().url("")) {
        let origin = request.headers().get(header::ORIGIN).map(HeaderValue::as_bytes);
        let origin = String::from_utf8_lossy(origin.unwrap_or_default());
        let detail = format!("a page of {origin} may not listen here");
        return Err(Problem::new(&problem::ORIGIN_NOT_ALLOWED, detail));
    }
    let socket = WebSocket {
        payload,
        received: BytesMut::new(),
    };
    let body = BodyStream::new(push::stream(reader, socket, state)?).boxed();
    let response = response.message_body(body).map_err(|error| {
        tracing::error!(%error, "a handshake cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    Ok(response.into())
}

fn refused(error: HandshakeError) -> Problem {
    let detail = match error {
        HandshakeError::BadWebsocketKey => "Sec-WebSocket-Key: is needed, once".to_owned(),
        other => format!("WebSocket: {other}"),
    };
    let problem = Problem::new(&problem::MALFORMED_REQUEST, detail);
    // RFC 6455 §4.4.
    problem.with_header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

struct WebSocket {
    payload: Payload,
    /// What has come of the next frame.
    received: BytesMut,
}

impl Framing for WebSocket {
    fn events(&mut self, events: &[StoredEvent], _: &Cursor) -> Bytes {
        let mut bytes = BytesMut::new();
        for event in events {
            Parser::write_message(&mut bytes, &event.payload, OpCode::Text, true, false);
        }
        bytes.freeze()
    }

    fn keep_alive(&mut self, head: &Cursor, _: &Cursor) -> Bytes {
        message(OpCode::Ping, head.to_string().as_bytes())
    }

    fn end(&mut self, end: End, reached: &Cursor) -> Bytes {
        let code = match end {
            End::Stopping => CloseCode::Away,
            End::TooSlow => CloseCode::Again,
            End::Gone => CloseCode::Other(CLOSE_GONE),
            End::Failed => CloseCode::Error,
        };
        close(code, &format!("{}; cursor {reached}", end.as_str()))
    }

    async fn heard(&mut self) -> Heard {
        loop {
            match Parser::parse(&mut self.received, true, MAX_FRAME_BYTES) {
                Ok(Some((_, OpCode::Pong, _))) => {}
                Ok(Some((_, opcode, data))) => return hear(opcode, &data.unwrap_or_default()),
                // The parser tells only once it has the whole frame, however long that is announced to be.
                Ok(None) if self.received.len() > MAX_FRAME_BYTES + MAX_FRAME_HEAD_BYTES => {
                    return too_large();
                }
                Ok(None) => match self.payload.next().await {
                    Some(Ok(bytes)) => self.received.extend_from_slice(&bytes),
                    // The client has gone.
                    Some(Err(_)) | None => return Heard::End(Bytes::new()),
                },
                Err(ProtocolError::Overflow) => return too_large(),
                Err(error) => return Heard::End(close(CloseCode::Protocol, &error.to_string())),
            }
        }
    }
}

fn too_large() -> Heard {
    Heard::End(close(CloseCode::Size, "messages are not taken here"))
}

fn hear(opcode: OpCode, data: &[u8]) -> Heard {
    match opcode {
        OpCode::Ping => Heard::Reply(message(OpCode::Pong, data)),
        OpCode::Close => Heard::End(close(CloseCode::Normal, "")),
        OpCode::Text | OpCode::Binary | OpCode::Continue => {
            Heard::End(close(CloseCode::Unsupported, "messages are not taken here"))
        }
        OpCode::Pong | OpCode::Bad => Heard::End(close(CloseCode::Protocol, "no such frame")),
    }
}

fn message(opcode: OpCode, data: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    Parser::write_message(&mut bytes, data, opcode, true, false);
    bytes.freeze()
}

fn close(code: CloseCode, reason: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    let reason = CloseReason {
        code,
        description: Some(reason.to_owned()),
    };
    Parser::write_close(&mut bytes, Some(reason), false);
    bytes.freeze()
}
