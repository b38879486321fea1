//! JSON as this service reads it: RFC 8259, strictly, with what RFC 7493 (I-JSON) adds: no duplicate members.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// The deepest nesting of objects and arrays in a request body.
pub const MAX_DEPTH: usize = 32;

/// Parses a whole body: one JSON text, nothing after it.
///
/// An integer beyond 64 bits is clamped to `i64::MIN` or `u64::MAX`: still out of every range here, so that a rule about it refuses
/// it, and a member that is ignored does no harm.
///
/// `serde_json` alone would silently keep the last of two members of one name, nest 128 deep, and make such an integer a double.
///
/// # Errors
/// Also for a number that no double can hold (`1e400`), a lone surrogate, a byte order mark and bytes that are not UTF-8.
pub fn parse(body: &[u8]) -> serde_json::Result<Json> {
    let json = parse_doubles(body)?;
    match clamp_integers(body) {
        Some(clamped) => parse_doubles(&clamped),
        None => Ok(json),
    }
}

/// How many levels of objects and arrays are nested in it; at most [`MAX_DEPTH`] in what [`parse`] gives.
pub fn depth(json: &Json) -> usize {
    match json {
        Json::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

fn parse_doubles(body: &[u8]) -> serde_json::Result<Json> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let json = Strict { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(json)
}

/// The valid JSON `json` with every integer that fits neither `u64` nor `i64` clamped; `None` when there is none. Digits in strings stay.
fn clamp_integers(json: &[u8]) -> Option<Vec<u8>> {
    const SHORTEST: usize = 20;
    let (mut in_text, mut after_backslash) = (false, false);
    let numbers = json.split(|byte| {
        let escaped = after_backslash;
        after_backslash = in_text && !escaped && *byte == b'\\';
        in_text ^= *byte == b'"' && !escaped;
        in_text || !(byte.is_ascii_digit() || b"-+.eE".contains(byte))
    });
    let is_integer = |number: &[u8]| number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    let is_held = |number: &[u8]| {
        let text = std::str::from_utf8(number).unwrap_or_default();
        text.parse::<u64>().is_ok() || text.parse::<i64>().is_ok()
    };
    let (mut clamped, mut done, mut end) = (Vec::new(), 0, 0);
    for number in numbers {
        let start = end;
        end = start + number.len();
        if number.len() >= SHORTEST && is_integer(number) && !is_held(number) {
            let outermost = if number.starts_with(b"-") {
                i64::MIN.to_string()
            } else {
                u64::MAX.to_string()
            };
            clamped.extend_from_slice(&json[done..start]);
            clamped.extend_from_slice(outermost.as_bytes());
            done = end;
        }
        // Past the byte that separates this piece from the next.
        end += 1;
    }
    if done == 0 {
        return None;
    }
    clamped.extend_from_slice(&json[done..]);
    Some(clamped)
}

/// A JSON value at some depth of nesting.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        (depth <= MAX_DEPTH)
            .then_some(Self { depth })
            .ok_or_else(|| E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(de::Error::custom(format_args!("duplicate member {key:?}")));
            }
            let value = map.next_value_seed(inner)?;
            members.insert(key, value);
        }
        Ok(Json::Object(members))
    }
}

/// Reads one member as a `T`; `None` when it is absent or `null`, which mean the same here.
///
/// # Errors
/// When the value is of another type.
pub fn take<'de, T: Deserialize<'de>>(
    members: &mut Map<String, Json>,
    key: &str,
) -> Result<Option<T>, serde_json::Error> {
    members.remove(key).map_or(Ok(None), Option::<T>::deserialize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_strictly_json_is_refused() {
        let deep = "[".repeat(33) + &"]".repeat(33);
        let cases: &[&[u8]] = &[
            b"",
            b"{",
            b"{} x",
            b"\xEF\xBB\xBF{}",
            b"// c\n{}",
            b"NaN",
            b"Infinity",
            b"1e400",
            br#""\ud800""#,
            b"\"\xff\"",
            br#"{"a":1,"a":2}"#,
            br#"{"x":{"a":1,"\u0061":1}}"#,
            b"[1,]",
            b"{'a':1}",
            b"01",
            deep.as_bytes(),
        ];
        for case in cases {
            assert!(parse(case).is_err(), "{}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn an_integer_that_64_bits_do_not_hold_is_the_outermost_and_nothing_else_is_taken_for_one() {
        for (body, clamped) in [
            ("[100000000000000000000, 1]", "[18446744073709551615,1]"),
            (
                "{\"a\":-9223372036854775809,\"b\":123456789012345678901}",
                "{\"a\":-9223372036854775808,\"b\":18446744073709551615}",
            ),
            ("18446744073709551616", "18446744073709551615"),
            ("18446744073709551615", "18446744073709551615"),
            (
                "[10000000000000000000,-1000000000000000000]",
                "[10000000000000000000,-1000000000000000000]",
            ),
            ("\"123456789012345678901\"", "\"123456789012345678901\""),
            (
                "[\"\\\\\",1,\"12345678901234567890123\"]",
                "[\"\\\\\",1,\"12345678901234567890123\"]",
            ),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap().to_string(), clamped, "{body}");
        }
        for body in ["1e20", "0.12345678901234567890123", "\"\\\"123456789012345678901\""] {
            assert!(clamp_integers(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn depth_32_is_allowed() {
        assert!(parse(("[".repeat(32) + &"]".repeat(32)).as_bytes()).is_ok());
    }
}
