//! The sensors of all measurements, by their numbers.

/// What tells one sensor from the other, in id and name: 12 hexadecimal digits.
pub const MARK: &str = "abcdefabcdef";
/// What every sensor says, beside its name.
pub const SENSOR: &str = r#"{"name":"bench-abcdefabcdef","kind":"temperature","unit":"Cel","value":21.5,"location":{"type":"Point","coordinates":[12.4924,41.8902]},"metadata":{"room":"cellar","owner":"facility"}}"#;
/// The header of a change.
pub const MERGE_PATCH: &str = "content-type: application/merge-patch+json\n";

/// The id of the sensor `number`; `load.lua` makes the same.
pub fn sensor_id(number: u64) -> String {
    format!("01a20000-0000-7000-8000-{number:012x}")
}

/// Where it is.
pub fn sensor_path(number: u64) -> String {
    format!("/sensors/{}", sensor_id(number))
}
