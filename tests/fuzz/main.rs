//! Any bytes at every parser that meets bytes from outside: none of them may panic, and what they let through keeps their
//! promise.
//!
//! For 2 s each in `cargo test`, for a minute with `make fuzz`. Because random bytes are hardly ever JSON, one byte in two
//! stands for a word.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail loudly")]

mod bodies;
mod requests;
mod texts;
mod words;
