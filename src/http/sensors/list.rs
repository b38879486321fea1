//! `GET /sensors`

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;
use validator::Validate;

use super::read::not_modified;
use super::respond;
use crate::domain::{Cursor, Precondition, SensorId};
use crate::http::extract::{Parameters, digits};
use crate::http::problem::{self, Problem, problem_responses};
use crate::http::variant::Form;
use crate::http::{HttpState, conditional};
use crate::store::Page;
use crate::wire::hal::HalForm;
use crate::wire::link::Link;
use crate::wire::page::SensorPageForm;

const DEFAULT_LIMIT: u32 = 50;

problem_responses!(ListProblems: NOT_ACCEPTABLE, PRECONDITION_FAILED, UNAVAILABLE);

/// The parameters of the list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many sensors a page has at most.
    #[serde(default, deserialize_with = "digits")]
    #[validate(range(min = 1, max = 500, message = "must be 1 to 500"))]
    #[param(minimum = 1, maximum = 500, default = 50, nullable = false, example = 50)]
    limit: Option<u32>,
    /// Where the page starts; from the `next` link of the page before.
    #[param(format = "uuid", nullable = false, example = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")]
    cursor: Option<String>,
}

/// List the sensors
///
/// A page, in the order of the ids. Follow the `next` links for all of them. `revision` is that of the store when the page was
/// read: with the events after the revision of the first page, a list that was read while sensors changed becomes exact.
/// As JSON, HAL, XML or CSV (a row a sensor, the metadata as JSON text).
#[utoipa::path(
    get,
    operation_id = "listSensors",
    tag = "sensors",
    params(
        ListQuery,
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
    ),
    responses(
        (status = 200, description = "A page of sensors", content(
            (SensorPageForm = "application/json"),
            (HalForm = "application/hal+json"),
            (String = "application/xml", example = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><sensors><sensor><id>01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90</id><name>boiler-temp</name><link rel=\"self\" href=\"http://localhost:8000/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\"/></sensor><epoch>k3f7q2vt</epoch><revision type=\"number\">45</revision><link rel=\"next\" href=\"http://localhost:8000/sensors?limit=1&amp;cursor=01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\"/></sensors>"),
            (String = "text/csv", example = "id,name,kind,unit,value,measured_at,status,location,metadata,revision,created_at,updated_at\r\n01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90,boiler-temp,temperature,Cel,21.5,2026-11-22T11:00:00.000Z,active,,\"{\"\"room\"\":\"\"cellar\"\"}\",42,2026-11-22T10:00:00.000Z,2026-11-22T11:00:00.123Z\r\n"),
        ), headers(
            ("ETag" = String), ("Cache-Control" = String), ("Vary" = String), ("Content-Encoding" = String),
        )),
        (status = 304, description = "Nothing has changed", headers(
            ("ETag" = String), ("Cache-Control" = String), ("Vary" = String),
        )),
        ListProblems,
    ),
)]
#[route("/sensors", method = "GET", method = "HEAD")]
pub async fn list(
    query: Parameters<ListQuery>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let form = Form::choose(&request, &Form::OF_PAGE)?;
    let Parameters(ListQuery { limit, cursor }) = query;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let after: Option<SensorId> = cursor.map(|cursor| cursor.parse()).transpose().map_err(|_| {
        Problem::new(
            &problem::MALFORMED_REQUEST,
            "cursor: take it from the next link of a page",
        )
    })?;
    // The head first: a page that is read later may be newer than its tag, never older.
    let Precondition {
        if_match,
        if_none_match,
        ..
    } = conditional::of_read(request.headers(), form, &state);
    let known_head = *state.store.head().borrow();
    if if_match.is_some_and(|tags| !tags.contain(known_head)) {
        let etag = conditional::etag_of_form(state.store.epoch(), known_head, form);
        return Err(Problem::new(&problem::PRECONDITION_FAILED, "the list has changed")
            .with_header(header::ETAG, etag)
            .with_link(Link::new("latest-version", state.links().url("/sensors"))));
    }
    if if_none_match.is_some_and(|tags| tags.contain(known_head)) {
        return Ok(not_modified(respond(
            form,
            StatusCode::OK,
            known_head,
            Bytes::new(),
            &state,
        )));
    }
    let page = state.store.page(after, limit + 1).await?;
    let body = render(&page, after, limit, &state).map_err(|error| {
        tracing::error!(%error, "a page cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    let body = form.of_page(body.into(), |_| true)?;
    Ok(respond(form, StatusCode::OK, page.head, body, &state))
}

/// `page` has one sensor more than `limit` when another page follows.
fn render(page: &Page, after: Option<SensorId>, limit: u32, state: &HttpState) -> serde_json::Result<String> {
    let shown = &page.records[..page.records.len().min(usize::try_from(limit).unwrap_or(usize::MAX))];
    let next = shown
        .last()
        .filter(|_| page.records.len() > shown.len())
        .map(|last| last.id);
    let items = shown
        .iter()
        .map(|record| serde_json::from_slice::<&RawValue>(&record.representation));
    serde_json::to_string(&SensorPageForm {
        items: items.collect::<serde_json::Result<_>>()?,
        epoch: state.store.epoch().as_str(),
        revision: page.head.get(),
        links: links(page, after, next, limit, state),
    })
}

fn links(page: &Page, after: Option<SensorId>, next: Option<SensorId>, limit: u32, state: &HttpState) -> Vec<Link> {
    let base = state.links();
    let url = |after: Option<SensorId>| match after {
        Some(id) => base.url(&format!("/sensors?limit={limit}&cursor={id}")),
        None => base.url(&format!("/sensors?limit={limit}")),
    };
    let mut links = vec![Link::new("self", url(after)), Link::new("first", url(None))];
    links.extend(next.map(|next| Link::new("next", url(Some(next)))));
    links.push(Link::action("create", base.url("/sensors"), "POST", "application/json"));
    links.push(base.monitor("sensors/+"));
    if after.is_none() {
        // Only here: after the revision of a later page, changes of what the first page showed would be missed.
        let cursor = Cursor {
            epoch: state.store.epoch().clone(),
            revision: page.head,
        };
        links.push(Link::new("events", base.url(&format!("/events?after={cursor}"))));
    }
    links
}
