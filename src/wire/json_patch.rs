//! RFC 6902 (JSON Patch): operations on the representation of a sensor, all or none.

use std::slice;

use json_patch::jsonptr::PointerBuf;
use json_patch::{PatchErrorKind, PatchOperation, patch_unsafe};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::input::{self, Draft, READ_ONLY};
use super::json::{MAX_DEPTH, depth};
use super::link::LinkBase;
use super::representation;
use crate::domain::{Fault, MeasuredAt, Refusal, Sensor, canonical_number};

/// The body of a JSON Patch: operations that are well formed and write nothing that is the server's alone.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPatch(Vec<PatchOperation>);

impl JsonPatch {
    /// The most operations in a patch.
    pub const MAX_OPERATIONS: usize = 100;
    /// The most that the `copy` and `move` operations of a patch take together, in bytes of compact JSON: each copy could double
    /// what is there, and what is moved is walked through. How deep it gets is bounded beside that, by [`MAX_DEPTH`].
    pub const MAX_CARRIED_BYTES: usize = 64 * 1024;

    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// Every fault.
    pub fn parse(body: Json) -> Result<Self, Vec<Fault>> {
        let Json::Array(elements) = body else {
            return Err(vec![Fault::new("", "must be an array of operations (RFC 6902)")]);
        };
        if elements.len() > Self::MAX_OPERATIONS {
            let detail = format!("at most {} operations are allowed", Self::MAX_OPERATIONS);
            return Err(vec![Fault::new("", detail)]);
        }
        let (mut operations, mut faults) = (Vec::with_capacity(elements.len()), Vec::new());
        for (index, element) in elements.into_iter().enumerate() {
            match read(element) {
                Ok(operation) => {
                    faults.extend(not_writable(index, &operation));
                    operations.push(operation);
                }
                Err(found) => faults.extend(
                    found
                        .into_iter()
                        .map(|(member, detail)| Fault::new(format!("/{index}{member}"), detail)),
                ),
            }
        }
        if faults.is_empty() {
            Ok(Self(operations))
        } else {
            Err(faults)
        }
    }

    /// What the sensor would be with this patch. The operations see what a GET shows, links included.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when a test fails or a place is not there, [`Refusal::Invalid`] with every fault of the outcome.
    pub fn apply(&self, sensor: &Sensor, links: &LinkBase) -> Result<Draft, Refusal> {
        let cannot = |_| Refusal::Invalid(vec![Fault::new("", "cannot be patched")]);
        let mut tree = Json::Object(representation::tree(sensor, links).map_err(cannot)?);
        self.run(&mut tree)?;
        let mut members = match tree {
            Json::Object(members) => members,
            _ => Map::new(),
        };
        members.retain(|key, _| !is_read_only(key));
        let mut draft = input::draft(members, Vec::new())
            .map_err(|faults| Refusal::Invalid(faults.into_iter().map(|fault| self.located(fault)).collect()))?;
        // Its absence means something of its own, so what was there before says nothing.
        let names_measured_at = self.0.iter().flat_map(written).any(|(_, path)| path == "/measured_at");
        draft.measured_at = match draft.measured_at {
            _ if !names_measured_at => MeasuredAt::NotGiven,
            MeasuredAt::NotGiven => MeasuredAt::Removed,
            given => given,
        };
        Ok(draft)
    }

    fn run(&self, tree: &mut Json) -> Result<(), Refusal> {
        let mut carried_bytes = 0;
        for (index, operation) in self.0.iter().enumerate() {
            let too_much = |detail: String| Refusal::Invalid(vec![Fault::new(format!("/{index}"), detail)]);
            let source = match operation {
                PatchOperation::Add(add) => Some(&add.value),
                PatchOperation::Replace(replace) => Some(&replace.value),
                PatchOperation::Move(moved) => tree.pointer(moved.from.as_str()),
                PatchOperation::Copy(copy) => tree.pointer(copy.from.as_str()),
                PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
            };
            // Each could double the depth, and what is deep enough overflows the stack of whoever walks through it.
            let levels_above = operation.path().as_str().matches('/').count();
            if source.is_some_and(|source| levels_above + depth(source) > MAX_DEPTH) {
                return Err(too_much(format!("would nest deeper than {MAX_DEPTH} levels")));
            }
            if let (PatchOperation::Copy(_) | PatchOperation::Move(_), Some(source)) = (operation, source) {
                carried_bytes += source.to_string().len();
                if carried_bytes > Self::MAX_CARRIED_BYTES {
                    return Err(too_much(
                        "what a patch copies and moves takes at most 64 KiB together".to_owned(),
                    ));
                }
            }
            // What is left half done by a failure is thrown away.
            let done = patch_unsafe(tree, slice::from_ref(operation));
            done.map_err(|error| refusal(index, operation, &error.kind, tree))?;
        }
        Ok(())
    }

