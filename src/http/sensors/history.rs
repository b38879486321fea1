//! `GET /sensors/{sensor}/history`

use std::collections::VecDeque;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use serde::Deserialize;
use serde_json::Value as Json;
use utoipa::IntoParams;
use validator::Validate;

use crate::domain::{Cursor, Revision, SensorId, SensorRef, Timestamp};
use crate::http::HttpState;
use crate::http::events;
use crate::http::extract::{Parameters, SensorPath, digits, instant};
use crate::http::negotiation::BY_FORM_AND_CODING;
use crate::http::problem::{self, Problem, problem_responses};
use crate::http::variant::Form;
use crate::store::{Past, Record};
use crate::wire::history::{HistoryForm, PointForm};
use crate::wire::link::Link;
use crate::wire::plot;

const DEFAULT_LIMIT: u32 = 100;
/// How many times a page reads on in the log when little of it is in the range: some 10,000 events.
const MAX_READS: usize = 20;
/// The most points of a picture: more than it is wide would not be seen.
const MOST_PLOTTED: usize = 5_000;
/// How many times as many events are looked through when those of a picture had too few points.
const WIDER: usize = 8;
/// The most events that are looked through for a picture; what is older than the newest so many is not in it.
const MOST_LOOKED_THROUGH: usize = 40_000;

problem_responses!(HistoryProblems: NOT_FOUND, NOT_ACCEPTABLE, CURSOR_EXPIRED, OVERLOADED, UNAVAILABLE);

/// The parameters of a history.
#[derive(Debug, Clone, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Only points from this instant on: RFC 3339.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = "date-time", nullable = false, example = "2026-11-22T10:00:00Z")]
    from: Option<Timestamp>,
    /// Only points before this instant: RFC 3339.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = "date-time", nullable = false, example = "2099-11-23T10:00:00Z")]
    to: Option<Timestamp>,
    /// The most points in a page. A plot without `limit` has the newest 5,000.
    #[serde(default, deserialize_with = "digits")]
    #[validate(range(min = 1, max = 1000, message = "must be 1 to 1000"))]
    #[param(minimum = 1, maximum = 1000, default = 100, nullable = false)]
    limit: Option<u32>,
    /// Where the page starts; from the `next` link of the page before. Ignored when empty.
    #[param(nullable = false, pattern = "^([a-z2-7]{8}[.](0|[1-9][0-9]{0,17}))?$", example = "")]
    cursor: Option<String>,
}

