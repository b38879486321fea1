//! What the rows of the table have in common.

use crate::fill::Contents;
use crate::process::{Place, Process, Service};
use crate::stand_ins::SENSORS;

pub const READERS: u32 = 32;
pub const WRITERS: u32 = 64;
/// What a row has that is not about many.
pub const FEW_SENSORS: Contents = Contents {
    sensors: SENSORS,
    changes: 0,
    is_published: true,
};

/// What the rows start from.
pub struct Setting<'a> {
    pub place: &'a Place,
    pub rounds: u32,
    pub service: Service,
    pub bare: Process,
    /// The tag of a sensor that no row changes before it was used.
    pub tag: String,
}
