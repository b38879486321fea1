//! A sensor as JSON: what GET returns, events carry and the store keeps.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value as Json, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::link::{Link, LinkBase};
use super::members::Members;
use crate::domain::{Label, Metadata, Sensor, SensorId, SensorName, Status, Timestamp, Value, canonical_number};

/// A sensor. Members that are not set are left out, never `null`.
///
/// The order of the members is the order in which they are written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sensor)]
pub struct SensorForm {
    /// The identity, for ever: a UUID.
    #[schema(format = "uuid", example = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90")]
    pub id: String,
    /// The facts that clients decide.
    #[serde(flatten)]
    pub properties: PropertiesForm,
    /// The revision of its last change; the ETag is `"{epoch}.{revision}"`, with a suffix when the answer is compressed.
    #[schema(minimum = 1, example = 42)]
    pub revision: i64,
    /// When it was created: RFC 3339, UTC, milliseconds.
    #[schema(format = "date-time", example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
    /// When it was last changed: RFC 3339, UTC, milliseconds.
    #[schema(format = "date-time", example = "2026-11-22T11:00:00.123Z")]
    pub updated_at: String,
    /// What can be done next; depends on the state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = true)]
    pub links: Vec<Link>,
}

/// What clients decide of a sensor, as JSON.
#[derive(Debug, Serialize, ToSchema, PartialEq)]
#[schema(as = SensorProperties)]
pub struct PropertiesForm {
    /// Unique: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit, never UUID-shaped.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "boiler-temp")]
    pub name: String,
    /// What is measured: 1 to 64 bytes of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LabelForm, nullable = false, required = false)]
    pub kind: Option<String>,
    /// The unit of the value, as a UCUM or SenML (RFC 8428) code: 1 to 64 bytes of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LabelForm, nullable = false, required = false)]
    pub unit: Option<String>,
    /// What was last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<ValueForm>,
    /// When the value was measured: RFC 3339. Set to now when the value changes and none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time", nullable = false, example = "2026-11-22T11:00:00.000Z")]
    pub measured_at: Option<String>,
    /// Whether it reports; while it stays inactive its value does not change.
    pub status: StatusForm,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub location: Option<LocationForm>,
    /// Anything else: a JSON object of at most 16 KiB and 8 levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "write_metadata")]
    #[schema(value_type = MetadataForm, nullable = false, required = false)]
    pub metadata: Option<Metadata>,
}

/// A JSON scalar: a finite number (an integer within ±2^53), a boolean, or text of at most 1 KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ValueForm {
    /// A measurement.
    Number(serde_json::Number),
    /// A state that is or is not.
    Boolean(bool),
    /// Anything that is said in words.
    Text(String),
}

// By hand, because the derive has no word for "any number".
impl PartialSchema for ValueForm {
    fn schema() -> RefOr<Schema> {
        let kinds = SchemaType::from_iter([Type::Number, Type::Boolean, Type::String]);
        ObjectBuilder::new()
            .schema_type(kinds)
            .max_length(Some(Value::MAX_TEXT_BYTES))
            .pattern(Some(Value::TEXT_PATTERN))
            .description(Some(
                "A JSON scalar: a finite number (an integer within ±2^53), a boolean, or text of at most 1 KiB.",
            ))
            .examples([21.5])
            .into()
    }
}

impl ToSchema for ValueForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorValue")
    }
}

/// A value as plain text.
#[derive(Debug)]
pub struct PlainValueForm;

impl PartialSchema for PlainValueForm {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(Value::MAX_TEXT_BYTES))
            .pattern(Some(Value::TEXT_PATTERN))
            .description(Some(
                "A value as plain text: a JSON number or boolean is taken as that, anything else as text of at most 1 KiB.",
            ))
            .examples(["21.5", "open"])
            .into()
    }
}

impl ToSchema for PlainValueForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PlainValue")
    }
}

/// Whether a sensor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SensorStatus)]
pub enum StatusForm {
    /// It reports.
    Active,
    /// It does not.
    Inactive,
}

