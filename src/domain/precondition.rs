use super::{Refusal, Revision};

/// What a write demands of the sensor's present state, checked in the transaction that changes it.
///
/// `If-Match` and `If-None-Match` of RFC 9110 §13.1 in terms of revisions: a tag that is weak, malformed or of another
/// epoch never matches, so it has no revision and is simply missing from the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing is demanded.
    None,
    /// Nothing is demanded of a sensor that is not there, but an existing one must be named (`REQUIRE_IF_MATCH`).
    Required,
    /// `If-Match: *`: there must be a sensor.
    Exists,
    /// `If-None-Match: *`: there must be none.
    Absent,
    /// `If-Match` with tags: the sensor is at one of these revisions.
    AtRevision(Vec<Revision>),
    /// `If-None-Match` with tags: the sensor is at none of these revisions.
    NotAtRevision(Vec<Revision>),
}

impl Precondition {
    /// Checks the present revision of the sensor; `None` when there is no sensor.
    ///
    /// # Errors
    /// [`Refusal::PreconditionFailed`], or [`Refusal::PreconditionRequired`] where the request stated none and must.
    pub fn check(&self, present: Option<Revision>) -> Result<(), Refusal> {
        let holds = match (self, present) {
            (Self::Required, Some(_)) => return Err(Refusal::PreconditionRequired),
            (Self::None | Self::Required, _) | (Self::NotAtRevision(_), None) => true,
            (Self::Exists, present) => present.is_some(),
            (Self::Absent, present) => present.is_none(),
            (Self::AtRevision(allowed), present) => {
                present.is_some_and(|revision| allowed.contains(&revision))
            }
            (Self::NotAtRevision(excluded), Some(revision)) => !excluded.contains(&revision),
        };
        holds.then_some(()).ok_or(Refusal::PreconditionFailed)
    }
}
