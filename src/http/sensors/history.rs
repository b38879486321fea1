//! `GET /sensors/{sensor}/history`

use std::collections::VecDeque;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;
use utoipa::IntoParams;
use validator::Validate;

use crate::domain::{Cursor, Revision, SensorId, SensorRef, Timestamp};
use crate::http::HttpState;
use crate::http::events;
use crate::http::extract::{Parameters, SensorPath, digits};
use crate::http::problem::{self, Problem, problem_responses};
use crate::http::variant::Form;
use crate::store::Record;
use crate::wire::history::{HistoryForm, PointForm};
use crate::wire::link::Link;
use crate::wire::plot;

const DEFAULT_LIMIT: u32 = 100;
/// The most points of a picture: more than it is wide would not be seen.
const MOST_PLOTTED: usize = 5_000;
/// How many times as many events are looked through when those of a picture had too few points.
const WIDER: usize = 8;

problem_responses!(HistoryProblems: NOT_FOUND, NOT_ACCEPTABLE, CURSOR_EXPIRED, UNAVAILABLE);

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
    /// How many points a page has at most. A picture has the newest 5,000 without it.
    #[serde(default, deserialize_with = "digits")]
    #[validate(range(min = 1, max = 1000, message = "must be 1 to 1000"))]
    #[param(minimum = 1, maximum = 1000, default = 100, nullable = false)]
    limit: Option<u32>,
    /// Where the page starts; from the `next` link of the page before. Empty, it says nothing.
    #[param(nullable = false, pattern = "^([a-z2-7]{8}[.](0|[1-9][0-9]{0,17}))?$", example = "")]
    cursor: Option<String>,
}

impl HistoryQuery {
    fn has(&self, point: &PointForm) -> bool {
        let time: Option<Timestamp> = point.time.parse().ok();
        time.is_some_and(|time| self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to))
    }

    /// The same question as a query string, from `cursor` on.
    fn query_string(&self, cursor: Option<&Cursor>) -> String {
        let pairs = [
            ("from", self.from.map(|from| from.to_string())),
            ("to", self.to.map(|to| to.to_string())),
            ("limit", Some(self.limit.unwrap_or(DEFAULT_LIMIT).to_string())),
            ("cursor", cursor.map(Cursor::to_string)),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map(Some)
        .map_err(de::Error::custom)
}

/// The values of a sensor over time
///
/// Every change of the value, of `measured_at` and of the status, oldest first, for as long as the log has it. As JSON in pages,
/// or as a picture (SVG). A sensor that is gone is found by its id as long as an event of it is kept.
#[utoipa::path(
    get,
    operation_id = "readHistory",
    tag = "sensors",
    params(("sensor" = String, Path), HistoryQuery),
    responses(
        (status = 200, description = "The points in the range", content(
            (HistoryForm = "application/json"),
            (String = "image/svg+xml", example = "<svg width=\"960\" height=\"420\" viewBox=\"0 0 960 420\" xmlns=\"http://www.w3.org/2000/svg\"></svg>"),
        ), headers(("Cache-Control" = String), ("Vary" = String), ("Content-Encoding" = String))),
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
    let after = after(&query, &state)?;
    let sensor = events::find(&target, &state).await?;
    let present = state.store.get(&SensorRef::Id(sensor)).await?;
    let body = if form == Form::Svg {
        let points = newest(&query, sensor, after, &state).await?;
        plot::svg(&form_of(sensor, present.as_ref(), points.into(), Vec::new(), &state))
    } else {
        let (points, next) = oldest(&query, sensor, after, &state).await?;
        let links = links(&query, sensor, next, &state);
        serde_json::to_string(&form_of(sensor, present.as_ref(), points, links, &state)).map_err(Into::into)
    };
    let body = body.map_err(|error| {
        tracing::error!(%error, "a history cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    Ok(HttpResponse::Ok()
        // What is pruned changes it, and no revision tells.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, super::BY_FORM_AND_CODING))
        .content_type(form.content_type())
        .body(body))
}

/// After which revision the points begin.
fn after(query: &HistoryQuery, state: &HttpState) -> Result<Revision, Problem> {
    let Some(cursor) = query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else {
        return Ok(Revision::ZERO);
    };
    let cursor: Cursor = cursor.parse().map_err(|_| {
        Problem::new(
            &problem::MALFORMED_REQUEST,
            "cursor: take it from the next link of a page",
        )
    })?;
    if cursor.epoch == *state.store.epoch() {
        Ok(cursor.revision)
    } else {
        Err(Problem::new(
            &problem::CURSOR_EXPIRED,
            "cursor: it is of another epoch; begin without it",
        ))
    }
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
    let mut points = Vec::new();
    while points.len() <= limit
        && let Some(block) = reader.next().await?
    {
        points.extend(block.into_iter().filter(|point| query.has(point)));
    }
    let has_more = points.len() > limit;
    points.truncate(limit);
    let last = points.last().filter(|_| has_more);
    let next = last.map(|last| Cursor {
        epoch: state.store.epoch().clone(),
        revision: Revision::new(last.revision),
    });
    Ok((points, next))
}

/// The last points of the range. The newest events are looked through, and more of them only where those have too few points: a
/// sensor may have a million.
async fn newest(
    query: &HistoryQuery,
    sensor: SensorId,
    after: Revision,
    state: &HttpState,
) -> Result<VecDeque<PointForm>, Problem> {
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
            return Ok(points);
        }
        events = events.saturating_mul(WIDER);
    }
}

fn form_of(
    sensor: SensorId,
    present: Option<&Record>,
    points: Vec<PointForm>,
    links: Vec<Link>,
    state: &HttpState,
) -> HistoryForm {
    let present: Option<Json> = present.and_then(|record| serde_json::from_slice(&record.representation).ok());
    let text = |name: &str| Some(present.as_ref()?[name].as_str()?.to_owned());
    HistoryForm {
        sensor: sensor.to_string(),
        epoch: state.store.epoch().to_string(),
        name: text("name"),
        unit: text("unit"),
        points,
        links,
    }
}

fn links(query: &HistoryQuery, sensor: SensorId, next: Option<Cursor>, state: &HttpState) -> Vec<Link> {
    let own = format!("/sensors/{sensor}/history");
    let link = |rel, query: &str| Link::new(rel, state.links().url(&format!("{own}?{query}")));
    let cursor = query.cursor.as_deref().and_then(|cursor| cursor.parse().ok());
    let mut links = vec![
        link("self", &query.query_string(cursor.as_ref())),
        link("first", &query.query_string(None)),
    ];
    links.extend(next.map(|next| link("next", &query.query_string(Some(&next)))));
    links.push(Link::new("related", state.links().sensor_url(&SensorRef::Id(sensor))));
    links.push(Link {
        media_type: Some(Form::Svg.essence()),
        ..Link::new("alternate", state.links().url(&own))
    });
    links
}
