//! What a client can ask of the list.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::json;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

use crate::domain::{
    BoundingBox, Center, Circle, Epoch, Filter, Label, Listing, Metadata, NamePattern, Order, Start, Timestamp,
    finite_number, number_text,
};
use crate::http::extract::{digits, instant, parse_query, parsed, query_pairs};
use crate::http::problem::{self, Problem};
use crate::wire::page::Fields;
use crate::wire::representation::{LabelForm, StatusForm};

const DEFAULT_LIMIT: u32 = 50;
const DEFAULT_RADIUS_M: f64 = 1_000.0;
/// What stands before the key of a member of `metadata` in the name of a parameter.
const METADATA: &str = "metadata.";
/// What stands in a query as it is (RFC 3986 §3.4), but for `&`, `=`, `+` and what some clients encode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'_')
    .remove(b'-')
    .remove(b'~')
    .remove(b',')
    .remove(b':')
    .remove(b'*');

/// The parameters of the list, but for those that begin with `metadata.`.
#[derive(Debug, Default, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// The most sensors in a page.
    #[serde(deserialize_with = "digits")]
    #[validate(range(min = 1, max = 500, message = "must be 1 to 500"))]
    #[param(minimum = 1, maximum = 500, default = 50, nullable = false, example = 50)]
    limit: Option<u32>,
    /// Where the page starts; from the `next` or `prev` link of a page with the same `sort`.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^([a-z2-7]{8}[.])?(before~)?(id~[0-9a-fA-F-]{36}|name~[A-Za-z0-9][A-Za-z0-9._-]{0,63}|created_at~-?[0-9]{1,15}~[0-9a-fA-F-]{36}|updated_at~-?[0-9]{1,15}~[1-9][0-9]{0,17}|value~-?(0|[1-9][0-9]{0,15})([.][0-9]{1,17})?(e[+-]?[1-9][0-9]{0,2})?~[0-9a-fA-F-]{36})$", nullable = false, example = "name~boiler-0")]
    cursor: Option<PageCursor>,
    /// The order: `id`, `name`, `created_at`, `updated_at` or `value`, with a `-` before it for descending. `value` lists only
    /// the sensors whose value is a number.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^-?(id|name|created_at|updated_at|value)$", default = "id", nullable = false, example = "name")]
    sort: Option<Order>,
    /// The members of a sensor to show, with commas between them; all by default.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^(id|name|kind|unit|value|measured_at|status|location|metadata|revision|created_at|updated_at|links)(,(id|name|kind|unit|value|measured_at|status|location|metadata|revision|created_at|updated_at|links))*$", nullable = false, example = "id,name,value,links")]
    fields: Option<Fields>,
    /// `exact` counts all sensors that match the filters; the more match, the more it costs.
    #[param(inline, nullable = false)]
    count: Option<CountForm>,
    /// The name; or, with an asterisk at the end, what the name begins with.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}[*]?$", nullable = false, example = "boiler-*")]
    name: Option<NamePattern>,
    /// The kind.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<LabelForm>, nullable = false, example = "temperature")]
    kind: Option<Label>,
    /// The unit.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<LabelForm>, nullable = false, example = "Cel")]
    unit: Option<Label>,
    /// The status.
    #[param(nullable = false, example = "active")]
    status: Option<StatusForm>,
    /// The value is a number, and at least this.
    #[serde(deserialize_with = "number")]
    #[param(nullable = false, example = 18.5)]
    value_min: Option<f64>,
    /// The value is a number, and at most this.
    #[serde(deserialize_with = "number")]
    #[param(nullable = false, example = 24)]
    value_max: Option<f64>,
    /// `updated_at` is this instant or later: RFC 3339, a `+` in it written as `%2B`.
    #[serde(deserialize_with = "instant")]
    #[param(value_type = Option<String>, format = "date-time", nullable = false, example = "2026-11-22T00:00:00Z")]
    updated_since: Option<Timestamp>,
    /// The location is in this box: west,south,east,north in degrees (RFC 7946). With west greater than east it lies across the
    /// antimeridian.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^-?(180([.]0+)?|(1[0-7][0-9]|[1-9]?[0-9])([.][0-9]+)?),-?(90([.]0+)?|[1-8]?[0-9]([.][0-9]+)?),-?(180([.]0+)?|(1[0-7][0-9]|[1-9]?[0-9])([.][0-9]+)?),-?(90([.]0+)?|[1-8]?[0-9]([.][0-9]+)?)$", nullable = false, example = "12.3,41.7,12.7,42.1")]
    bbox: Option<BoundingBox>,
    /// The location is at most `radius_m` from this one: longitude,latitude in degrees. The distance is along the shortest line
    /// on the WGS 84 ellipsoid. A page can have fewer sensors than `limit`, even none, and a `next` link all the same.
    #[serde(deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^-?(180([.]0+)?|(1[0-7][0-9]|[1-9]?[0-9])([.][0-9]+)?),-?(90([.]0+)?|[1-8]?[0-9]([.][0-9]+)?)$", nullable = false, example = "12.4924,41.8902")]
    near: Option<Center>,
    /// The radius around `near`, in metres; 1,000 by default. Allowed only with `near`.
    // No `default` of the schema: generated clients send that, and without `near` it is refused.
    #[serde(deserialize_with = "number")]
    #[param(minimum = 0, maximum = 20_037_509, nullable = false, example = 5000)]
    radius_m: Option<f64>,
}

