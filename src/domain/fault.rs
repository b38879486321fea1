/// One member of a request that breaks a rule, and which rule, in words for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON Pointer (RFC 6901) into the request body, e.g. `/location/coordinates/0`; empty for the whole body.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl Fault {
    /// The most faults that are reported for one request: more than a sensor has members, few enough for a short answer.
    pub const MAX_COUNT: usize = 32;

    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// A member name as a token of a JSON Pointer (RFC 6901 §3).
#[must_use]
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
