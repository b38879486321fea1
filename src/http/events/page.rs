use std::time::Duration;

use actix_web::HttpResponse;
use serde_json::value::RawValue;

use super::query::EventsQuery;
use super::{Asked, unreadable};
use crate::domain::Cursor;
use crate::events::{FeedError, Reader};
use crate::http::HttpState;
use crate::http::problem::{self, Problem};
use crate::store::{Room, StoredEvent};
use crate::wire::link::Link;
use crate::wire::page::EventPageForm;

/// A page, at once or, for a long poll, as soon as there is an event or the time is up.
pub(super) async fn answer(asked: Asked, state: &HttpState) -> Result<HttpResponse, Problem> {
    let Asked {
        path,
        query,
        wait_s,
        mut reader,
    } = asked;
    let events = read(&mut reader, &query, wait_s, state).await;
    let events = events.map_err(|error| unreadable(error, "after", &path, state))?;
    let body = render(&path, &query, &reader, &events, state).map_err(|error| {
        tracing::error!(%error, "a page cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}

async fn read(
    reader: &mut Reader,
    query: &EventsQuery,
    wait_s: Option<u32>,
    state: &HttpState,
) -> Result<Vec<StoredEvent>, FeedError> {
    let room = Room::of(query.limit());
    let Some(wait_s) = wait_s else {
        return reader.page(room).await;
    };
    tokio::select! {
        events = reader.next(room) => events,
        () = tokio::time::sleep(Duration::from_secs(wait_s.into())) => Ok(Vec::new()),
        () = state.stop.cancelled() => Ok(Vec::new()),
    }
}

fn render(
    path: &str,
    query: &EventsQuery,
    reader: &Reader,
    events: &[StoredEvent],
    state: &HttpState,
) -> serde_json::Result<String> {
    let reached = Cursor {
        epoch: reader.epoch().clone(),
        revision: reader.position(),
    };
    let head = reader.head();
    let link = |rel, query: String| Link::new(rel, state.links().url(&format!("{path}?{query}")));
    let mut links = vec![link("self", query.repeated()), link("first", query.begun_anew())];
    if reached.revision < head {
        links.push(link("next", query.resumed(&reached)));
    }
    links.push(link("resume", query.resumed(&reached)));
    let events = events
        .iter()
        .map(|event| serde_json::from_slice::<&RawValue>(&event.payload));
    serde_json::to_string(&EventPageForm {
        epoch: reader.epoch().as_str(),
        head: head.get(),
        events: events.collect::<serde_json::Result<_>>()?,
        links,
    })
}