/// What `count` can be.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CountForm {
    /// All of them.
    Exact,
}

/// The parameters of the list whose names a client makes: `metadata.` and a key.
#[derive(Debug)]
pub struct MetadataParameters;

impl IntoParams for MetadataParameters {
    /// One parameter that is an object, each member of which is a parameter of the URL: the only way in which the document can
    /// speak of names that it does not know.
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let name = text().pattern(Some(format!("^metadata[.].{{1,{}}}$", Filter::MAX_METADATA_CHARS)));
        let value = text()
            .max_length(Some(Filter::MAX_METADATA_CHARS))
            .pattern(Some(Metadata::TEXT_PATTERN));
        let schema = ObjectBuilder::new()
            .property_names(Some(name))
            .additional_properties(Some(value))
            .max_properties(Some(Filter::MAX_METADATA_MEMBERS));
        let parameter = ParameterBuilder::new()
            .name("metadata")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .style(Some(ParameterStyle::Form))
            .explode(Some(true))
            .description(Some(
                "Members of `metadata`, each as a parameter of its own, `metadata.KEY=VALUE`: a text, or a number or boolean as JSON \
                 writes it. At most 8; keys and values of at most 256 characters; nested members are not searched.",
            ))
            .schema(Some(schema))
            .example(Some(json!({"metadata.room": "cellar"})));
        vec![parameter.build()]
    }
}

/// Where a page starts, and the epoch in which the link was made: `{epoch}.{place}`. A place alone belongs to the present epoch.
#[derive(Debug, Clone)]
struct PageCursor {
    epoch: Option<Epoch>,
    start: Start,
}

impl FromStr for PageCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // No place begins with what could be an epoch.
        let parts = text.split_once('.');
        let parts = parts.and_then(|(epoch, place)| Some((epoch.parse().ok()?, place)));
        let (epoch, place) = parts.map_or((None, text), |(epoch, place)| (Some(epoch), place));
        Ok(Self {
            epoch,
            start: place.parse()?,
        })
    }
}

/// What a request asks of the list.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// The page.
    pub listing: Listing,
    /// The life of the store that its start is of, when that was said.
    pub epoch: Option<Epoch>,
    /// The members that are shown of each sensor; all when nothing is said.
    pub fields: Option<Fields>,
}

impl FromRequest for ListRequest {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = Self::read(request.query_string());
        ready(read.map_err(|detail| Problem::new(&problem::MALFORMED_REQUEST, detail)))
    }
}

