//! What clients send, turned into the domain's types: every fault is found and pointed at, not only the first.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::json;
use super::representation::{self, StatusForm, ValueForm};
use crate::domain::{
    Fault, Location, MeasuredAt, Metadata, Properties, Sensor, SensorId, SensorName, SensorRef, Status, Timestamp,
    Value, canonical_number, escape,
};

/// The members that the server alone writes.
pub const READ_ONLY: [&str; 4] = ["revision", "created_at", "updated_at", "links"];
const WRITABLE: [&str; 8] = [
    "name",
    "kind",
    "unit",
    "value",
    "measured_at",
    "status",
    "location",
    "metadata",
];

/// The members of a location.
const POINT: [&str; 2] = ["type", "coordinates"];

/// What a client wants a sensor to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// All members that clients decide, but `measured_at`.
    pub properties: Properties,
    /// What it says about `measured_at`.
    pub measured_at: MeasuredAt,
}

/// The body of a PUT.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// What the sensor is to be.
    pub draft: Draft,
    /// The `id` in the body, which has to be the sensor's own.
    pub id: Option<SensorId>,
}

/// The body of a merge patch: an object, to be judged by what it makes of the sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct MergePatch(Map<String, Json>);

/// Reads the body of a POST.
///
/// # Errors
/// Every fault.
pub fn creation(body: Json) -> Result<Draft, Vec<Fault>> {
    let mut members = object(body)?;
    let mut faults = refuse_read_only(&members);
    if members.remove("id").is_some() {
        faults.push(Fault::new(
            "/id",
            "the server makes the id here; PUT /sensors/{uuid} creates with an id of your own",
        ));
    }
    members.retain(|key, _| !READ_ONLY.contains(&key.as_str()));
    draft(members, faults)
}

/// Reads the body of a PUT to `/sensors/{target}`. Read-only members are ignored, so that the body of a GET can be sent
/// back; by name the body may leave the name out.
///
/// # Errors
/// Every fault.
pub fn replacement(body: Json, target: &SensorRef) -> Result<Replacement, Vec<Fault>> {
    let mut members = object(body)?;
    members.retain(|key, _| !READ_ONLY.contains(&key.as_str()));
    if let SensorRef::Name(name) = target {
        members.entry("name").or_insert_with(|| Json::from(name.as_str()));
    }
    let mut faults = Vec::new();
    let id = parsed(&mut members, "id", "must be the sensor's own id, as text", &mut faults);
    if let (SensorRef::Id(own), Some(id)) = (target, id)
        && *own != id
    {
        faults.push(not_own_id(*own));
    }
    draft(members, faults).map(|draft| Replacement { draft, id })
}

/// Reads a value that stands alone.
///
/// # Errors
/// The fault, where it is no JSON scalar or breaks a rule.
pub fn value(body: Json) -> Result<Value, Vec<Fault>> {
    let form = ValueForm::deserialize(body).map_err(|_| vec![Fault::new("", VALUE_SHAPE)])?;
    value_of(form, "")
}

/// The fault of a PUT whose body has another `id` than the sensor.
#[must_use]
pub fn not_own_id(own: SensorId) -> Fault {
    Fault::new("/id", format!("must be the sensor's own id, {own}, or left out"))
}

/// The fault of a PUT by name whose body has an `id` although there is no such sensor.
#[must_use]
pub fn no_id_yet() -> Fault {
    Fault::new(
        "/id",
        "there is no sensor of this name, so the server makes the id; leave it out, or PUT to /sensors/{uuid}",
    )
}

/// The fault of a PUT by name that would create a sensor of another name.
#[must_use]
pub fn not_own_name(own: &SensorName) -> Fault {
    Fault::new(
        "/name",
        format!("there is no sensor {own} to rename: to create it here, the name must be {own} or left out"),
    )
}

impl MergePatch {
    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// When it is no object.
    pub fn parse(body: Json) -> Result<Self, Vec<Fault>> {
        object(body).map(Self)
    }

