use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{Fault, canonical_number, escape, text};

/// The longest pointer to a fault in metadata, in bytes.
const MAX_POINTER_BYTES: usize = 512;

/// Free facts about a sensor: a JSON object of at most [`Metadata::MAX_BYTES`] and [`Metadata::MAX_DEPTH`].
///
/// It is held in one canonical form, so that equal metadata has equal bytes: members sorted by key, numbers as
/// [`canonical_number`] has them, and no `null` members, because absent means null (which also lets a merge patch
/// describe every difference).
#[derive(Debug, Clone, PartialEq, Default)]
// Shared: a sensor that reports is made anew for each value, and its metadata stays.
pub struct Metadata(Arc<Map<String, Json>>);

impl Metadata {
    /// The largest metadata, in bytes of compact JSON.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// The deepest nesting; the metadata object itself is level 1.
    pub const MAX_DEPTH: usize = 8;
    /// What keys and texts may contain, as a regular expression (ECMA 262).
    pub const TEXT_PATTERN: &str = super::text::PATTERN;

    /// Metadata from a parsed object.
    ///
    /// # Errors
    /// The faults, the first [`Fault::MAX_COUNT`], their pointers relative to the metadata object.
    pub fn new(object: Map<String, Json>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut object = Json::Object(object);
        canonicalize(&mut object, "", 1, &mut faults);
        if object.to_string().len() > Self::MAX_BYTES {
            faults.push(Fault::new("", "metadata must be at most 16 KiB of compact JSON"));
        }
        match object {
            Json::Object(members) if faults.is_empty() => Ok(Self(Arc::new(members))),
            _ => Err(faults),
        }
    }

    /// The members, sorted by key.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Json> {
        &self.0
    }
}

fn canonicalize(json: &mut Json, pointer: &str, depth: usize, faults: &mut Vec<Fault>) {
    // Without a limit, many faults below one long pointer would take the square of the memory of the body.
    if faults.len() >= Fault::MAX_COUNT {
        return;
    }
    let is_container = json.is_object() || json.is_array();
    if is_container && depth > Metadata::MAX_DEPTH {
        faults.push(Fault::new(pointer, "metadata must be at most 8 levels deep"));
        return;
    }
    match json {
        Json::Object(members) => {
            members.retain(|_, member| !member.is_null());
            for (key, member) in members {
                let pointer = below(pointer, &escape(key));
                if let Err(detail) = text::check(key) {
                    faults.push(Fault::new(&pointer, detail));
                }
                canonicalize(member, &pointer, depth + 1, faults);
            }
        }
        Json::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                canonicalize(element, &below(pointer, &index.to_string()), depth + 1, faults);
            }
        }
        Json::Number(number) => match canonical_number(number) {
            Ok(canonical) => *number = canonical,
            Err(detail) => faults.push(Fault::new(pointer, detail)),
        },
        Json::String(text) => {
            if let Err(detail) = text::check(text) {
                faults.push(Fault::new(pointer, detail));
            }
        }
        Json::Bool(_) | Json::Null => {}
    }
}

/// The pointer to a member; where that would be long, the one to what the member is in.
fn below(pointer: &str, token: &str) -> String {
    if pointer.len() + token.len() < MAX_POINTER_BYTES {
        format!("{pointer}/{token}")
    } else {
        pointer.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(json: Json) -> Result<Metadata, Vec<Fault>> {
        match json {
            Json::Object(object) => Metadata::new(object),
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn equal_metadata_has_equal_bytes() {
        let one = metadata(json!({"b": 1.0, "a": {"x": null}})).unwrap();
        let other = metadata(json!({"a": {}, "b": 1})).unwrap();
        assert_eq!(one, other);
        assert_eq!(serde_json::to_string(one.as_map()).unwrap(), r#"{"a":{},"b":1}"#);
    }

    #[test]
    fn every_fault_is_found_and_pointed_at() {
        let faults = metadata(json!({"a/b": "\u{7}", "n": [9_007_199_254_740_993_u64]})).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a~1b", "/n/0"]);
        let faults = metadata(json!({"a\u{7f}": {"b\u{fffe}": 1}})).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a\u{7f}", "/a\u{7f}/b\u{fffe}"]);
    }

    #[test]
    fn what_is_told_of_many_faults_under_long_keys_is_bounded() {
        let faults = metadata(json!({ "k".repeat(10_000): vec!["\u{7f}"; 5_000] })).unwrap_err();
        assert!(faults.len() <= Fault::MAX_COUNT + 1, "{}", faults.len());
        assert!(faults.iter().all(|fault| fault.pointer.len() <= MAX_POINTER_BYTES));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let (mut objects, mut arrays) = (json!({}), json!([]));
        for _ in 1..Metadata::MAX_DEPTH {
            objects = json!({ "n": objects });
            arrays = json!([arrays]);
        }
        assert!(metadata(objects.clone()).is_ok());
        assert!(metadata(json!({ "n": objects })).is_err());
        assert!(metadata(json!({ "n": arrays[0] })).is_ok());
        assert!(metadata(json!({ "n": arrays })).is_err());
        assert!(metadata(json!({"t": "x".repeat(Metadata::MAX_BYTES - 8)})).is_ok());
        assert!(metadata(json!({"t": "x".repeat(Metadata::MAX_BYTES - 7)})).is_err());
    }
}
