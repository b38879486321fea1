//! RFC 7396 (JSON Merge Patch): the difference between two values; applying one is `json_patch::merge`.

use serde_json::{Map, Value as Json};

/// The merge patch that turns `before` into `after`: changed and new members with their value, gone ones with `null`.
///
/// Neither may hold `null` members inside objects, which no merge patch could produce; nothing here has them.
#[must_use]
pub fn diff(before: &Map<String, Json>, after: &Map<String, Json>) -> Map<String, Json> {
    let gone = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .map(|key| (key.clone(), Json::Null));
    let different = after.iter().filter_map(|(key, next)| {
        let patch = match (before.get(key), next) {
            (Some(previous), next) if previous == next => return None,
            (Some(Json::Object(previous)), Json::Object(next)) => Json::Object(diff(previous, next)),
            (_, next) => next.clone(),
        };
        Some((key.clone(), patch))
    });
    gone.chain(different).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_without_null_members() -> impl Strategy<Value = Json> {
        let scalar = prop_oneof![
            any::<bool>().prop_map(Json::from),
            (0..3).prop_map(Json::from),
            "[ab]".prop_map(Json::from)
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array),
                object_of(inner).prop_map(Json::Object),
            ]
        })
    }

    fn object_of(member: impl Strategy<Value = Json>) -> impl Strategy<Value = Map<String, Json>> {
        prop::collection::btree_map("[abc]", member, 0..4).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn the_difference_applied_to_the_one_gives_the_other(
            before in object_of(json_without_null_members()),
            after in object_of(json_without_null_members()),
        ) {
            let mut merged = Json::Object(before.clone());
            json_patch::merge(&mut merged, &Json::Object(diff(&before, &after)));
            prop_assert_eq!(merged, Json::Object(after));
        }
    }
}