    /// What the sensor would be with this patch.
    ///
    /// # Errors
    /// Every fault.
    pub fn apply(self, sensor: &Sensor) -> Result<Draft, Vec<Fault>> {
        let Self(mut patch) = self;
        let mut faults = refuse_read_only(&patch);
        if patch.contains_key("id") {
            faults.push(Fault::new("/id", "the id of a sensor never changes"));
        }
        // Before the merge, in which an unknown member with `null` would vanish.
        faults.extend(unknown_members(&patch));
        if let Some(Json::Object(location)) = patch.get("location") {
            let would_vanish = |(key, value): &(&String, &Json)| value.is_null() && !POINT.contains(&key.as_str());
            let others = location.iter().filter(would_vanish).take(Fault::MAX_COUNT);
            faults.extend(others.map(|(key, _)| not_of_point(key)));
        }
        patch.retain(|key, _| WRITABLE.contains(&key.as_str()));
        let removes_measured_at = patch.get("measured_at").is_some_and(Json::is_null);
        // What is large and not mentioned stays as it is: it need not be judged again.
        let mut mentioned = sensor.clone();
        let metadata = mentioned
            .properties
            .metadata
            .take_if(|_| !patch.contains_key("metadata"));
        let location = mentioned
            .properties
            .location
            .take_if(|_| !patch.contains_key("location"));
        let mut tree =
            representation::writable_tree(&mentioned).map_err(|_| vec![Fault::new("", "cannot be patched")])?;
        json_patch::merge(&mut tree, &Json::Object(patch));
        let mut patched = draft(object(tree)?, faults)?;
        patched.properties.metadata = metadata.or(patched.properties.metadata);
        patched.properties.location = location.or(patched.properties.location);
        if removes_measured_at {
            patched.measured_at = MeasuredAt::Removed;
        }
        Ok(patched)
    }
}

fn object(body: Json) -> Result<Map<String, Json>, Vec<Fault>> {
    match body {
        Json::Object(members) => Ok(members),
        _ => Err(vec![Fault::new("", "must be a JSON object")]),
    }
}

fn refuse_read_only(members: &Map<String, Json>) -> Vec<Fault> {
    READ_ONLY
        .iter()
        .filter(|key| members.contains_key(**key))
        .map(|key| Fault::new(format!("/{key}"), "is written by the server alone; leave it out"))
        .collect()
}

fn unknown_members(members: &Map<String, Json>) -> impl Iterator<Item = Fault> {
    let known = |key: &str| WRITABLE.contains(&key) || READ_ONLY.contains(&key) || key == "id";
    let unknown = members.keys().filter(move |key| !known(key));
    unknown.take(Fault::MAX_COUNT).map(|key| {
        let pointer = format!("/{}", escape(key));
        Fault::new(
            pointer,
            format!("is not a member of a sensor; there are {}", WRITABLE.join(", ")),
        )
    })
}

/// Turns members into a draft, adding to the faults that were found before.
pub(super) fn draft(mut members: Map<String, Json>, mut faults: Vec<Fault>) -> Result<Draft, Vec<Fault>> {
    faults.extend(unknown_members(&members));
    let known_faults = faults.len();
    let name = parsed(&mut members, "name", "must be text", &mut faults);
    if name.is_none() && faults.len() == known_faults {
        faults.push(Fault::new("/name", "is required"));
    }
    let measured_at: Option<Timestamp> = parsed(
        &mut members,
        "measured_at",
        "must be an RFC 3339 instant, as text",
        &mut faults,
    );
    let kind = parsed(&mut members, "kind", "must be text", &mut faults);
    let unit = parsed(&mut members, "unit", "must be text", &mut faults);
    let value = typed(&mut members, "value", VALUE_SHAPE, &mut faults);
    let value = value.and_then(|form| keep(value_of(form, "/value"), &mut faults));
    let status = typed(
        &mut members,
        "status",
        "must be \"active\" or \"inactive\"",
        &mut faults,
    );
    let location = typed(&mut members, "location", LOCATION_SHAPE, &mut faults);
    let location = location.and_then(|object| keep(location_of(object), &mut faults));
    let metadata = typed(&mut members, "metadata", "must be a JSON object", &mut faults);
    let metadata = metadata.and_then(|object| keep(metadata_of(object), &mut faults));
    let Some(name) = name.filter(|_| faults.is_empty()) else {
        return Err(faults);
    };
    let status = status.map_or(Status::Active, StatusForm::into);
    Ok(Draft {
        properties: Properties {
            name,
            kind,
            unit,
            value,
            status,
            location,
            metadata,
        },
        measured_at: measured_at.map_or(MeasuredAt::NotGiven, MeasuredAt::At),
    })
}

