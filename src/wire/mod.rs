//! Every public form, each in one place, so that what a GET returns, what an event carries and what is stored are
//! the same bytes.

pub mod attributes;
pub mod bodies;
pub mod changes;
pub mod csv;
pub mod event;
pub mod fold;
pub mod hal;
pub mod history;
pub mod input;
pub mod json;
pub mod json_patch;
pub mod link;
pub mod members;
pub mod merge_patch;
pub mod page;
pub mod plot;
pub mod presence;
pub mod representation;
#[cfg(test)]
pub(crate) mod samples;
pub mod stored;
pub mod xml;
