//! Headers and shared parameters: an operation names them, one table says what they hold.

use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required};

use super::methods;
use crate::domain::SensorName;
use crate::wire::link::LinkBase;

/// The `ETag` of a problem: that of the sensor in question, where there is one.
const CURRENT_ETAG: &str = "Current-ETag";
const REQUEST_ID: &str = "X-Request-Id";
/// The parser of the framework may answer with these, before a request has an id.
const BEFORE_THE_SERVICE: [&str; 3] = ["400", "408", "431"];
/// In an example: where the service is.
const BASE: &str = "{base}";
const SENSOR_URL: &str = "{base}/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";

/// Turns the names of headers and shared parameters into references to what they hold.
pub fn add(document: &mut OpenApi, links: &LinkBase) {
    for (method, operation) in methods::all_mut(document) {
        // Those with words of their own are not shared.
        for parameter in operation.parameters.iter_mut().flatten() {
            refer(parameter);
        }
        name_headers(method, operation);
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response {
                refer_headers(status, response);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    let headers = RESPONSE_HEADERS
        .iter()
        .map(|row| (row.0.to_owned(), row.header(links).into()));
    components.headers.extend(headers);
    let parameters = parameters()
        .into_iter()
        .map(|parameter| (parameter.name.clone(), parameter.into()));
    components.parameters.extend(parameters);
}

fn refer(parameter: &mut RefOr<Parameter>) {
    let shared = parameters().into_iter().map(|parameter| parameter.name);
    if let RefOr::T(own) = parameter
        && own.description.is_none()
        && let Some(name) = shared.into_iter().find(|name| *name == own.name)
    {
        *parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
    }
}

/// Names the headers that follow from the method and the status alone.
fn name_headers(method: &str, operation: &mut Operation) {
    let advertise = match method {
        "post" => "Accept-Post",
        "patch" => "Accept-Patch",
        _ => "Accept",
    };
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        // Streams never are, and of the answer to a HEAD there is no content to see.
        let may_be_encoded = response
            .content
            .keys()
            .any(|media_type| media_type != "text/event-stream")
            || method == "head" && status == "200";
        let is_ours = !BEFORE_THE_SERVICE.contains(&status.as_str());
        let mut name = |header: &str| {
            response.headers.insert(header.to_owned(), Header::default().into());
        };
        if status == "415" {
            name(advertise);
            name("Accept-Encoding");
        }
        if may_be_encoded && is_ours {
            name("Content-Encoding");
            name("Vary");
        }
        if is_ours {
            name(REQUEST_ID);
        }
    }
}

fn refer_headers(status: &str, response: &mut Response) {
    for (name, header) in &mut response.headers {
        let component = if name == "ETag" && status.starts_with('4') {
            CURRENT_ETAG
        } else {
            name
        };
        *header = RefOr::Ref(Ref::new(format!("#/components/headers/{component}")));
    }
}

/// What a header of answers holds, under the name of its component.
struct Row(&'static str, Presence, Form, &'static str, &'static str);

#[derive(PartialEq)]
enum Presence {
    /// Wherever it is named.
    Always,
    Sometimes,
}

enum Form {
    Text,
    Tag,
    Uri,
    Uuid,
    Seconds,
}

#[rustfmt::skip]
const RESPONSE_HEADERS: [Row; 17] = [
    Row("ETag", Presence::Always, Form::Tag, "\"k3f7q2vt.42\"",
        "The strong tag of the representation, for `If-Match` and `If-None-Match`: `\"{epoch}.{revision}\"`, with a suffix for any other than uncompressed JSON"),
    Row(CURRENT_ETAG, Presence::Sometimes, Form::Tag, "\"k3f7q2vt.42\"",
        "The tag of the present state, where there is one"),
    Row("Last-Modified", Presence::Always, Form::Text, "Sun, 22 Nov 2026 11:00:00 GMT",
        "When the sensor was last changed, in whole seconds; the tag is more exact"),
    Row("Preference-Applied", Presence::Sometimes, Form::Text, "return=minimal",
        "The preference that was applied"),
    Row("Location", Presence::Always, Form::Uri, SENSOR_URL,
        "The URL of the new sensor, by its id"),
    Row("Content-Location", Presence::Sometimes, Form::Uri, SENSOR_URL,
        "The URL, by id, of the sensor that is shown, where the request used another URL or changed the sensor"),
    Row("Cache-Control", Presence::Always, Form::Text, "no-cache",
        "How the answer may be cached: `no-cache` means to revalidate with `If-None-Match` before use"),
    Row("Content-Encoding", Presence::Sometimes, Form::Text, "gzip",
        "The coding of the body, one of those that `Accept-Encoding` takes: `gzip`, `br` or `zstd`"),
    Row("Vary", Presence::Always, Form::Text, "Accept, Accept-Encoding",
        "The headers of the request on which the answer depends"),
    Row("Link", Presence::Always, Form::Text, "<{base}/sensors?limit=50>; rel=\"first\"",
        "The links to other pages (RFC 8288): `first`, and `prev` and `next` where there is one"),
    Row("Retry-After", Presence::Sometimes, Form::Seconds, "1",
        "Seconds to wait before the next attempt"),
    Row("Allow", Presence::Always, Form::Text, "GET, HEAD, OPTIONS",
        "The methods that the resource has"),
    Row("Accept", Presence::Always, Form::Text, "application/json",
        "The media types that a PUT takes"),
    Row("Accept-Encoding", Presence::Sometimes, Form::Text, "identity",
        "The codings that a body may have, when it had another"),
    Row("Accept-Post", Presence::Sometimes, Form::Text, "application/json",
        "The media types that a POST takes"),
    Row("Accept-Patch", Presence::Always, Form::Text, "application/merge-patch+json, application/json-patch+json, application/json",
        "The media types that a PATCH takes"),
    Row(REQUEST_ID, Presence::Always, Form::Uuid, "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90",
        "The id of the request in the log of the service"),
];

impl Row {
    fn header(&self, links: &LinkBase) -> Header {
        let Self(_, presence, form, example, description) = self;
        let example = example.replace(BASE, &links.url(""));
        let text = ObjectBuilder::new().schema_type(Type::String);
        let format = |format: &str| Some(SchemaFormat::Custom(format.to_owned()));
        let (schema, example) = match form {
            Form::Text => (text, json!(example)),
            Form::Tag => (
                text.pattern(Some(r#"^"[a-z2-7]{8}\.[0-9]+(-[a-z]+){0,2}"$"#)),
                json!(example),
            ),
            Form::Uri => (text.format(format("uri")), json!(example)),
            Form::Uuid => (text.format(format("uuid")), json!(example)),
            Form::Seconds => (
                ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)),
                json!(example.parse::<u32>().ok()),
            ),
        };
        let mut header = HeaderBuilder::new()
            .description(Some(*description))
            .schema(Some(schema))
            .example(Some(example))
            .build();
        if *presence == Presence::Always {
            // Utoipa has no field for this member of the Header Object.
            header.extensions = Some(Extensions::from_iter([("required", true)]));
        }
        header
    }
}

/// The parameters that several operations have.
fn parameters() -> [Parameter; 7] {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let cursor = || text().pattern(Some("^([a-z2-7]{8}[.](0|[1-9][0-9]{0,17}))?$"));
    let header = |name: &str, schema: ObjectBuilder, description: &str, example: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema))
            .example(Some(json!(example)))
            .build()
    };
    let sensor = ParameterBuilder::new()
        .name("sensor")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The id or the name of the sensor"))
        .schema(Some(text().pattern(Some(SensorName::PATTERN))))
        .example(Some(json!("boiler-temp")))
        .build();
    // The examples let a request through as it stands: any state matches `*`, and none the tag.
    [
        sensor,
        header(
            "Last-Event-ID",
            cursor(),
            "The cursor of the last event that the client has, e.g. `k3f7q2vt.42`; wins over `after`. Browsers send it when they reconnect. Ignored when empty",
            "",
        ),
        header(
            "If-Match",
            text(),
            "Tags, separated by commas, or `*` for any state: the request is carried out only if the current state has one of them; otherwise the answer is 412",
            "*",
        ),
        header(
            "If-None-Match",
            text(),
            "Tags, separated by commas, or `*` for any state: the request is carried out only if the current state has none of them; otherwise a read is answered with 304, a write with 412",
            "\"k3f7q2vt.1\"",
        ),
        header(
            "If-Modified-Since",
            text(),
            "An instant as HTTP writes it; 304 when nothing has changed after that second. Ignored next to `If-None-Match`",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ),
        header(
            "If-Unmodified-Since",
            text(),
            "An instant as HTTP writes it; 412 when the sensor has changed after that second. Ignored next to `If-Match`, which can tell two changes in one second apart",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ),
        header(
            "Prefer",
            text(),
            "What the client would like (RFC 7240). On writes `return=minimal` for an answer without a body, `return=representation` for the sensor; on the log `wait=` seconds for a long poll. Unknown preferences are ignored",
            "return=representation",
        ),
    ]
}