const VALUE_SHAPE: &str = "must be a number, a boolean or text";
const LOCATION_SHAPE: &str = "must be a GeoJSON Point, {\"type\": \"Point\", \"coordinates\": [longitude, latitude]}, with an altitude in metres where known";

/// Takes a member that is JSON of the type `T`.
fn typed<T: for<'de> Deserialize<'de>>(
    members: &mut Map<String, Json>,
    key: &str,
    expected: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    json::take(members, key).unwrap_or_else(|_| {
        faults.push(Fault::new(format!("/{key}"), expected));
        None
    })
}

/// Takes a member that is text in the form of a `T`.
fn parsed<T: std::str::FromStr<Err = &'static str>>(
    members: &mut Map<String, Json>,
    key: &str,
    expected: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let text: String = typed(members, key, expected, faults)?;
    keep(
        text.parse()
            .map_err(|detail| vec![Fault::new(format!("/{key}"), detail)]),
        faults,
    )
}

fn keep<T>(result: Result<T, Vec<Fault>>, faults: &mut Vec<Fault>) -> Option<T> {
    result.map_err(|found| faults.extend(found)).ok()
}

pub(super) fn value_of(form: ValueForm, pointer: &str) -> Result<Value, Vec<Fault>> {
    let value = match form {
        ValueForm::Number(number) => Value::number(&number),
        ValueForm::Boolean(boolean) => Ok(Value::Boolean(boolean)),
        ValueForm::Text(text) => Value::text(&text),
    };
    value.map_err(|detail| vec![Fault::new(pointer, detail)])
}

fn not_of_point(key: &str) -> Fault {
    Fault::new(
        format!("/location/{}", escape(key)),
        "is not a member of a GeoJSON Point",
    )
}

pub(super) fn location_of(mut object: Map<String, Json>) -> Result<Location, Vec<Fault>> {
    let fault = |token: &str, detail: &str| Fault::new(format!("/location/{token}"), detail);
    let mut faults = Vec::new();
    if object.remove("type") != Some(Json::from("Point")) {
        faults.push(fault("type", "must be \"Point\""));
    }
    let coordinates = match object.remove("coordinates") {
        Some(Json::Array(coordinates)) if (2..=3).contains(&coordinates.len()) => coordinates,
        _ => {
            faults.push(fault(
                "coordinates",
                "must be two or three numbers: longitude, latitude and altitude",
            ));
            Vec::new()
        }
    };
    faults.extend(object.keys().map(|key| not_of_point(key)));
    let mut numbers = Vec::new();
    for (index, coordinate) in coordinates.iter().enumerate() {
        // An integer that no double holds would become another one.
        let number = match coordinate {
            Json::Number(number) => canonical_number(number),
            _ => Err("must be a number"),
        };
        match number.map(|number| number.as_f64()) {
            Ok(number) => numbers.extend(number),
            Err(detail) => faults.push(fault(&format!("coordinates/{index}"), detail)),
        }
    }
    let location = match numbers[..] {
        [longitude, latitude] => Location::new(longitude, latitude, None),
        [longitude, latitude, altitude] => Location::new(longitude, latitude, Some(altitude)),
        _ => return Err(faults),
    };
    match location {
        Ok(location) if faults.is_empty() => Ok(location),
        Ok(_) => Err(faults),
        Err(found) => {
            faults.extend(
                found
                    .into_iter()
                    .map(|(index, detail)| fault(&format!("coordinates/{index}"), detail)),
            );
            Err(faults)
        }
    }
}

pub(super) fn metadata_of(object: Map<String, Json>) -> Result<Metadata, Vec<Fault>> {
    let within = |fault: Fault| Fault::new(format!("/metadata{}", fault.pointer), fault.detail);
    Metadata::new(object).map_err(|faults| faults.into_iter().map(within).collect())
}