    /// Points a fault of the outcome at what made it: the last operation that wrote there.
    fn located(&self, fault: Fault) -> Fault {
        let Fault { pointer: place, detail } = fault;
        let writes = self.0.iter().enumerate().rev();
        let writes =
            writes.flat_map(|(index, operation)| written(operation).map(move |(_, path)| (index, operation, path)));
        let mut pointers = writes.filter_map(|(index, operation, path)| match (below(&place, path), operation) {
            (Some(rest), PatchOperation::Add(_) | PatchOperation::Replace(_)) => Some(format!("/{index}/value{rest}")),
            (Some(_), _) => Some(format!("/{index}")),
            (None, _) => below(path, &place).map(|_| format!("/{index}")),
        });
        Fault::new(pointers.next().unwrap_or_default(), format!("{place}: {detail}"))
    }
}

/// What is wrong with an operation: where in it, and what.
type Faults = Vec<(&'static str, String)>;

/// Reads one operation. Numbers get their one spelling, in which the sensor has them, so that 21.0 passes as 21.
fn read(element: Json) -> Result<PatchOperation, Faults> {
    let faults = faults_of(&element);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut operation =
        PatchOperation::deserialize(element).map_err(|error| vec![("", format!("is no operation: {error}"))])?;
    if let PatchOperation::Add(json_patch::AddOperation { value, .. })
    | PatchOperation::Replace(json_patch::ReplaceOperation { value, .. })
    | PatchOperation::Test(json_patch::TestOperation { value, .. }) = &mut operation
    {
        canonicalize(value);
    }
    Ok(operation)
}

/// RFC 6902 §4: each `op` needs a `path`, some a `value`, some a `from`.
fn faults_of(element: &Json) -> Faults {
    let Some(members) = element.as_object() else {
        return vec![("", "must be an object with op and path".to_owned())];
    };
    let mut faults = Vec::new();
    let op = members.get("op").and_then(Json::as_str).unwrap_or_default();
    let (needs_value, needs_from) = match op {
        "add" | "replace" | "test" => (true, false),
        "move" | "copy" => (false, true),
        "remove" => (false, false),
        _ => {
            let detail = "must be add, remove, replace, move, copy or test".to_owned();
            faults.push(("/op", detail));
            (false, false)
        }
    };
    let mut check_pointer = |member: &'static str, key: &str| {
        let pointer = members.get(key).and_then(Json::as_str);
        if pointer.is_none_or(|text| PointerBuf::parse(text).is_err()) {
            let detail = "must be a JSON Pointer (RFC 6901): empty, or /, a member, and so on";
            faults.push((member, detail.to_owned()));
        }
    };
    check_pointer("/path", "path");
    if needs_from {
        check_pointer("/from", "from");
    }
    if needs_value && !members.contains_key("value") {
        faults.push(("/value", format!("is required: {op} needs it")));
    }
    faults
}

