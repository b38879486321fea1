use super::{Refusal, Revision};

/// What a request demands of the sensor's present state: RFC 9110 §13 in terms of revisions. For a write it is checked in
/// the transaction that changes the sensor, so that of two racing writers with one tag exactly one succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition {
    /// `If-Match`: the sensor has to be one of these.
    pub if_match: Option<Tags>,
    /// `If-None-Match`: the sensor must be none of these.
    pub if_none_match: Option<Tags>,
    /// Whether an existing sensor is only changed by a request with `If-Match` (`REQUIRE_IF_MATCH`).
    pub if_match_required: bool,
}

/// What a conditional header lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any state, as long as there is one.
    Any,
    /// These revisions. A tag that is malformed or of another epoch names none, and so never matches.
    Revisions(Vec<Revision>),
}

impl Precondition {
    /// Checks the present revision of the sensor; `None` when there is no sensor.
    ///
    /// # Errors
    /// [`Refusal::PreconditionFailed`], or [`Refusal::PreconditionRequired`] when the request has to state one.
    pub fn check(&self, present: Option<Revision>) -> Result<(), Refusal> {
        if self.if_match_required && self.if_match.is_none() && present.is_some() {
            return Err(Refusal::PreconditionRequired);
        }
        let matches = |tags: &Tags| present.is_some_and(|revision| tags.contain(revision));
        let stale = self.if_match.as_ref().is_some_and(|tags| !matches(tags));
        let unwanted = self.if_none_match.as_ref().is_some_and(matches);
        if stale || unwanted {
            Err(Refusal::PreconditionFailed)
        } else {
            Ok(())
        }
    }
}

impl Tags {
    /// Whether `revision` is listed.
    #[must_use]
    pub fn contain(&self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::Revisions(revisions) => revisions.contains(&revision),
        }
    }
}
