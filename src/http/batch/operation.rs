use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::MAX_OPERATIONS;
use crate::domain::{Fault, SensorRef, escape};
use crate::http::extract::{BodyType, Input, PLAIN_TEXT, Patch, Post, Put, Report, scalar};
use crate::http::idempotency::IDEMPOTENCY_KEY;
use crate::http::negotiation::media_type_of;
use crate::http::problem::{self, Problem};
use crate::http::sensors::write::Plan;
use crate::http::sensors::{create, delete, patch, replace, value};
use crate::http::{HttpState, conditional};

/// The body of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Batch)]
pub struct BatchForm {
    /// What to do, in this order.
    #[schema(min_items = 1, max_items = 500)]
    operations: Vec<OperationForm>,
    /// Whether all operations are undone when one fails.
    #[serde(default = "yes")]
    #[schema(default = true, required = false)]
    atomic: bool,
}

/// A write, as it would be sent as a request of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchOperation)]
pub struct OperationForm {
    /// POST, PUT, PATCH or DELETE.
    #[schema(schema_with = methods)]
    method: String,
    /// `/sensors`, `/sensors/{sensor}` or `/sensors/{sensor}/value`; or the whole URL, as links have it.
    #[schema(
        pattern = "^(https?://.+)?/sensors(/[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/value)?)?$",
        example = "/sensors/boiler-temp"
    )]
    path: String,
    /// The headers that apply to the write: preconditions, `Prefer`, and `Content-Type` where it is not the default.
    #[serde(default)]
    #[schema(value_type = HashMap<String, String>, required = false, example = json!({"If-Match": "*"}))]
    headers: Map<String, Json>,
    /// The body: JSON, or a string that is the text of a text/plain body.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = anything, required = false)]
    body: Option<Json>,
}

fn methods() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["POST", "PUT", "PATCH", "DELETE"]))
        .examples(["PUT"])
        .build()
}

fn anything() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some(
            "The body: JSON, or a string that is the text of a text/plain body.",
        ))
        .build()
}

/// A write of a batch.
#[derive(Debug)]
pub struct Operation {
    verb: Verb,
    /// As it was sent.
    pub path: String,
    headers: Map<String, Json>,
    body: Option<Json>,
}

/// What it does to what.
#[derive(Debug)]
enum Verb {
    Create,
    Replace(SensorRef),
    Patch(SensorRef),
    Delete(SensorRef),
    Report(SensorRef),
}

const PATHS: &str = "must be /sensors, /sensors/{sensor} or /sensors/{sensor}/value, with the id or the name of a sensor and without a query";

impl BatchForm {
    /// Reads a batch of a service whose links start with `base`.
    ///
    /// # Errors
    /// Every fault of its form, before any operation is tried; what the operations ask for is judged when their turn comes.
    pub fn read(json: Json, base: &str) -> Result<(Vec<Operation>, bool), Vec<Fault>> {
        let faults = faults_of_batch(&json);
        if !faults.is_empty() {
            return Err(faults);
        }
        let form = Self::deserialize(json).map_err(|error| vec![Fault::new("", error.to_string())])?;
        let (mut operations, mut faults) = (Vec::with_capacity(form.operations.len()), Vec::new());
        for (index, operation) in form.operations.into_iter().enumerate() {
            match operation.read(base) {
                Ok(operation) => operations.push(operation),
                Err((member, detail)) => faults.push(Fault::new(format!("/operations/{index}/{member}"), detail)),
            }
        }
        if faults.is_empty() {
            Ok((operations, form.atomic))
        } else {
            Err(faults)
        }
    }
}

impl OperationForm {
    /// Or which member is wrong, and what is allowed.
    fn read(self, base: &str) -> Result<Operation, (&'static str, String)> {
        let path = self.path.strip_prefix(base).unwrap_or(&self.path);
        let segments: Vec<&str> = path.split('/').collect();
        let sensor = |sensor: &str| sensor.parse::<SensorRef>().map_err(|_| ("path", PATHS.to_owned()));
        let (verb, methods) = match (&segments[..], self.method.as_str()) {
            (["", "sensors"], method) => ((method == "POST").then_some(Verb::Create), "POST"),
            (["", "sensors", name], method) => {
                let sensor = sensor(name)?;
                let verb = match method {
                    "PUT" => Some(Verb::Replace(sensor)),
                    "PATCH" => Some(Verb::Patch(sensor)),
                    "DELETE" => Some(Verb::Delete(sensor)),
                    _ => None,
                };
                (verb, "PUT, PATCH or DELETE")
            }
            (["", "sensors", name, "value"], method) => {
                let sensor = sensor(name)?;
                ((method == "PUT").then_some(Verb::Report(sensor)), "PUT")
            }
            _ => return Err(("path", PATHS.to_owned())),
        };
        let verb = verb.ok_or_else(|| {
            (
                "method",
                format!("must be {methods} in an operation whose path is {path}"),
            )
        })?;
        Ok(Operation {
            verb,
            path: self.path,
            headers: self.headers,
            body: self.body,
        })
    }
}

