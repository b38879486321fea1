//! The schemas of the wire types, as AsyncAPI takes them.
//!
//! They are those of the OpenAPI document: JSON Schema 2020-12. AsyncAPI 3.0 has JSON Schema draft 7, which differs
//! in what is used here by two things only: there is no `example`, and what stands beside a `$ref` is ignored.

use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

/// The schema of `T` and of every type in it, by name.
///
/// # Errors
/// When one cannot be written as JSON, which a test excludes.
pub fn schemas_of<T: ToSchema>() -> serde_json::Result<Map<String, Json>> {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    found
        .into_iter()
        .map(|(name, schema)| Ok((name, as_draft_7(serde_json::to_value(schema)?))))
        .collect()
}

/// A reference to the schema of `T`.
#[must_use]
pub fn reference_to<T: ToSchema>() -> Json {
    json!({"$ref": format!("#/components/schemas/{}", T::name())})
}

fn as_draft_7(schema: Json) -> Json {
    match schema {
        Json::Object(mut members) => {
            if let Some(example) = members.remove("example") {
                members.insert("examples".to_owned(), json!([example]));
            }
            if members.len() > 1
                && let Some(target) = members.remove("$ref")
            {
                members.insert("allOf".to_owned(), json!([{"$ref": target}]));
            }
            let members = members.into_iter().map(|(name, member)| match name.as_str() {
                // A schema has its members by any name below this one.
                "properties" => (name, properties_as_draft_7(member)),
                "examples" | "enum" | "default" => (name, member),
                _ => (name, as_draft_7(member)),
            });
            Json::Object(members.collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(as_draft_7).collect()),
        scalar => scalar,
    }
}

fn properties_as_draft_7(properties: Json) -> Json {
    match properties {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .map(|(name, schema)| (name, as_draft_7(schema)))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_openapi_becomes_one_of_draft_7() {
        let schema = json!({
            "properties": {"example": {"type": "string", "example": "x"}, "b": {"$ref": "#/c", "description": "B"}},
            "allOf": [{"$ref": "#/d"}],
        });
        let expected = json!({
            "properties": {
                "example": {"type": "string", "examples": ["x"]},
                "b": {"allOf": [{"$ref": "#/c"}], "description": "B"},
            },
            "allOf": [{"$ref": "#/d"}],
        });
        assert_eq!(as_draft_7(schema), expected);
    }
}
