use std::str::FromStr;

/// A short text such as a sensor's `kind` or `unit`: 1 to 64 bytes of UTF-8 without control characters and noncharacters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// The longest label, in bytes.
    pub const MAX_BYTES: usize = 64;
    /// What it may contain, as a regular expression (ECMA 262).
    pub const PATTERN: &str = super::text::PATTERN;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(1..=Self::MAX_BYTES).contains(&text.len()) {
            return Err("must be 1 to 64 bytes of text");
        }
        super::text::check(text)?;
        Ok(Self(text.to_owned()))
    }
}
