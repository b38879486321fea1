//! What a handler takes from a request, parsed once: the sensor in the path, the query, the body.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, Ready, ready};
use percent_encoding::percent_decode_str;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use tokio::time::timeout;
use url::form_urlencoded;
use validator::Validate;

use super::HttpState;
use super::idempotency;
use super::negotiation::{media_type_of, require_acceptable};
use super::problem::{self, Problem};
use crate::config::HttpLimits;
use crate::domain::{Fault, SensorRef, Timestamp};
use crate::store::Once;
use crate::wire::json;

/// The sensor that the path addresses: `/sensors/{sensor}`.
#[derive(Debug, Clone)]
pub struct SensorPath(pub SensorRef);

impl FromRequest for SensorPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let segment = request.match_info().get("sensor").unwrap_or_default();
        let sensor = segment.parse().map(Self);
        ready(sensor.map_err(|_| not_a_sensor()))
    }
}

/// The problem of a path that no sensor can have.
fn not_a_sensor() -> Problem {
    Problem::new(&problem::NOT_FOUND, "a sensor has a UUID and a name; this is neither")
}

/// The query parameters as a `T`, which lists all that there are and validates their ranges.
#[derive(Debug, Clone)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned + Validate> FromRequest for Parameters<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            parse_query(request.query_string())
                .map(Self)
                .map_err(|detail| Problem::new(&problem::MALFORMED_REQUEST, detail)),
        )
    }
}

/// The query of an operation that has no parameters.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// Reads a number in digits alone: Rust would take a sign, too. For `#[serde(deserialize_with)]` in a query.
///
/// # Errors
/// When it is none, or has more bits than a `T`.
pub fn digits<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text
        .parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .map(Some)
        .ok_or_else(|| D::Error::custom("must be a whole number in its range, in digits alone"))
}

/// Reads what has a text form of its own. For `#[serde(deserialize_with)]` in a query.
///
/// # Errors
/// What the type says of the text.
pub fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// Reads an instant. For `#[serde(deserialize_with)]` in a query.
///
/// # Errors
/// When it is none.
pub fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let instant = String::deserialize(deserializer)?.parse().map(Some);
    instant.map_err(|reason| D::Error::custom(format_args!("{reason}; a + in it has to be sent as %2B")))
}

/// The names and values of a query, decoded.
///
/// # Errors
/// Names a parameter whose name or value is not UTF-8, or has a % without two hexadecimal digits after it (RFC 3986 §2.1), which
/// decoding alone would accept.
pub fn query_pairs(query: &str) -> Result<impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)>, String> {
    let is_code = |text: &str| text.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    for pair in query.split('&') {
        let complaint = if !pair.split('%').skip(1).all(is_code) {
            "has a % without two hexadecimal digits after it; the character itself is %25"
        } else if percent_decode_str(pair).decode_utf8().is_err() {
            "is not UTF-8"
        } else {
            continue;
        };
        return Err(format!("{}: {complaint}", pair.split('=').next().unwrap_or_default()));
    }
    Ok(form_urlencoded::parse(query.as_bytes()))
}

/// Reads a query as a `T`.
///
/// # Errors
/// Names every parameter that is unknown, repeated or has an invalid value, up to [`Fault::MAX_COUNT`], and says what is allowed.
pub fn parse_query<T: DeserializeOwned + Validate>(query: &str) -> Result<T, String> {
    drop(query_pairs(query)?);
    match parse_parameters::<T>(query) {
        Ok(parameters) if parameters.validate().is_ok() => Ok(parameters),
        _ => Err(faults_of::<T>(query).join("; ")),
    }
}