fn faults_of_batch(json: &Json) -> Vec<Fault> {
    let Some(members) = json.as_object() else {
        return vec![Fault::new("", "must be a JSON object")];
    };
    let mut faults = Vec::new();
    if members.get("atomic").is_some_and(|atomic| !atomic.is_boolean()) {
        faults.push(Fault::new("/atomic", "must be true or false"));
    }
    let operations = members.get("operations").and_then(Json::as_array);
    let operations = operations.filter(|operations| (1..=MAX_OPERATIONS).contains(&operations.len()));
    if operations.is_none() {
        let detail = format!("must be an array of 1 to {MAX_OPERATIONS} operations");
        faults.push(Fault::new("/operations", detail));
    }
    faults.extend(unknown(members, "a batch", &["operations", "atomic"]));
    for (index, operation) in operations.into_iter().flatten().enumerate() {
        let within = |fault: Fault| Fault::new(format!("/operations/{index}{}", fault.pointer), fault.detail);
        faults.extend(faults_of_operation(operation).into_iter().map(within));
    }
    faults
}

fn faults_of_operation(json: &Json) -> Vec<Fault> {
    let Some(members) = json.as_object() else {
        let detail = "must be an object with method and path, and where needed headers and body";
        return vec![Fault::new("", detail)];
    };
    let mut faults = Vec::new();
    if !members.get("method").is_some_and(Json::is_string) {
        faults.push(Fault::new("/method", "must be POST, PUT, PATCH or DELETE"));
    }
    if !members.get("path").is_some_and(Json::is_string) {
        faults.push(Fault::new("/path", PATHS));
    }
    match members.get("headers") {
        None => {}
        Some(Json::Object(headers)) => {
            let others = headers
                .iter()
                .filter(|(_, value)| !value.is_string())
                .take(Fault::MAX_COUNT);
            let pointers = others.map(|(name, _)| format!("/headers/{}", escape(name)));
            faults.extend(pointers.map(|pointer| Fault::new(pointer, "must be text")));
        }
        Some(_) => faults.push(Fault::new("/headers", "must be an object of texts")),
    }
    faults.extend(unknown(members, "an operation", &["method", "path", "headers", "body"]));
    faults
}

fn unknown(members: &Map<String, Json>, whose: &str, known: &[&str]) -> impl Iterator<Item = Fault> {
    let detail = format!("is not a member of {whose}; there are {}", known.join(", "));
    let others = members.keys().filter(|key| !known.contains(&key.as_str()));
    let others = others.take(Fault::MAX_COUNT);
    others.map(move |key| Fault::new(format!("/{}", escape(key)), detail.clone()))
}

/// `null` is a body.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

const fn yes() -> bool {
    true
}

impl Operation {
    /// Its headers, as a request by itself would have them.
    ///
    /// # Errors
    /// 400 for what is no header, or not one of an operation.
    pub fn headers(&self) -> Result<HeaderMap, Problem> {
        header_map(&self.headers)
    }

    /// The write that it asks for, with these headers of it: what its request by itself would be.
    ///
    /// # Errors
    /// What keeps it from being one, in the order of the checks.
    pub fn plan(self, headers: &HeaderMap, state: &HttpState) -> Result<Plan, Problem> {
        let Self { verb, body, .. } = self;
        let precondition = conditional::of_write(headers, state);
        Ok(match verb {
            Verb::Create => create::plan(precondition, input::<Post>(headers, body)?),
            Verb::Replace(sensor) => replace::plan(sensor, precondition, input::<Put>(headers, body)?),
            Verb::Patch(sensor) => patch::plan(sensor, precondition, input::<Patch>(headers, body)?, state),
            Verb::Delete(sensor) => delete::plan(sensor, precondition),
            Verb::Report(sensor) => value::plan(sensor, precondition, input::<Report>(headers, body)?),
        })
    }
}

fn header_map(members: &Map<String, Json>) -> Result<HeaderMap, Problem> {
    let malformed = |name: &str, detail: &str| Problem::new(&problem::MALFORMED_REQUEST, format!("{name}: {detail}"));
    let mut headers = HeaderMap::new();
    for (name, value) in members {
        let field = HeaderName::try_from(name.as_str()).map_err(|_| malformed(name, "is no name of a header"))?;
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        let value = value.ok_or_else(|| malformed(name, "must be the text of a header"))?;
        if field == IDEMPOTENCY_KEY {
            return Err(malformed(name, "belongs to the whole batch, not to an operation"));
        }
        if headers.contains_key(&field) {
            return Err(malformed(name, "is there twice"));
        }
        headers.insert(field, value);
    }
    Ok(headers)
}

fn input<T: BodyType>(headers: &HeaderMap, body: Option<Json>) -> Result<Input, Problem> {
    let says = |name| headers.contains_key(name);
    let media_type = if says(header::CONTENT_TYPE) || says(header::CONTENT_ENCODING) {
        media_type_of(headers, T::MEDIA_TYPES, T::ADVERTISE)?
    } else {
        T::MEDIA_TYPES[0]
    };
    let missing = || Problem::new(&problem::MALFORMED_REQUEST, "body: the operation needs one");
    let json = match body {
        Some(Json::String(text)) if media_type == PLAIN_TEXT => scalar(text.as_bytes()),
        Some(_) if media_type == PLAIN_TEXT => {
            let detail = "body: of text/plain it has to be a JSON string";
            Err(Problem::new(&problem::MALFORMED_REQUEST, detail))
        }
        body => body.ok_or_else(missing),
    };
    Ok(Input { media_type, json })
}
