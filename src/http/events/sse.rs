//! Server-Sent Events (WHATWG HTML §9.2).

use std::future::pending;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{BufMut, Bytes, BytesMut};

use super::push::{self, End, Framing, Heard};
use crate::domain::{Cursor, Revision};
use crate::events::Reader;
use crate::http::HttpState;
use crate::http::problem::Problem;
use crate::store::StoredEvent;

pub(super) fn answer(request: &HttpRequest, reader: Reader, state: &HttpState) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream");
    if *request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    // A proxy that buffers would hold events back.
    response.insert_header(("x-accel-buffering", "no"));
    Ok(response.streaming(push::stream(reader, EventStream { last_id: None }, state)?))
}

struct EventStream {
    /// The last id that the client was told.
    last_id: Option<Revision>,
}

impl EventStream {
    /// A comment. With it an `id` without data, when the client holds an older one: it makes no event, but it is what the
    /// client comes back with, so that neither a filter nor `after=now` loses the place.
    fn comment(&mut self, text: &str, reached: &Cursor) -> Bytes {
        let is_new = self.last_id.replace(reached.revision) != Some(reached.revision);
        let id = if is_new {
            format!("id: {reached}\n")
        } else {
            String::new()
        };
        format!(": {text}\n{id}\n").into()
    }
}

impl Framing for EventStream {
    fn events(&mut self, events: &[StoredEvent], reached: &Cursor) -> Bytes {
        let mut bytes = BytesMut::new();
        for event in events {
            let (epoch, revision, kind) = (&reached.epoch, event.revision, event.kind.as_str());
            bytes.put(format!("id: {epoch}.{revision}\nevent: {kind}\ndata: ").as_bytes());
            // JSON as it is written here has no line feed.
            bytes.put(&event.payload[..]);
            bytes.put(&b"\n\n"[..]);
        }
        self.last_id = events.last().map(|last| last.revision);
        bytes.freeze()
    }

    fn keep_alive(&mut self, head: &Cursor, reached: &Cursor) -> Bytes {
        self.comment(&format!("head {head}"), reached)
    }

    fn end(&mut self, end: End, reached: &Cursor) -> Bytes {
        self.comment(&format!("closed, {}; cursor {reached}", end.as_str()), reached)
    }

    /// The client has no way to say anything.
    async fn heard(&mut self) -> Heard {
        pending().await
    }
}
