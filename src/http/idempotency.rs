//! Requests that may be sent again: the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::problem::{self, Problem};
use crate::store::Once;

/// The header that names a request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// What tells the request from others, when it has a key.
///
/// # Errors
/// 400 when the key is none.
pub fn of(request: &HttpRequest, media_type: &str, body: &[u8]) -> Result<Option<Once>, Problem> {
    let Some(key) = key(request.headers())? else {
        return Ok(None);
    };
    let parts = [
        request.method().as_str().as_bytes(),
        request.path().as_bytes(),
        media_type.as_bytes(),
        body,
    ];
    let mut fingerprint = Sha256::new();
    for part in parts {
        // With its length, so that no part goes on where another ends.
        fingerprint.update(part.len().to_be_bytes());
        fingerprint.update(part);
    }
    Ok(Some(Once {
        key,
        fingerprint: fingerprint.finalize().into(),
    }))
}

/// Reads the key: a String of RFC 9651 §3.3.3.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().ok().and_then(unquote);
    match key.filter(|key| values.next().is_none() && (1..=MAX_KEY).contains(&key.len())) {
        Some(key) => Ok(Some(key)),
        None => Err(Problem::new(
            &problem::MALFORMED_REQUEST,
            format!(
                "Idempotency-Key: must be one text in quotes, e.g. \"8e03978e-40d5-43dd\", of 1 to {MAX_KEY} characters"
            ),
        )),
    }
}

fn unquote(field: &str) -> Option<String> {
    let inner = field.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut characters = inner.chars();
    let mut text = String::with_capacity(inner.len());
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            ' '..='~' => character,
            _ => return None,
        });
    }
    Some(text)
}

/// The keys of the requests that are being done.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<HashSet<String>>>);

/// A request that is being done, until this is dropped.
pub struct Claim<'a> {
    running: &'a Running,
    key: String,
}

impl Running {
    /// Claims the key for a request.
    ///
    /// # Errors
    /// 409 while another one has it.
    pub fn claim(&self, key: &str) -> Result<Claim<'_>, Problem> {
        let is_new = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.to_owned());
        if is_new {
            return Ok(Claim {
                running: self,
                key: key.to_owned(),
            });
        }
        Err(Problem::of_kind(&problem::STILL_RUNNING))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut running = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_text_in_quotes() {
        assert_eq!(unquote(r#" "a b-1" "#).as_deref(), Some("a b-1"));
        assert_eq!(unquote(r#""a\"\\""#).as_deref(), Some(r#"a"\"#));
        for bad in [
            "",
            "a",
            "\"",
            "\"a",
            "a\"",
            r#""a"b""#,
            r#""a\b""#,
            r#""a\""#,
            "\"é\"",
            "\"a\";p=1",
        ] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }
}