/// What is wrong with a query, the first [`Fault::MAX_COUNT`]. Serde stops at the first fault, so the query is read again without that
/// parameter, until nothing is wrong.
fn faults_of<T: DeserializeOwned + Validate>(query: &str) -> Vec<String> {
    let (mut faults, mut names, mut pairs) = (Vec::new(), HashSet::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if names.insert(name.clone()) {
            pairs.push((name, value));
        } else {
            faults.push(format!("{name}: it is there twice"));
        }
    }
    // Bounded, because each round reads the whole query.
    while faults.len() < Fault::MAX_COUNT {
        let rest = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&pairs)
            .finish();
        match parse_parameters::<T>(&rest) {
            Ok(parameters) => {
                faults.extend(parameters.validate().err().map(|errors| errors.to_string()));
                break;
            }
            Err((name, fault)) => {
                faults.push(fault);
                let count = pairs.len();
                pairs.retain(|(known, _)| *known != name);
                if pairs.len() == count {
                    break;
                }
            }
        }
    }
    faults.truncate(Fault::MAX_COUNT);
    faults
}

/// As a `T`, or the first parameter that is wrong and what is wrong with it.
fn parse_parameters<T: DeserializeOwned>(query: &str) -> Result<T, (String, String)> {
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let name = error.path().to_string();
        let what = error.into_inner().to_string();
        // Serde speaks of fields.
        let fault = match what.strip_prefix(&format!("unknown field `{name}`, ")) {
            Some(known) => format!(
                "{name}: no such parameter, {}",
                known.replace("no fields", "no parameters")
            ),
            None => match what.split_once("`, expected ") {
                Some((unknown, known)) if unknown.starts_with("unknown variant") => format!("{name}: must be {known}"),
                _ => format!("{name}: {what}"),
            },
        };
        (name, fault)
    })
}

/// What kind of body an operation takes.
pub trait BodyType: 'static {
    /// The media types, the first being the one to advertise.
    const MEDIA_TYPES: &'static [&'static str];
    /// The header that advertises them on 415, in lower case.
    const ADVERTISE: &'static str;
}

/// The body of a POST.
#[derive(Debug)]
pub struct Post;

impl BodyType for Post {
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const ADVERTISE: &'static str = "accept-post";
}

/// The body of a PUT.
#[derive(Debug)]
pub struct Put;

impl BodyType for Put {
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const ADVERTISE: &'static str = "accept";
}

/// The media type of RFC 7396.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// The media type of RFC 6902.
pub const JSON_PATCH: &str = "application/json-patch+json";

/// The body of a PATCH.
#[derive(Debug)]
pub struct Patch;

impl BodyType for Patch {
    const MEDIA_TYPES: &'static [&'static str] = &[MERGE_PATCH, JSON_PATCH, "application/json"];
    const ADVERTISE: &'static str = "accept-patch";
}

/// What is found in a value as text.
pub const PLAIN_TEXT: &str = "text/plain";

/// The body of a PUT that reports a value.
#[derive(Debug)]
pub struct Report;

impl BodyType for Report {
    const MEDIA_TYPES: &'static [&'static str] = &["application/json", PLAIN_TEXT];
    const ADVERTISE: &'static str = "accept";
}

/// A body whose size and media type are allowed, of a request that accepts the answer. Not parsed yet, because preconditions come
/// first.
#[derive(Debug)]
pub struct Body<T> {
    bytes: Bytes,
    media_type: &'static str,
    taken: PhantomData<T>,
}

impl<T> Body<T> {
    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What tells the request from others, when the client says that it may come again.
    ///
    /// # Errors
    /// 400 when it says so in another form.
    pub fn once(&self, request: &HttpRequest) -> Result<Option<Once>, Problem> {
        idempotency::of(request, self.media_type, &self.bytes)
    }

    /// What it says. The problem of one that cannot be read is kept, because preconditions come first.
    #[must_use]
    pub fn input(&self) -> Input {
        Input {
            media_type: self.media_type,
            json: match self.media_type {
                PLAIN_TEXT => scalar(&self.bytes),
                _ => parse(&self.bytes),
            },
        }
    }
}

/// What a body says.
#[derive(Debug)]
pub struct Input {
    /// Its media type, one of those that the operation takes.
    pub media_type: &'static str,
    /// The JSON, or why there is none: 400 with line and column.
    pub json: Result<Json, Problem>,
}

