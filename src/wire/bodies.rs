//! The schemas of request bodies, made from that of a sensor: what a client may say differs between POST, PUT and PATCH, and
//! from what the service answers, but a member means the same everywhere.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::input::{Draft, MergePatch, READ_ONLY, Replacement};
use super::json_patch::JsonPatch;
use super::representation::{LocationForm, PropertiesForm};

impl PartialSchema for Draft {
    fn schema() -> RefOr<Schema> {
        let mut body = writable("A new sensor. Only `name` is required; `null` means not set.");
        body.required = vec!["name".to_owned()];
        body.examples = vec![json!({"name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 21.5})];
        Schema::Object(body).into()
    }
}

impl ToSchema for Draft {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewSensor")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        PropertiesForm::schemas(schemas);
    }
}

impl PartialSchema for Replacement {
    fn schema() -> RefOr<Schema> {
        let mut body = writable(
            "The new state of a sensor; members that are left out or `null` are unset. `name` is required at `/sensors/{id}`. `id` has \
             to be the sensor's own. Members that only the server writes are ignored, so that the body of a GET can be sent back.",
        );
        let id = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .format(Some(SchemaFormat::Custom("uuid".to_owned())))
            .description(Some("The sensor's own id."));
        body.properties.insert("id".to_owned(), id.into());
        for ignored in READ_ONLY {
            let anything = ObjectBuilder::new()
                .schema_type(SchemaType::AnyValue)
                .description(Some("Ignored."));
            body.properties.insert(ignored.to_owned(), anything.into());
        }
        body.examples = vec![json!({"name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 22})];
        Schema::Object(body).into()
    }
}

impl ToSchema for Replacement {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorReplacement")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        PropertiesForm::schemas(schemas);
    }
}

impl PartialSchema for MergePatch {
    fn schema() -> RefOr<Schema> {
        let mut body = writable(
            "A merge patch (RFC 7396): `null` unsets a member, and members that are not mentioned stay as they are.",
        );
        body.properties.insert("location".to_owned(), partial_location());
        body.examples = vec![json!({"value": 21.7, "unit": null})];
        Schema::Object(body).into()
    }
}

impl ToSchema for MergePatch {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorPatch")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        PropertiesForm::schemas(schemas);
    }
}

impl PartialSchema for JsonPatch {
    fn schema() -> RefOr<Schema> {
        let pointer = |description: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some("^(/([^/~]|~[01])*)*$"))
                .description(Some(description))
        };
        let operation = |names: &[&str]| {
            let op = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(names.iter().copied()));
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .property("op", op)
                .property("path", pointer("Where, as a JSON Pointer (RFC 6901)."))
                .required("op")
                .required("path")
        };
        let value = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Any JSON."));
        let from = pointer("Where from, as a JSON Pointer (RFC 6901).");
        let kinds = OneOfBuilder::new()
            .item(
                operation(&["add", "replace", "test"])
                    .property("value", value)
                    .required("value"),
            )
            .item(operation(&["move", "copy"]).property("from", from).required("from"))
            .item(operation(&["remove"]));
        ArrayBuilder::new()
            .items(kinds)
            .max_items(Some(Self::MAX_OPERATIONS))
            .description(Some(
                "A JSON Patch (RFC 6902): operations on the representation that a GET shows, in order, all or none. Members that only \
                 the server writes can be tested and copied, but not changed. What is copied and moved is at most 64 KiB together.",
            ))
            .examples([json!([{"op": "test", "path": "/value", "value": 21.7}, {"op": "replace", "path": "/value", "value": 21.9}])])
            .into()
    }
}

impl ToSchema for JsonPatch {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorOperations")
    }
}

/// A merge patch goes into the location: what it does not mention stays.
fn partial_location() -> RefOr<Schema> {
    let mut location = members_of(LocationForm::schema());
    location.required.clear();
    nullable(Schema::Object(location).into())
}

/// The members that the schema names itself, not by reference.
pub(super) fn members_of(schema: RefOr<Schema>) -> Object {
    match schema {
        RefOr::T(Schema::Object(object)) => object,
        // What is flattened into it comes first.
        RefOr::T(Schema::AllOf(mut all)) => all.items.pop().map(members_of).unwrap_or_default(),
        _ => Object::new(),
    }
}

/// The members that clients write, none required, each but the name nullable, and no others.
fn writable(description: &str) -> Object {
    let mut body = members_of(PropertiesForm::schema());
    for (_, member) in body.properties.iter_mut().filter(|(name, _)| *name != "name") {
        *member = nullable(member.clone());
    }
    body.required.clear();
    body.description = Some(description.to_owned());
    body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    body
}

fn nullable(member: RefOr<Schema>) -> RefOr<Schema> {
    match member {
        RefOr::T(Schema::Object(mut member)) => {
            if let SchemaType::Type(alone) = member.schema_type {
                member.schema_type = SchemaType::from_iter([alone, Type::Null]);
            }
            Schema::Object(member).into()
        }
        RefOr::Ref(mut reference) => {
            let description = std::mem::take(&mut reference.description);
            let null = ObjectBuilder::new().schema_type(Type::Null);
            let either = OneOfBuilder::new()
                .item(reference)
                .item(null)
                .description(Some(description));
            Schema::OneOf(either.build()).into()
        }
        member @ RefOr::T(_) => member,
    }
}
