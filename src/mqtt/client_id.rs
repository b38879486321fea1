use crate::domain::Epoch;

const PREFIX: &str = "sensorcast-";
/// Between the relay's own id and the number of an alternative one.
const OTHER: char = '.';

/// How many alternatives there are. After the last one the relay takes its own id again, which may be the only one that the broker
/// accepts.
pub(super) const OTHERS: u32 = 9;

/// The relay's client id: the same for every connection of one store, another for every store. Short enough for every
/// broker (MQTT 5 §3.1.3.1: 23 bytes).
pub(super) fn of(epoch: &Epoch) -> String {
    format!("{PREFIX}{epoch}")
}

/// The alternative that the relay takes on this attempt, 1 to [`OTHERS`], when another client may be using its own id.
pub(super) fn other(client_id: &str, attempt: u32) -> String {
    format!("{client_id}{OTHER}{attempt}")
}

/// Whether an id looks like a relay's: of any epoch, because the built-in broker outlives a restore.
#[cfg(feature = "broker")]
pub(super) fn is_relays(client_id: &str) -> bool {
    let epoch = client_id.strip_prefix(PREFIX);
    let epoch = epoch.and_then(|epoch| epoch.split(OTHER).next());
    epoch.is_some_and(|epoch| epoch.parse::<Epoch>().is_ok())
}