fn parse(bytes: &[u8]) -> Result<Json, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new(&problem::MALFORMED_JSON, "the body is empty"));
    }
    json::parse(bytes).map_err(|error| {
        let said = error.to_string();
        // In the words of JSON, not of its parser.
        let detail = said
            .replace("EOF while parsing", "the body ends in")
            .replace("expected ident", "expected true, false or null")
            .replace("unexpected end of hex escape", "half of a surrogate pair");
        Problem::new(&problem::MALFORMED_JSON, detail)
    })
}

/// Reads plain text: what is a number or a boolean to JSON is that, and all else is text.
pub fn scalar(bytes: &[u8]) -> Result<Json, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::new(&problem::MALFORMED_REQUEST, format!("the text is not UTF-8: {error}")))?;
    match json::parse(bytes) {
        Ok(scalar @ (Json::Number(_) | Json::Bool(_))) => Ok(scalar),
        _ => Ok(Json::from(text)),
    }
}

/// The most memory that is taken for what is still to come of a body.
const MAX_AHEAD_BYTES: usize = 64 * 1024;
/// How long a body may take of which the head says already that it is not taken here. It may be too large as well, which is told first,
/// and the connection is kept only when it has come.
const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(1);

impl<T: BodyType> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let max_bytes = limits_of(&request)?.body_bytes;
            read_body(&request, payload, max_bytes, |_| Ok(())).await
        })
    }
}

/// A body that the operation ignores. It is read to its end all the same, because a request that is cut off or malformed must not be
/// carried out.
#[derive(Debug)]
pub struct UnusedBody;

impl FromRequest for UnusedBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let max_bytes = limits_of(&request)?.body_bytes;
            read(&request, payload, max_bytes, |_| Ok(())).await.map(|_| Self)
        })
    }
}

fn limits_of(request: &HttpRequest) -> Result<HttpLimits, Problem> {
    let state = request.app_data::<Data<HttpState>>();
    state
        .map(|state| state.limits)
        .ok_or_else(|| Problem::of_kind(&problem::INTERNAL))
}

/// Reads a body of at most `max_bytes`, whose pieces `make_room` has to allow as they come.
///
/// # Errors
/// 408, 413, 415 and 406, and what `make_room` says.
pub async fn read_body<T: BodyType>(
    request: &HttpRequest,
    payload: Payload,
    max_bytes: usize,
    make_room: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<Body<T>, Problem> {
    let bytes = read(request, payload, max_bytes, make_room);
    let media_type = media_type_of(request.headers(), T::MEDIA_TYPES, T::ADVERTISE)
        .and_then(|media_type| require_acceptable(request, &mime::APPLICATION_JSON).map(|()| media_type));
    match media_type {
        Ok(media_type) => Ok(Body {
            bytes: bytes.await?,
            media_type,
            taken: PhantomData,
        }),
        Err(problem) => match timeout(REFUSED_BODY_TIMEOUT, bytes).await {
            Ok(Err(of_body)) => Err(of_body),
            Ok(Ok(_)) | Err(_) => Err(problem),
        },
    }
}

/// The bytes of a body, in the time that it has.
async fn read(
    request: &HttpRequest,
    payload: Payload,
    max_bytes: usize,
    make_room: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let all = read_all(request, payload, max_bytes, make_room);
    let read = timeout(limits_of(request)?.body_timeout, all).await;
    read.map_err(|_| Problem::of_kind(&problem::REQUEST_TIMEOUT))?
}

async fn read_all(
    request: &HttpRequest,
    mut payload: Payload,
    max_bytes: usize,
    mut make_room: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            &problem::BODY_TOO_LARGE,
            format!("a body has at most {max_bytes} bytes"),
        )
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > max_bytes) {
        return Err(too_large());
    }
    // Bounded, because an announced length costs the client nothing.
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(MAX_AHEAD_BYTES));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            let detail = format!("the body ends early or is malformed: {error}");
            Problem::new(&problem::MALFORMED_REQUEST, detail)
        })?;
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large());
        }
        make_room(&chunk)?;
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