impl From<Status> for StatusForm {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Inactive => Self::Inactive,
        }
    }
}

impl From<StatusForm> for Status {
    fn from(form: StatusForm) -> Self {
        match form {
            StatusForm::Active => Self::Active,
            StatusForm::Inactive => Self::Inactive,
        }
    }
}

/// A GeoJSON Point (RFC 7946): longitude, latitude, and optionally altitude in metres; WGS 84.
#[derive(Debug, Clone, Serialize, ToSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schema(as = SensorLocation)]
pub struct LocationForm {
    /// Always `Point`.
    #[serde(rename = "type")]
    pub geometry: GeometryForm,
    /// A position (RFC 7946 §3.1.1): longitude (-180 to 180), latitude (-90 to 90) and, where it is known, altitude in metres.
    // Without a schema of each: generators of clients take one for a tuple that always has an altitude.
    #[schema(value_type = Vec<f64>, min_items = 2, max_items = 3, example = json!([12.4924, 41.8902]))]
    pub coordinates: Vec<Number>,
}

/// The one GeoJSON geometry that a sensor's location can be.
#[derive(Debug, Clone, Copy, Serialize, ToSchema, PartialEq)]
#[schema(as = GeometryType)]
pub enum GeometryForm {
    /// A single position.
    Point,
}

/// What `kind` and `unit` can be.
#[derive(Debug)]
pub struct LabelForm;

impl PartialSchema for LabelForm {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(Label::MAX_BYTES))
            .pattern(Some(Label::PATTERN))
            .description(Some(
                "1 to 64 bytes of UTF-8 without control characters and noncharacters.",
            ))
            .examples(["temperature", "Cel"])
            .into()
    }
}

impl ToSchema for LabelForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorLabel")
    }
}

/// What `metadata` can be.
#[derive(Debug)]
pub struct MetadataForm;

impl PartialSchema for MetadataForm {
    fn schema() -> RefOr<Schema> {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(Metadata::TEXT_PATTERN));
        // What is nested is told in words: a schema that contains itself is more than some generators of clients take.
        let anything = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .pattern(Some(Metadata::TEXT_PATTERN))
            .description(Some(
                "Any JSON, objects and arrays included, without control characters and noncharacters in its texts, an integer being within ±2^53.",
            ));
        ObjectBuilder::new()
            .property_names(Some(key))
            .additional_properties(Some(anything))
            .description(Some(
                "At most 16 KiB of compact JSON and 8 levels deep; a `null` member counts as absent.",
            ))
            .examples([json!({"room": "cellar", "owner": "facility"})])
            .into()
    }
}

impl ToSchema for MetadataForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorMetadata")
    }
}

/// The representation without its links: compact JSON, the bytes that the store keeps.
///
/// # Errors
/// Never in practice: every part of it is JSON already.
pub fn document(sensor: &Sensor) -> serde_json::Result<String> {
    serde_json::to_string(&form(sensor, Vec::new()))
}