impl HistoryQuery {
    fn has(&self, point: &PointForm) -> bool {
        let time: Option<Timestamp> = point.time.parse().ok();
        time.is_some_and(|time| self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to))
    }

    /// Where the page starts.
    fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        let cursor = self.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let malformed = |_| {
            let detail = "cursor: take it from the next link of a page";
            Problem::new(&problem::MALFORMED_REQUEST, detail)
        };
        cursor.map(str::parse).transpose().map_err(malformed)
    }

    /// The range as a query string.
    fn range(&self) -> String {
        let bounds = [("from", self.from), ("to", self.to)].into_iter();
        let bounds = bounds.filter_map(|(name, bound)| Some(format!("{name}={}", bound?)));
        bounds.collect::<Vec<_>>().join("&")
    }

    /// The same question as a query string, from `cursor` on.
    fn page_of(&self, cursor: Option<&Cursor>) -> String {
        let parts = [
            Some(self.range()).filter(|range| !range.is_empty()),
            Some(format!("limit={}", self.limit.unwrap_or(DEFAULT_LIMIT))),
            cursor.map(|cursor| format!("cursor={cursor}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("&")
    }
}

/// The values of a sensor over time
///
/// Every change of the value, of `measured_at` and of the status that the log still has, oldest first: as JSON, in pages, or
/// as a plot (SVG). A cursor that is older than what is kept is 410. A deleted sensor is found by its id as long as an event
/// of it is kept.
#[utoipa::path(
    get,
    operation_id = "readHistory",
    tag = "sensors",
    params(("sensor" = String, Path), HistoryQuery),
    responses(
        (status = 200, description = "The points in the range", content(
            (HistoryForm = "application/json"),
            (String = "image/svg+xml"),
        ), headers(("Cache-Control" = String), ("Vary" = String))),
        HistoryProblems,
    ),
)]
#[route("/sensors/{sensor}/history", method = "GET", method = "HEAD")]
pub async fn history(
    path: SensorPath,
    query: Parameters<HistoryQuery>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let (SensorPath(target), Parameters(query)) = (path, query);
    let form = Form::choose(&request, &Form::OF_HISTORY)?;
    let cursor = query.cursor()?;
    let after = cursor.as_ref().map_or(Revision::ZERO, |cursor| cursor.revision);
    let sensor = events::find(&target, &state).await?;
    let known = Known::of(sensor, &state).await?;
    let body = if form == Form::Svg {
        let (points, of_newest) = newest(&query, sensor, after, &state).await?;
        plot::svg(&known.history(points.into(), Vec::new(), &state), of_newest)
    } else {
        let (points, next) = oldest(&query, sensor, after, &state).await?;
        let links = links(&query, &known, cursor.as_ref(), next.as_ref(), &state);
        serde_json::to_string(&known.history(points, links, &state)).map_err(Into::into)
    };
    if let Some(cursor) = &cursor {
        // After the read: what is there now was there then.
        let kept = state.feed.keeps_after(cursor).await;
        let first = format!("/sensors/{sensor}/history");
        kept.map_err(|error| events::unreadable(error, "cursor", &first, &state))?;
    }
    let body = body.map_err(|error| {
        tracing::error!(%error, "a history cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    Ok(HttpResponse::Ok()
        // What is pruned changes it, and no revision tells.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, BY_FORM_AND_CODING))
        .content_type(form.content_type())
        .body(body))
}

/// The first points of the range, and the cursor of the next page if there is more.
async fn oldest(
    query: &HistoryQuery,
    sensor: SensorId,
    after: Revision,
    state: &HttpState,
) -> Result<(Vec<PointForm>, Option<Cursor>), Problem> {
    let limit = usize::try_from(query.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    let mut reader = state.store.history(sensor, after).await?;
    let (mut points, mut is_at_end) = (Vec::new(), false);
    for _ in 0..MAX_READS {
        match reader.next().await? {
            Some(block) => points.extend(block.into_iter().filter(|point| query.has(point))),
            None => is_at_end = true,
        }
        if is_at_end || points.len() > limit {
            break;
        }
    }
    let is_full = points.len() > limit;
    points.truncate(limit);
    let reached = match points.last().filter(|_| is_full) {
        Some(last) => Revision::new(last.revision),
        None => reader.reached(),
    };
    let next = (is_full || !is_at_end).then(|| Cursor {
        epoch: state.store.epoch().clone(),
        revision: reached,
    });
    Ok((points, next))
}

/// The last points of the range. The newest events are looked through, and more of them only as long as they have too few points, up to
/// [`MOST_LOOKED_THROUGH`], because a sensor may have a million. When even those have too few points and there are older events,
/// their number is given as well.
async fn newest(
    query: &HistoryQuery,
    sensor: SensorId,
    after: Revision,
    state: &HttpState,
) -> Result<(VecDeque<PointForm>, Option<usize>), Problem> {
    let limit = query
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(MOST_PLOTTED);
    let mut events = limit;
    loop {
        let start = state.store.before_newest(sensor, events).await?.max(after);
        let mut reader = state.store.history(sensor, start).await?;
        let mut points = VecDeque::new();
        while let Some(block) = reader.next().await? {
            points.extend(block.into_iter().filter(|point| query.has(point)));
            points.drain(..points.len().saturating_sub(limit));
        }
        if points.len() == limit || start == after {
            return Ok((points, None));
        }
        if events == MOST_LOOKED_THROUGH {
            return Ok((points, Some(events)));
        }
        events = (events * WIDER).min(MOST_LOOKED_THROUGH);
    }
}

/// The sensor that a history is of.
struct Known {
    sensor: SensorId,
    is_there: bool,
    /// As it is, or was last.
    name: Option<String>,
    unit: Option<String>,
}

impl Known {
    async fn of(sensor: SensorId, state: &HttpState) -> Result<Self, Problem> {
        let present = state.store.get(&SensorRef::Id(sensor)).await?;
        let is_there = present.is_some();
        let record = match present {
            Some(record) => Some(record),
            None => last(sensor, state).await?,
        };
        let json: Option<Json> = record.and_then(|record| serde_json::from_slice(&record.representation).ok());
        let text = |name: &str| Some(json.as_ref()?[name].as_str()?.to_owned());
        Ok(Self {
            sensor,
            is_there,
            name: text("name"),
            unit: text("unit"),
        })
    }

    fn history(&self, points: Vec<PointForm>, links: Vec<Link>, state: &HttpState) -> HistoryForm {
        HistoryForm {
            sensor: self.sensor.to_string(),
            epoch: state.store.epoch().to_string(),
            name: self.name.clone(),
            unit: self.unit.clone(),
            points,
            links,
        }
    }
}

/// What a sensor that is gone was before its last event, where the log still tells.
async fn last(sensor: SensorId, state: &HttpState) -> Result<Option<Record>, Problem> {
    let revision = state.store.before_newest(sensor, 1).await?;
    Ok(match state.store.at(sensor, revision).await? {
        Past::Was(record) => Some(record),
        Past::Never | Past::Gone | Past::Pruned => None,
    })
}

fn links(
    query: &HistoryQuery,
    known: &Known,
    cursor: Option<&Cursor>,
    next: Option<&Cursor>,
    state: &HttpState,
) -> Vec<Link> {
    let own = format!("/sensors/{}/history", known.sensor);
    let link = |rel, query: &str| Link::new(rel, state.links().url(&format!("{own}?{query}")));
    let mut links = vec![
        link("self", &query.page_of(cursor)),
        link("first", &query.page_of(None)),
    ];
    links.extend(next.map(|next| link("next", &query.page_of(Some(next)))));
    if known.is_there {
        links.push(Link::new(
            "related",
            state.links().sensor_url(&SensorRef::Id(known.sensor)),
        ));
    }
    // The picture of the whole range.
    let range = query.range();
    let picture = if range.is_empty() {
        own
    } else {
        format!("{own}?{range}")
    };
    links.push(Link {
        media_type: Some(Form::Svg.essence()),
        ..Link::new("alternate", state.links().url(&picture))
    });
    links
}
