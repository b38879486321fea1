//! What a PATCH changed, as the event tells it.

use serde_json::{Map, Value as Json};

use super::link::LinkBase;
use super::merge_patch;
use super::representation::properties_form;
use crate::domain::{Metadata, Sensor};

/// The merge patch (RFC 7396) that turns the representation of `before` into that of `after`, the same sensor later.
///
/// What `merge_patch::diff` of the two trees is, without making the trees.
///
/// # Errors
/// Never in practice, as with [`representation::document`](super::representation::document).
pub fn changes(before: &Sensor, after: &Sensor, links: &LinkBase) -> serde_json::Result<Map<String, Json>> {
    let (old, new) = (properties_form(before), properties_form(after));
    let mut changes = Map::new();
    macro_rules! compare {
        ($($member:ident),*) => {$(
            if old.$member != new.$member {
                let patch = difference(&serde_json::to_value(&old.$member)?, serde_json::to_value(&new.$member)?);
                changes.insert(stringify!($member).to_owned(), patch);
            }
        )*};
    }
    compare!(name, kind, unit, value, measured_at, status, location);
    if old.metadata != new.metadata {
        let members =
            |metadata: Option<Metadata>| metadata.map_or(Json::Null, |metadata| metadata.as_map().clone().into());
        changes.insert(
            "metadata".to_owned(),
            difference(&members(old.metadata), members(new.metadata)),
        );
    }
    changes.insert("revision".to_owned(), after.revision.get().into());
    if before.updated_at != after.updated_at {
        changes.insert("updated_at".to_owned(), after.updated_at.to_string().into());
    }
    if before.properties.status != after.properties.status {
        let links = links.of_sensor(after.id, after.properties.status);
        changes.insert("links".to_owned(), serde_json::to_value(links)?);
    }
    Ok(changes)
}

fn difference(old: &Json, new: Json) -> Json {
    match (old, new) {
        (Json::Object(old), Json::Object(new)) => Json::Object(merge_patch::diff(old, &new)),
        (_, new) => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::representation::tree;
    use crate::wire::samples::sensors;

    #[test]
    fn changes_are_the_difference_of_the_representations() {
        let links = LinkBase::new("https://example.org", "mqtt://example.org", "");
        for before in &sensors() {
            for after in sensors().iter().filter(|after| after.revision != before.revision) {
                let of_trees = merge_patch::diff(&tree(before, &links).unwrap(), &tree(after, &links).unwrap());
                assert_eq!(changes(before, after, &links).unwrap(), of_trees);
            }
        }
    }
}
