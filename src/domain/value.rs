use serde_json::Number;

/// What a sensor reports: a JSON scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A finite number in the form that [`canonical_number`] gives it.
    Number(Number),
    /// A boolean, e.g. of a door contact.
    Boolean(bool),
    /// Text of at most [`Value::MAX_TEXT_BYTES`] without control characters and noncharacters.
    Text(String),
}

impl Value {
    /// The longest text, in bytes of UTF-8.
    pub const MAX_TEXT_BYTES: usize = 1024;
    /// What a text may contain, as a regular expression (ECMA 262).
    pub const TEXT_PATTERN: &str = super::text::PATTERN;
    /// The largest whole number that every JSON implementation keeps exactly: 2^53 (RFC 7493 §2.2).
    pub const MAX_INTEGER: u64 = 1 << 53;

    /// A number, unless it is an integer that a double cannot hold exactly.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn number(number: &Number) -> Result<Self, &'static str> {
        canonical_number(number).map(Self::Number)
    }

    /// A text.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn text(text: &str) -> Result<Self, &'static str> {
        if text.len() > Self::MAX_TEXT_BYTES {
            return Err("text must be at most 1024 bytes");
        }
        super::text::check(text)?;
        Ok(Self::Text(text.to_owned()))
    }
}

/// The one spelling of a number: what is whole and within ±2^53 becomes an integer, so that 21, 21.0 and 2.1e1 are one
/// value, equal and with equal bytes, as JavaScript and RFC 8785 have it.
///
/// # Errors
/// For an integer beyond ±2^53, which other JSON implementations would round in silence.
pub fn canonical_number(number: &Number) -> Result<Number, &'static str> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    let integer = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match (integer, number.as_f64()) {
        (Some(magnitude), _) if magnitude > Value::MAX_INTEGER => Err("an integer must be within ±2^53"),
        (None, Some(float)) if float.fract() == 0.0 && float.abs() <= MAX => {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
            let integer = float as i64;
            Ok(Number::from(integer))
        }
        _ => Ok(number.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, &'static str> {
        canonical_number(&serde_json::from_str(text).unwrap()).map(|number| number.to_string())
    }

    #[test]
    fn a_text_is_refused_for_what_is_wrong_with_it() {
        for (text, reason) in [
            ("a\u{0}", "control character"),
            ("a\u{9f}", "control character"),
            ("a\u{fffe}", "noncharacter"),
            ("a\u{ffff}", "noncharacter"),
            ("\u{1fffe}\n", "noncharacter"),
            ("\u{fdd0}", "noncharacter"),
            ("\u{fdef}", "noncharacter"),
        ] {
            let told = Value::text(text).unwrap_err();
            assert!(told.contains(reason), "{text:?}: {told}");
            let told = text.parse::<crate::domain::Label>().unwrap_err();
            assert!(told.contains(reason), "{text:?}: {told}");
        }
        Value::text("\u{fffd}é\u{fdcf}\u{fdf0}").unwrap();
    }

    #[test]
    fn equal_numbers_have_one_spelling() {
        for text in ["21", "21.0", "2.1e1"] {
            assert_eq!(canonical(text).unwrap(), "21", "{text}");
        }
        assert_eq!(canonical("9007199254740992.0").unwrap(), "9007199254740992");
        assert_eq!(canonical("-0.0").unwrap(), "0");
        assert_eq!(canonical("21.5").unwrap(), "21.5");
    }

    #[test]
    fn an_integer_that_a_double_would_round_is_refused() {
        assert_eq!(canonical("9007199254740992").unwrap(), "9007199254740992");
        assert!(canonical("9007199254740993").is_err());
        assert!(canonical("-9007199254740993").is_err());
        assert!(canonical("18446744073709551615").is_err());
    }
}