/// What the document of a sensor begins with: the two members that tell it from all others.
#[must_use]
pub fn document_head(id: SensorId, name: &SensorName) -> String {
    // A name needs no escapes.
    format!(r#"{{"id":"{id}","name":"{name}""#)
}

/// The whole representation, from the document that [`document`] wrote.
#[must_use]
pub fn representation(document: &str, id: &str, status: Status, links: &LinkBase) -> String {
    let members = document.strip_suffix('}').unwrap_or(document);
    let pieces = [members, r#","links":"#].into_iter();
    let pieces = pieces.chain(links.json_of_sensor(id, status)).chain(["}"]);
    // Every GET makes one: at once as long as it will be.
    let mut json = String::with_capacity(pieces.clone().map(str::len).sum());
    json.extend(pieces);
    json
}

/// When the sensor became what a document or a representation shows.
#[must_use]
pub fn updated_at(document: &[u8]) -> Option<Timestamp> {
    const NAME: &[u8] = br#","updated_at":""#;
    const LENGTH: usize = "2026-11-22T11:00:00.123Z".len();
    // From the end, because metadata may have a member of that name; the links have none.
    let name = document.windows(NAME.len()).rposition(|bytes| bytes == NAME)?;
    let start = name + NAME.len();
    std::str::from_utf8(document.get(start..start + LENGTH)?)
        .ok()?
        .parse()
        .ok()
}

/// The value that a representation shows, in its own bytes.
///
/// # Errors
/// When it is none that [`representation`] wrote.
pub fn value(representation: &[u8]) -> serde_json::Result<Option<&RawValue>> {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        value: Option<&'a RawValue>,
    }
    serde_json::from_slice(representation).map(|shown: Shown<'_>| shown.value)
}

/// The representation as a tree, to find what changed.
///
/// # Errors
/// Never in practice, as with [`document`].
pub fn tree(sensor: &Sensor, links: &LinkBase) -> serde_json::Result<Map<String, Json>> {
    let links = links.of_sensor(sensor.id, sensor.properties.status);
    match serde_json::to_value(form(sensor, links))? {
        Json::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// What clients decide, as a tree for a merge patch to be applied to; without `measured_at`, whose absence in a patch
/// means something of its own.
///
/// # Errors
/// Never in practice, as with [`document`].
pub fn writable_tree(sensor: &Sensor) -> serde_json::Result<Json> {
    serde_json::to_value(PropertiesForm {
        measured_at: None,
        ..properties_form(sensor)
    })
}

/// The names of all members of a sensor but the links, in the order in which they are written.
///
/// # Errors
/// Never in practice, as with [`document`].
pub fn member_names() -> serde_json::Result<Vec<String>> {
    let label = || Some(String::new());
    let all = SensorForm {
        id: String::new(),
        properties: PropertiesForm {
            name: String::new(),
            kind: label(),
            unit: label(),
            value: Some(ValueForm::Boolean(true)),
            measured_at: label(),
            status: StatusForm::Active,
            location: Some(LocationForm {
                geometry: GeometryForm::Point,
                coordinates: Vec::new(),
            }),
            metadata: Some(Metadata::default()),
        },
        revision: 0,
        created_at: String::new(),
        updated_at: String::new(),
        links: Vec::new(),
    };
    let json = serde_json::to_vec(&all)?;
    let members = Members::read(&json)?;
    Ok(members.iter().map(|(name, _)| name.to_owned()).collect())
}

fn form(sensor: &Sensor, links: Vec<Link>) -> SensorForm {
    SensorForm {
        id: sensor.id.to_string(),
        properties: properties_form(sensor),
        revision: sensor.revision.get(),
        created_at: sensor.created_at.to_string(),
        updated_at: sensor.updated_at.to_string(),
        links,
    }
}

pub(super) fn properties_form(sensor: &Sensor) -> PropertiesForm {
    let properties = &sensor.properties;
    PropertiesForm {
        name: properties.name.to_string(),
        kind: properties.kind.as_ref().map(|kind| kind.as_str().to_owned()),
        unit: properties.unit.as_ref().map(|unit| unit.as_str().to_owned()),
        value: properties.value.clone().map(|value| match value {
            Value::Number(number) => ValueForm::Number(number),
            Value::Boolean(boolean) => ValueForm::Boolean(boolean),
            Value::Text(text) => ValueForm::Text(text),
        }),
        measured_at: sensor.measured_at.map(|instant| instant.to_string()),
        status: properties.status.into(),
        location: properties.location.map(|location| LocationForm {
            geometry: GeometryForm::Point,
            coordinates: location.coordinates().filter_map(coordinate).collect(),
        }),
        metadata: properties.metadata.clone(),
    }
}

/// A coordinate as JSON: the canonical spelling of the number.
fn coordinate(degrees_or_metres: f64) -> Option<Number> {
    let number = Number::from_f64(degrees_or_metres)?;
    canonical_number(&number).ok()
}

#[expect(clippy::ref_option, reason = "so serde calls it")]
fn write_metadata<S: Serializer>(metadata: &Option<Metadata>, serializer: S) -> Result<S::Ok, S::Error> {
    metadata.as_ref().map(Metadata::as_map).serialize(serializer)
}
