//! Any bytes at every parser that meets bytes from outside: none of them may panic, and what they let through keeps their
//! promise.
//!
//! In `cargo test` for seconds, with random bytes; with `make fuzz` for a minute each, with libFuzzer, which sees what code
//! the bytes reach. Because random bytes are hardly ever JSON, one byte in two stands for a word.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail loudly")]

mod bodies;
mod requests;
mod texts;
mod words;
