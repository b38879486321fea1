use paho_mqtt::{Error, ReasonCode};

use crate::events::{Answer, Refusal, Verdict};

/// What the broker's answer to a message means for the relay (MQTT 5 §3.4.2.1, §3.5.2.1).
pub(super) fn answer(outcome: Result<(), Error>) -> Answer {
    match outcome {
        Ok(()) => Answer::Accepted,
        Err(Error::ReasonCode(code, _)) if code.is_ok() => Answer::Accepted,
        Err(Error::ReasonCode(code, _)) => Answer::Refused(refusal(code)),
        Err(error) => Answer::Lost(error.to_string()),
    }
}

/// A refusal by reason code, with what follows from it.
pub(super) fn refusal(code: ReasonCode) -> Refusal {
    let verdict = match code {
        ReasonCode::NotAuthorized
        | ReasonCode::TopicNameInvalid
        | ReasonCode::PacketTooLarge
        | ReasonCode::PayloadFormatInvalid => Verdict::Never,
        ReasonCode::ServerUnavailable
        | ReasonCode::ServerBusy
        | ReasonCode::ServerShuttingDown
        | ReasonCode::KeepAliveTimeout
        | ReasonCode::SessionTakenOver
        | ReasonCode::MessageRateTooHigh
        | ReasonCode::QuotaExceeded
        | ReasonCode::AdministrativeAction
        | ReasonCode::QosNotSupported
        | ReasonCode::UseAnotherServer
        | ReasonCode::ServerMoved
        | ReasonCode::ConnectionRateExceeded
        | ReasonCode::MaximumConnectTime => Verdict::NotNow,
        _ => Verdict::Unclear,
    };
    Refusal {
        verdict,
        reason: format!("{code} (0x{:02x})", code as u8),
    }
}

/// What a DISCONNECT of the broker means (MQTT 5 §3.14.2.1). A message may be the reason for it, but not when the reason code is about
/// the broker, the connection or the rate of messages.
pub(super) fn farewell(code: ReasonCode) -> Refusal {
    let Refusal { verdict, reason } = refusal(code);
    Refusal {
        verdict,
        reason: format!("the broker disconnected: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_subscriber_is_a_success_and_a_quota_is_no_verdict_on_the_event() {
        let of = |code| answer(Err(Error::ReasonCode(code, paho_mqtt::Properties::new())));
        assert_eq!(of(ReasonCode::NoMatchingSubscribers), Answer::Accepted);
        assert_eq!(refusal(ReasonCode::QuotaExceeded).verdict, Verdict::NotNow);
        assert_eq!(refusal(ReasonCode::NotAuthorized).verdict, Verdict::Never);
        assert_eq!(refusal(ReasonCode::UnspecifiedError).verdict, Verdict::Unclear);
        assert_eq!(farewell(ReasonCode::MessageRateTooHigh).verdict, Verdict::NotNow);
    }
}