/// An integer that no double holds stays as it is, for the rules of the sensor to find.
fn canonicalize(value: &mut Json) {
    match value {
        Json::Number(number) => {
            if let Ok(canonical) = canonical_number(number) {
                *number = canonical;
            }
        }
        Json::Array(elements) => elements.iter_mut().for_each(canonicalize),
        Json::Object(members) => members.values_mut().for_each(canonicalize),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

fn not_writable(index: usize, operation: &PatchOperation) -> impl Iterator<Item = Fault> {
    written(operation).filter_map(move |(member, path)| {
        let first = path.split('/').nth(1);
        let detail = match first {
            None => "a patch changes members; to replace the sensor as a whole, PUT it",
            Some(first) if is_read_only(first) => "is written by the server alone; it can be tested and copied",
            Some(_) => return None,
        };
        Some(Fault::new(format!("/{index}/{member}"), detail))
    })
}

/// Where an operation writes, and the member of it that says so.
fn written(operation: &PatchOperation) -> impl Iterator<Item = (&'static str, &str)> {
    let path = Some(("path", operation.path().as_str()));
    let places = match operation {
        PatchOperation::Test(_) => [None, None],
        PatchOperation::Move(moved) => [Some(("from", moved.from.as_str())), path],
        _ => [path, None],
    };
    places.into_iter().flatten()
}

fn is_read_only(member: &str) -> bool {
    member == "id" || READ_ONLY.contains(&member)
}

/// What follows `prefix` in the JSON Pointer `pointer`, when that leads there or below.
fn below<'a>(pointer: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = pointer.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Why an operation on `tree` could not be done.
fn refusal(index: usize, operation: &PatchOperation, kind: &PatchErrorKind, tree: &Json) -> Refusal {
    let path = operation.path().as_str();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let from = match operation {
        PatchOperation::Move(moved) => moved.from.as_str(),
        PatchOperation::Copy(copy) => copy.from.as_str(),
        _ => "",
    };
    match kind {
        PatchErrorKind::TestFailed if path.is_empty() => {
            Refusal::Conflict(format!("operation {index}: the sensor as a whole is not this"))
        }
        PatchErrorKind::TestFailed => Refusal::Conflict(format!("operation {index}: {path} has another value")),
        PatchErrorKind::InvalidFromPointer => Refusal::Conflict(format!("operation {index}: there is no {from}")),
        PatchErrorKind::CannotMoveInsideItself => Refusal::Invalid(vec![Fault::new(
            format!("/{index}"),
            "a value cannot be moved into itself",
        )]),
        _ if tree.pointer(parent).is_none() => Refusal::Conflict(format!(
            "operation {index}: there is no {parent} for {path} to be in; add that first"
        )),
        _ => Refusal::Conflict(format!("operation {index}: there is no {path}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(body: Json) -> Vec<String> {
        let faults = JsonPatch::parse(body).unwrap_err();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn every_operation_that_is_none_or_writes_what_it_must_not_is_found() {
        let body = json!([
            {"op": "add", "path": "/value"},
            {"op": "test", "path": "/revision", "value": 1},
            {"op": "move", "from": "/id", "path": "/links/0"},
            {"op": "replace", "path": "", "value": {}},
            {"op": "add", "path": "value", "value": 1},
            {"op": "grow", "path": "/value"},
            5,
        ]);
        assert_eq!(
            pointers(body),
            ["/0/value", "/2/from", "/2/path", "/3/path", "/4/path", "/5/op", "/6"]
        );
    }

    #[test]
    fn a_patch_is_bounded() {
        let operation = json!({"op": "remove", "path": "/value"});
        let of = |count| Json::Array(vec![operation.clone(); count]);
        assert!(JsonPatch::parse(of(JsonPatch::MAX_OPERATIONS)).is_ok());
        assert_eq!(pointers(of(JsonPatch::MAX_OPERATIONS + 1)), [""]);
        assert_eq!(pointers(json!({})), [""]);
    }

    #[test]
    fn a_fault_of_the_outcome_is_pointed_at_in_the_patch() {
        let patch = json!([
            {"op": "add", "path": "/metadata", "value": {"a": 1}},
            {"op": "remove", "path": "/name"},
            {"op": "copy", "from": "/links", "path": "/metadata/b"},
        ]);
        let patch = JsonPatch::parse(patch).unwrap();
        let place = |pointer: &str| patch.located(Fault::new(pointer, "is wrong")).pointer;
        assert_eq!(place("/metadata/a/x"), "/0/value/a/x");
        assert_eq!(place("/metadata/b/0"), "/2");
        assert_eq!(place("/metadata"), "/2");
        assert_eq!(place("/name"), "/1");
        assert_eq!(place("/names"), "");
    }
}
