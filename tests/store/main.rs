//! The store by its public functions, where a test needs more than a client can do: many changes in a short time, a clock
//! that is moved, files that are replaced.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail loudly"
)]

mod cache;
mod damage;
mod fixture;
mod lists;
mod log;
mod own_log;
mod retention;
