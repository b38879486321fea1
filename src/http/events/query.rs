use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;

use crate::domain::{ChangeKind, Cursor, SensorId, SensorName};
use crate::events::Start;
use crate::http::extract::digits;
use crate::http::problem::{self, Problem};
use crate::store::Selection;

/// The parameters of the log.
#[derive(Debug, Clone, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The cursor of the last event that the client has, `{epoch}.{revision}`; or `now` for only what happens from now on.
    /// By default the log is read from the oldest event that is kept.
    #[param(
        nullable = false,
        pattern = "^(now|[a-z2-7]{8}[.](0|[1-9][0-9]{0,17}))$",
        example = "now"
    )]
    after: Option<String>,
    /// The most events in a page.
    #[serde(default, deserialize_with = "digits")]
    #[validate(range(min = 1, max = 1000, message = "must be 1 to 1000"))]
    #[param(minimum = 1, maximum = 1000, default = 100, nullable = false)]
    limit: Option<u32>,
    /// Seconds to wait for an event when there is none: a long poll.
    #[serde(default, deserialize_with = "digits")]
    #[validate(range(min = 1, max = 60, message = "must be 1 to 60"))]
    #[param(minimum = 1, maximum = 60, nullable = false, example = 1)]
    wait: Option<u32>,
    /// Only events of these kinds: some of `created`, `modified`, `deleted`, with commas between them.
    #[param(
        nullable = false,
        pattern = "^(created|modified|deleted)(,(created|modified|deleted))*$",
        example = "created,deleted"
    )]
    event: Option<String>,
    /// Only events of sensors whose name begins with this, before or after the change. An asterisk may follow, as in the list.
    #[param(
        nullable = false,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}[*]?$",
        example = "boiler-*"
    )]
    name: Option<String>,
}

const DEFAULT_LIMIT: u32 = 100;
const LAST_EVENT_ID: &str = "last-event-id";
/// What stands in the values of a query as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'_')
    .remove(b'-')
    .remove(b',')
    .remove(b'*');

impl EventsQuery {
    /// Where to begin, and which parameter says so.
    pub(in crate::http) fn start(&self, request: &HttpRequest) -> Result<(Start, &'static str), Problem> {
        let start = match self.after.as_deref() {
            None => Start::Oldest,
            Some("now") => Start::Now,
            Some(cursor) => cursor
                .parse()
                .map(Start::After)
                .map_err(|reason| malformed(format!("after: {reason}; or now")))?,
        };
        // Empty, it says that there is none yet (HTML §9.2.3).
        let given = |id: &&HeaderValue| !id.is_empty();
        let mut ids = request.headers().get_all(LAST_EVENT_ID).filter(given);
        let Some(id) = ids.next() else {
            return Ok((start, "after"));
        };
        let cursor = id.to_str().ok().and_then(|id| id.trim().parse().ok());
        cursor
            .filter(|_| ids.next().is_none())
            .map(|cursor| (Start::After(cursor), "Last-Event-ID"))
            .ok_or_else(|| malformed("Last-Event-ID: it has to be one cursor, the id of an event"))
    }

    /// Which events.
    pub(in crate::http) fn selection(&self, sensor: Option<SensorId>) -> Result<Selection, Problem> {
        let kinds = self.event.as_deref().map(read_kinds).transpose()?;
        let name_prefix = self.name.as_deref().map(|name| name.strip_suffix('*').unwrap_or(name));
        if name_prefix.is_some_and(|prefix| !SensorName::can_begin(prefix)) {
            return Err(malformed(
                "name: no name begins so; 1 to 64 of A-Z a-z 0-9 . _ - are allowed, and an asterisk after them",
            ));
        }
        Ok(Selection {
            sensor,
            kinds,
            name_prefix: name_prefix.map(str::to_owned),
        })
    }

    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX)
    }

    /// Seconds.
    pub(super) fn wait(&self) -> Option<u32> {
        self.wait
    }

    /// The same question, as a query string, but from `after` on.
    pub(super) fn resumed(&self, after: &Cursor) -> String {
        self.query_string(Some(&after.to_string()))
    }

    /// The same question as a query string.
    pub(super) fn repeated(&self) -> String {
        self.query_string(self.after.as_deref())
    }

    /// The same question, as a query string, but from the oldest event on.
    pub(super) fn begun_anew(&self) -> String {
        self.query_string(None)
    }

    fn query_string(&self, after: Option<&str>) -> String {
        let limit = self.limit().to_string();
        let wait = self.wait.map(|wait| wait.to_string());
        let pairs = [
            ("after", after),
            ("limit", Some(limit.as_str())),
            ("wait", wait.as_deref()),
            ("event", self.event.as_deref()),
            ("name", self.name.as_deref()),
        ];
        let pairs = pairs
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", utf8_percent_encode(value?, ENCODED))));
        pairs.collect::<Vec<_>>().join("&")
    }
}

fn read_kinds(text: &str) -> Result<Vec<ChangeKind>, Problem> {
    let kinds = [ChangeKind::Created, ChangeKind::Modified, ChangeKind::Deleted];
    let read = |word: &str| kinds.into_iter().find(|kind| kind.as_str() == word);
    text.split(',')
        .map(read)
        .collect::<Option<_>>()
        .ok_or_else(|| malformed("event: some of created, modified, deleted are allowed, with commas between them"))
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(&problem::MALFORMED_REQUEST, detail)
}