impl ListRequest {
    fn read(query: &str) -> Result<Self, String> {
        let is_metadata = |pair: &&str| name_of(pair).starts_with(METADATA);
        let (metadata, others): (Vec<_>, Vec<_>) = query.split('&').partition(is_metadata);
        // Serde cannot list names that clients make.
        let parameters: Result<ListParameters, _> = parse_query(&others.join("&")).map_err(|faults| {
            faults.replace(
                "no such parameter, expected",
                "no such parameter, expected `metadata.KEY` or",
            )
        });
        match (parameters, read_metadata(&metadata.join("&"))) {
            (Ok(parameters), Ok(metadata)) => parameters.into_request(metadata),
            (parameters, metadata) => {
                let faults = [parameters.err(), metadata.err()];
                Err(faults.into_iter().flatten().collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// Checks that rows of sensors alone, which CSV has, are an answer.
    ///
    /// # Errors
    /// 400 when more is asked for.
    pub fn require_rows(&self) -> Result<(), Problem> {
        let asks_for_links = self.fields.as_ref().is_some_and(|fields| fields.contains("links"));
        let has_none = |parameter: &str, what: &str| {
            let detail = format!("{parameter}: CSV has no {what}; ask for JSON, HAL or XML");
            Err(Problem::new(&problem::MALFORMED_REQUEST, detail))
        };
        match (self.listing.count, asks_for_links) {
            (true, _) => has_none("count", "place for the number of all sensors"),
            (_, true) => has_none("fields", "links"),
            (false, false) => Ok(()),
        }
    }

    /// The same question as a query string, in one order and spelling, for the page that begins at `start` in this epoch.
    #[must_use]
    pub fn query_string(&self, start: Option<&Start>, epoch: &Epoch) -> String {
        let Listing {
            filter,
            order,
            limit,
            count,
            start: _,
        } = &self.listing;
        let mut query = format!("limit={limit}");
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let value = utf8_percent_encode(&value, ENCODED);
                // Writing to a String never fails.
                let _ = write!(query, "&{}={value}", utf8_percent_encode(name, ENCODED));
            }
        };
        let numbers = |numbers: &[f64]| numbers.iter().copied().map(number_text).collect::<Vec<_>>().join(",");
        add("sort", (*order != Order::default()).then(|| order.to_string()));
        add("name", filter.name.as_ref().map(ToString::to_string));
        add("kind", filter.kind.as_ref().map(|kind| kind.as_str().to_owned()));
        add("unit", filter.unit.as_ref().map(|unit| unit.as_str().to_owned()));
        add("status", filter.status.map(|status| status.as_str().to_owned()));
        for (key, value) in &filter.metadata {
            add(&format!("{METADATA}{key}"), Some(value.clone()));
        }
        add("value_min", filter.value_min.map(number_text));
        add("value_max", filter.value_max.map(number_text));
        add("updated_since", filter.updated_since.map(|instant| instant.to_string()));
        add("bbox", filter.bbox.map(|bbox| numbers(&bbox.edges())));
        add("near", filter.near.map(|circle| numbers(&circle.center().position())));
        add("radius_m", filter.near.map(|circle| number_text(circle.radius_m())));
        add("fields", self.fields.as_ref().map(ToString::to_string));
        add("count", count.then(|| "exact".to_owned()));
        add("cursor", start.map(|start| format!("{epoch}.{start}")));
        query
    }
}

impl ListParameters {
    fn into_request(self, metadata: BTreeMap<String, String>) -> Result<ListRequest, String> {
        let order = self.sort.unwrap_or_default();
        let (epoch, start) = self.cursor.map(|cursor| (cursor.epoch, cursor.start)).unzip();
        let epoch = epoch.flatten();
        let elsewhere = |start: &Start| start.position().sort_key() != order.by;
        if start.as_ref().is_some_and(elsewhere) {
            return Err(format!(
                "cursor: it belongs to another sort than {order}; take it from a link"
            ));
        }
        if self
            .value_min
            .zip(self.value_max)
            .is_some_and(|(least, most)| least > most)
        {
            return Err("value_min, value_max: no value is at least the one and at most the other".to_owned());
        }
        let near = match (self.near, self.radius_m) {
            (None, Some(_)) => return Err("radius_m: it needs near, from where it is measured".to_owned()),
            (None, None) => None,
            (Some(center), radius_m) => {
                let circle = Circle::new(center, radius_m.unwrap_or(DEFAULT_RADIUS_M));
                let problem = || format!("radius_m: must be 0 to {} metres", Circle::MAX_RADIUS_M);
                Some(circle.ok_or_else(problem)?)
            }
        };
        let filter = Filter {
            name: self.name,
            kind: self.kind,
            unit: self.unit,
            status: self.status.map(Into::into),
            metadata,
            value_min: self.value_min,
            value_max: self.value_max,
            updated_since: self.updated_since,
            bbox: self.bbox,
            near,
        };
        let listing = Listing {
            filter,
            order,
            start,
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
            count: self.count.is_some(),
        };
        Ok(ListRequest {
            listing,
            epoch,
            fields: self.fields,
        })
    }
}

fn read_metadata(query: &str) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    for (name, value) in query_pairs(query)? {
        let key = name.strip_prefix(METADATA).unwrap_or_default();
        let is_length = |length: usize| (1..=Filter::MAX_METADATA_CHARS).contains(&length);
        if !is_length(key.chars().count()) || !is_length(value.chars().count().max(1)) {
            return Err(format!(
                "{name}: a key has 1 to {0} characters, a value at most {0}",
                Filter::MAX_METADATA_CHARS
            ));
        }
        if metadata.insert(key.to_owned(), value.into_owned()).is_some() {
            return Err(format!("{name}: it is there twice"));
        }
    }
    if metadata.len() > Filter::MAX_METADATA_MEMBERS {
        return Err(format!(
            "{METADATA}KEY: at most {} members can be looked for at once",
            Filter::MAX_METADATA_MEMBERS
        ));
    }
    Ok(metadata)
}

/// The decoded name of a parameter, by which those that begin with `metadata.` are recognized.
fn name_of(pair: &str) -> Cow<'_, str> {
    let name = pair.split('=').next().unwrap_or_default();
    percent_decode_str(name).decode_utf8_lossy()
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = finite_number(&text).map(Some);
    number.ok_or_else(|| D::Error::custom("must be a number as JSON writes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_one_spelling() {
        let canonical = "limit=7&sort=-value&name=b*&kind=a%26b%20c&unit=%2525&status=inactive&metadata.a.b=x&metadata.room%3D=%C3%A9\
                         &value_min=-1.5&value_max=20&updated_since=2026-11-22T11:00:00.000Z&bbox=170,-10.5,-170,10&near=12.5,41\
                         &radius_m=1000&fields=id,value&count=exact&cursor=k3f7q2vt.value~1.5~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90";
        let epoch = "k3f7q2vt".parse().unwrap();
        let request = ListRequest::read(canonical).unwrap();
        assert_eq!(request.query_string(request.listing.start.as_ref(), &epoch), canonical);
        let other = "cursor=k3f7q2vt.value~15e-1~01936F0E-7C1B-7D61-9D0E-2F1C3B5A7E90&count=exact&fields=value,id&near=12.50,41.0&bbox=170,-10.5,-170,1e1\
                     &updated_since=2026-11-22T12:00:00.0009%2B01:00&value_max=20.0&value_min=-15e-1&metadata.room%3d=%c3%a9&metadata%2Ea.b=x\
                     &status=inactive&unit=%2525&kind=a%26b+c&name=b%2A&sort=-value&limit=07";
        let request = ListRequest::read(other).unwrap();
        assert_eq!(request.query_string(request.listing.start.as_ref(), &epoch), canonical);
    }
}
