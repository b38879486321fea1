//! What is true without any technology: sensors, their names and values, and the rules by which they change.
//!
//! No I/O, no async, no clock: time and ids are passed in. JSON appears only as a data type (`serde_json::Number` and
//! `Map`), because a sensor's value and metadata *are* JSON.

mod area;
mod change;
mod fault;
mod identity;
mod label;
mod listing;
mod location;
mod metadata;
mod precondition;
mod revision;
mod sensor;
mod text;
mod timestamp;
mod value;

pub use area::{BoundingBox, Center, Circle, Rectangle};
pub use change::{Change, ChangeKind, EventForm, Moment, Refusal, create, delete, revise};
pub use fault::{Fault, escape};
pub use identity::{SensorId, SensorName, SensorRef};
pub use label::Label;
pub use listing::{Filter, Listing, NamePattern, Order, Position, SortKey, Start, finite_number, number_text};
pub use location::Location;
pub use metadata::Metadata;
pub use precondition::{Precondition, Tags, Unmet, Version};
pub use revision::{Cursor, Epoch, Revision};
pub use sensor::{MeasuredAt, Properties, Sensor, Status};
pub use timestamp::Timestamp;
pub use value::{Value, canonical_number};
