use crate::domain::Epoch;

const PREFIX: &str = "sensorcast-";

/// The relay's client id: the same for every connection of one store, another for every store. Short enough for every
/// broker (MQTT 5 §3.1.3.1: 23 bytes).
pub(super) fn of(epoch: &Epoch) -> String {
    format!("{PREFIX}{epoch}")
}

/// Whether an id looks like a relay's: of any epoch, because the built-in broker outlives a restore.
#[cfg(feature = "broker")]
pub(super) fn is_relays(client_id: &str) -> bool {
    let epoch = client_id.strip_prefix(PREFIX);
    epoch.is_some_and(|epoch| epoch.parse::<Epoch>().is_ok())
}
