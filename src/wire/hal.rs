//! HAL (`application/hal+json`, draft-kelly-json-hal): `links` become `_links`, by relation, and the `items` of a page
//! are embedded as `item`. Everything else is as in the JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::members::Members;

/// What a HAL document has besides the members of the JSON.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = HalResource)]
pub struct HalForm {
    /// The links by their relation; where several have one relation, an array of them.
    #[serde(rename = "_links")]
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>, nullable = false,
        example = json!({"self": {"href": "http://localhost:8000/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90"}}))]
    pub links: (),
    /// The sensors of a page, as `item`.
    #[serde(rename = "_embedded")]
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>, nullable = false, example = json!({"item": []}))]
    pub embedded: (),
}

/// The HAL form of a representation, a sensor or a page.
///
/// # Errors
/// When `json` is not what this service writes.
pub fn hal(json: &[u8]) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Resource::of(Members::read(json)?)?)
}

/// What HAL calls a resource.
struct Resource<'a> {
    members: Members<'a>,
    links: Vec<(String, Vec<Members<'a>>)>,
    items: Option<Vec<Self>>,
}

impl<'a> Resource<'a> {
    fn of(members: Members<'a>) -> serde_json::Result<Self> {
        let items = members.get("items").map(Members::read_all).transpose()?;
        let items = items.map(|items| items.into_iter().map(Self::of).collect());
        let links = members.get("links").map(Members::read_all).transpose()?;
        Ok(Self {
            links: by_relation(links.unwrap_or_default()),
            items: items.transpose()?,
            members,
        })
    }
}

fn by_relation(links: Vec<Members<'_>>) -> Vec<(String, Vec<Members<'_>>)> {
    let mut relations: Vec<(String, Vec<Members<'_>>)> = Vec::new();
    for link in links {
        let relation = link.text("rel").unwrap_or_default();
        match relations.iter_mut().find(|(name, _)| *name == relation) {
            Some((_, links)) => links.push(link),
            None => relations.push((relation, vec![link])),
        }
    }
    relations
}

impl Serialize for Resource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (name, value) in self
            .members
            .iter()
            .filter(|(name, _)| !["links", "items"].contains(name))
        {
            object.serialize_entry(name, value)?;
        }
        if !self.links.is_empty() {
            object.serialize_entry("_links", &Links(&self.links))?;
        }
        if let Some(items) = &self.items {
            object.serialize_entry("_embedded", &Embedded { item: items })?;
        }
        object.end()
    }
}

#[derive(serde::Serialize)]
struct Embedded<'a, 'b> {
    item: &'b [Resource<'a>],
}

struct Links<'a, 'b>(&'b [(String, Vec<Members<'a>>)]);

impl Serialize for Links<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (relation, links) in self.0 {
            match links.as_slice() {
                [link] => object.serialize_entry(relation, &Target(link))?,
                links => object.serialize_entry(relation, &links.iter().map(Target).collect::<Vec<_>>())?,
            }
        }
        object.end()
    }
}

/// A link without its relation, which is the name that it stands under.
struct Target<'a, 'b>(&'b Members<'a>);

impl Serialize for Target<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.0.iter().filter(|(name, _)| *name != "rel");
        serializer.collect_map::<&str, &RawValue, _>(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_by_relation_and_items_are_embedded() {
        let json = br#"{"items":[{"id":"x","value":1.50,"links":[{"rel":"self","href":"/x"}]}],"revision":7,"links":[{"rel":"self","href":"/"},{"rel":"item","href":"/1","method":"PUT"},{"rel":"item","href":"/2"}]}"#;
        let expected = r#"{"revision":7,"_links":{"self":{"href":"/"},"item":[{"href":"/1","method":"PUT"},{"href":"/2"}]},"_embedded":{"item":[{"id":"x","value":1.50,"_links":{"self":{"href":"/x"}}}]}}"#;
        assert_eq!(String::from_utf8(hal(json).unwrap()).unwrap(), expected);
    }

    #[test]
    fn what_has_no_links_gets_none() {
        assert_eq!(hal(br#"{"id":"x"}"#).unwrap(), br#"{"id":"x"}"#);
    }
}
