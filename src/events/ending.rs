use super::progress::Gap;
use super::sink::{Refusal, Verdict};

/// Why a connection's life ended.
pub(super) enum Ending {
    /// The relay was told to stop, and said farewell to the subscribers.
    Stopped,
    /// The connection was lost, which the first unacknowledged event may have caused.
    Lost(String),
    /// The broker is there and does not do its work now.
    NotNow(String),
}

impl From<Gap> for Ending {
    fn from(_: Gap) -> Self {
        Self::NotNow("events would be passed over".to_owned())
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        match refusal.verdict {
            Verdict::NotNow => Self::NotNow(refusal.reason),
            Verdict::Never | Verdict::Unclear => Self::Lost(refusal.reason),
        }
    }
}
