//! `GET /sensors`

pub mod cache;
mod query;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use bytes::Bytes;

use super::{list_precondition_failed, not_modified, respond};
use crate::domain::{Cursor, Revision, Start, Unmet};
use crate::events::FeedError;
use crate::http::problem::{self, Problem, problem_responses};
use crate::http::variant::{Form, Variant};
use crate::http::{HttpState, beside, conditional, events};
use crate::store::Page;
use crate::wire::hal::HalForm;
use crate::wire::link::Link;
use crate::wire::page::{SensorPage, SensorPageForm};
use cache::{PageKey, RenderedPage};
pub use query::ListRequest;
use query::{ListParameters, MetadataParameters};

problem_responses!(ListProblems: NOT_ACCEPTABLE, CURSOR_EXPIRED, PRECONDITION_FAILED, OVERLOADED, UNAVAILABLE);

/// List the sensors
///
/// A page of the sensors that match every filter, in the order of their ids unless `sort` says otherwise. Follow the `next`
/// links to read all of them: each continues after the place of the last sensor in the order, so a sensor that keeps its
/// place is neither missed nor repeated, whatever else is written. `revision` is that of the store when the page was read. A
/// list that was read while sensors changed becomes exact with the events after the revision of its first page. As JSON,
/// HAL, XML or CSV (one row per sensor, metadata as JSON text).
#[utoipa::path(
    get,
    operation_id = "listSensors",
    tag = "sensors",
    params(
        ListParameters,
        MetadataParameters,
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
    ),
    responses(
        (status = 200, description = "A page of sensors", content(
            (SensorPageForm = "application/json"),
            (HalForm = "application/hal+json"),
            (String = "application/xml"),
            (String = "text/csv"),
        ), headers(
            ("ETag" = String), ("Cache-Control" = String), ("Vary" = String),
            ("Link" = String),
        )),
        (status = 304, description = "Nothing has changed", headers(
            ("ETag" = String), ("Cache-Control" = String), ("Vary" = String),
        )),
        ListProblems,
    ),
)]
#[route("/sensors", method = "GET", method = "HEAD")]
pub async fn list(asked: ListRequest, request: HttpRequest, state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let form = Form::choose(&request, &Form::OF_PAGE)?;
    if form == Form::Csv {
        asked.require_rows()?;
    }
    if asked.epoch.as_ref().is_some_and(|epoch| epoch != state.store.epoch()) {
        let oldest = state.store.pruned_to().await?.next();
        let first = path(&asked, None, &state);
        return Err(events::unreadable(FeedError::Gone { oldest }, "cursor", &first, &state));
    }
    // The head first: a page that is read later may be newer than its tag, never older.
    let known_head = *state.store.head().borrow();
    // Only rows may be too short to be compressed, which their tag tells: they come before the tag.
    let rows = match form {
        Form::Csv => Some(page(&asked, form, known_head, &state).await?),
        _ => None,
    };
    let (head, bytes) = match &rows {
        Some((head, page)) => (*head, Some(page.body.len())),
        None => (known_head, None),
    };
    let variant = Variant::of(request.headers(), form, bytes);
    match conditional::of_read(request.headers(), variant, &state).check_list(head) {
        Ok(()) => {}
        Err(Unmet::Present | Unmet::Excluded) => return Ok(not_modified(variant, head, &state)),
        Err(unmet) => return Err(list_precondition_failed(unmet, head, form, &state)),
    }
    let (head, page) = match rows {
        Some(rows) => rows,
        None => page(&asked, form, head, &state).await?,
    };
    let mut response = respond(form, StatusCode::OK, head, page.body, &state);
    response.headers_mut().insert(header::LINK, page.link);
    Ok(response)
}

/// The page as it was at a revision: that of `known_head` or a newer one.
async fn page(
    asked: &ListRequest,
    form: Form,
    known_head: Revision,
    state: &Data<HttpState>,
) -> Result<(Revision, RenderedPage), Problem> {
    let mut key = PageKey {
        head: known_head,
        form,
        query: asked.query_string(asked.listing.start.as_ref(), state.store.epoch()),
    };
    if let Some(kept) = state.pages.get(&key) {
        return Ok((known_head, kept));
    }
    let page = state.store.list(&asked.listing).await?;
    // Of the snapshot, which may be newer.
    let head = page.head;
    key.head = head;
    let bytes = page.records.iter().map(|record| record.representation.len()).sum();
    let (asked, shared) = (asked.clone(), state.clone());
    let rendered = beside::make(bytes, move || in_form(form, &page, &asked, &shared)).await??;
    state.pages.insert(key, rendered.clone());
    Ok((head, rendered))
}

fn in_form(form: Form, page: &Page, asked: &ListRequest, state: &HttpState) -> Result<RenderedPage, Problem> {
    let mut rendered = render(page, asked, state).map_err(|error| {
        tracing::error!(%error, "a page cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    let is_shown = |name: &str| asked.fields.as_ref().is_none_or(|fields| fields.contains(name));
    rendered.body = form.of_page(rendered.body, is_shown)?;
    Ok(rendered)
}

fn render(page: &Page, asked: &ListRequest, state: &HttpState) -> anyhow::Result<RenderedPage> {
    let links = links(page, asked, state);
    let frame = SensorPage {
        epoch: state.store.epoch().as_str(),
        revision: page.head.get(),
        count: page.count,
        links: &links,
    };
    let whole = page.records.iter().map(|record| &record.representation);
    let body = match &asked.fields {
        None => frame.write(&whole.collect::<Vec<_>>())?,
        Some(fields) => {
            let parts = whole.map(|representation| fields.of(representation));
            frame.write(&parts.collect::<serde_json::Result<Vec<_>>>()?)?
        }
    };
    Ok(RenderedPage {
        body: Bytes::from(body),
        link: link_header(&links)?,
    })
}

fn links(page: &Page, asked: &ListRequest, state: &HttpState) -> Vec<Link> {
    let base = state.links();
    let link = |relation, start: Option<&Start>| Link::new(relation, base.url(&path(asked, start, state)));
    let start = asked.listing.start.as_ref();
    let mut links = vec![link("self", start), link("first", None)];
    links.extend(page.previous.as_ref().map(|start| link("prev", Some(start))));
    links.extend(page.next.as_ref().map(|start| link("next", Some(start))));
    links.push(Link::action("create", base.url("/sensors"), "POST", "application/json"));
    links.push(base.monitor("sensors/+"));
    if start.is_none() {
        // Only here: after the revision of a later page, changes of what the first page showed would be missed.
        let cursor = Cursor {
            epoch: state.store.epoch().clone(),
            revision: page.head,
        };
        links.push(Link::new("events", base.url(&format!("/events?after={cursor}"))));
    }
    links
}

/// The path of the page that begins at `start`.
fn path(asked: &ListRequest, start: Option<&Start>, state: &HttpState) -> String {
    format!("/sensors?{}", asked.query_string(start, state.store.epoch()))
}

/// The links to other pages as a header (RFC 8288 §3).
fn link_header(links: &[Link]) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let pages = links
        .iter()
        .filter(|link| ["first", "prev", "next"].contains(&link.rel));
    let values = pages.map(|link| format!("<{}>; rel=\"{}\"", link.href, link.rel));
    HeaderValue::from_str(&values.collect::<Vec<_>>().join(", "))
}
