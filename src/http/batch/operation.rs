use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::MAX_OPERATIONS;
use crate::domain::{Fault, SensorRef};
use crate::http::extract::{BodyType, Input, PLAIN_TEXT, Patch, Post, Put, Report, not_a_sensor, scalar};
use crate::http::idempotency::IDEMPOTENCY_KEY;
use crate::http::negotiation::media_type_of;
use crate::http::problem::{self, Problem};
use crate::http::sensors::write::Plan;
use crate::http::sensors::{create, delete, patch, replace, value};
use crate::http::{HttpState, conditional};

/// The body of a batch.
#[derive(Debug, ToSchema)]
#[schema(as = Batch)]
pub struct BatchForm {
    /// What to do, in this order.
    #[schema(min_items = 1, max_items = 500)]
    pub operations: Vec<Operation>,
    /// Whether all are undone when one cannot be done.
    #[schema(default = true, required = false)]
    pub atomic: bool,
}

/// A write as it would be sent by itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BatchOperation)]
pub struct Operation {
    /// POST, PUT, PATCH or DELETE.
    #[schema(pattern = "^(POST|PUT|PATCH|DELETE)$", example = "PUT")]
    method: String,
    /// `/sensors`, `/sensors/{sensor}` or `/sensors/{sensor}/value`; or the whole URL, as links have it.
    #[schema(
        pattern = "^/sensors(/[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/value)?)?$",
        example = "/sensors/boiler-temp"
    )]
    pub path: String,
    /// The headers that mean something to the write: preconditions, and `Content-Type` where it is not the usual one.
    #[serde(default)]
    #[schema(value_type = Object, required = false, example = json!({"If-Match": "*"}))]
    headers: Map<String, Json>,
    /// The body: JSON, or a text that is text/plain.
    #[serde(default)]
    #[schema(required = false)]
    body: Option<Json>,
}

impl BatchForm {
    /// Reads a batch.
    ///
    /// # Errors
    /// Every fault of its form; what the operations ask for is judged when their turn comes.
    pub fn read(json: Json) -> Result<Self, Vec<Fault>> {
        let Json::Object(mut members) = json else {
            return Err(vec![Fault::new("", "must be a JSON object")]);
        };
        let mut faults = Vec::new();
        let atomic = match members.remove("atomic") {
            None => true,
            Some(Json::Bool(atomic)) => atomic,
            Some(_) => {
                faults.push(Fault::new("/atomic", "must be true or false"));
                true
            }
        };
        let elements = match members.remove("operations") {
            Some(Json::Array(elements)) if (1..=MAX_OPERATIONS).contains(&elements.len()) => elements,
            _ => {
                let detail = format!("must be an array of 1 to {MAX_OPERATIONS} operations");
                faults.push(Fault::new("/operations", detail));
                Vec::new()
            }
        };
        faults.extend(members.keys().map(|key| {
            let pointer = format!("/{}", crate::domain::escape(key));
            Fault::new(pointer, "is not a member of a batch; there are operations and atomic")
        }));
        let mut operations = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            match Operation::deserialize(element) {
                Ok(operation) => operations.push(operation),
                // Serde speaks of fields.
                Err(error) => faults.push(Fault::new(
                    format!("/operations/{index}"),
                    format!("is no operation: {}", error.to_string().replace("field", "member")),
                )),
            }
        }
        if faults.is_empty() {
            Ok(Self { operations, atomic })
        } else {
            Err(faults)
        }
    }
}

impl Operation {
    /// The write that it asks for: what its request by itself would be.
    ///
    /// # Errors
    /// What keeps it from being one, in the order of the checks.
    pub fn plan(self, state: &HttpState) -> Result<Plan, Problem> {
        let base = state.links().url("");
        let path = self.path.strip_prefix(&base).unwrap_or(&self.path).to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        let target = |sensor: &str| sensor.parse::<SensorRef>().map_err(|_| not_a_sensor());
        let method = self.method.clone();
        match (&segments[..], method.as_str()) {
            (["", "sensors"], "POST") => {
                self.headers()?;
                Ok(create::plan(self.input::<Post>()?))
            }
            (["", "sensors", sensor], "PUT") => {
                let target = target(sensor)?;
                let precondition = conditional::of_write(&self.headers()?, state);
                Ok(replace::plan(target, precondition, self.input::<Put>()?))
            }
            (["", "sensors", sensor], "PATCH") => {
                let target = target(sensor)?;
                let precondition = conditional::of_write(&self.headers()?, state);
                Ok(patch::plan(target, precondition, self.input::<Patch>()?, state))
            }
            (["", "sensors", sensor], "DELETE") => {
                let target = target(sensor)?;
                Ok(delete::plan(target, conditional::of_write(&self.headers()?, state)))
            }
            (["", "sensors", sensor, "value"], "PUT") => {
                let target = target(sensor)?;
                let precondition = conditional::of_write(&self.headers()?, state);
                Ok(value::plan(target, precondition, self.input::<Report>()?))
            }
            (["", "sensors"] | ["", "sensors", _] | ["", "sensors", _, "value"], _) => Err(Problem::new(
                &problem::MALFORMED_REQUEST,
                format!("{method} {path} is none of the writes that a batch can have"),
            )),
            _ => Err(Problem::new(
                &problem::NOT_FOUND,
                format!("a batch writes sensors; {path} is none"),
            )),
        }
    }

    fn headers(&self) -> Result<HeaderMap, Problem> {
        let malformed =
            |name: &str, detail: &str| Problem::new(&problem::MALFORMED_REQUEST, format!("{name}: {detail}"));
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let field = HeaderName::try_from(name.as_str()).map_err(|_| malformed(name, "is no name of a header"))?;
            let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
            let value = value.ok_or_else(|| malformed(name, "must be the text of a header"))?;
            if field == IDEMPOTENCY_KEY {
                return Err(malformed(name, "is for requests by themselves"));
            }
            if headers.contains_key(&field) {
                return Err(malformed(name, "is there twice"));
            }
            headers.insert(field, value);
        }
        Ok(headers)
    }

    fn input<T: BodyType>(self) -> Result<Input, Problem> {
        let headers = self.headers()?;
        let media_type = if headers.contains_key(header::CONTENT_TYPE) {
            media_type_of(&headers, T::MEDIA_TYPES, T::ADVERTISE)?
        } else {
            T::MEDIA_TYPES[0]
        };
        let missing = || Problem::new(&problem::MALFORMED_JSON, "the operation has no body");
        let json = match self.body {
            Some(Json::String(text)) if media_type == PLAIN_TEXT => scalar(text.as_bytes()),
            Some(_) if media_type == PLAIN_TEXT => {
                Err(Problem::new(&problem::MALFORMED_REQUEST, "text/plain is a text"))
            }
            body => body.ok_or_else(missing),
        };
        Ok(Input { media_type, json })
    }
}
