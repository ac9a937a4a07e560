//! Of which kind a message is, and how far it is.

use serde::{Deserialize, Serialize};

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A subscribe message, which the user agreed to receive.
    Subscribe,
    /// A reply of customer service, to what the user wrote in the last 48 hours.
    CustomerService,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// It waits until it is sent.
    Queued,
    /// A process is sending it.
    Sending,
    /// WeChat took it.
    Sent,
    /// WeChat or the user does not want it.
    Refused,
    /// It can't be sent.
    Failed,
    /// WeChat may have taken it or not: its answer got lost. It is not sent again.
    Unconfirmed,
}

impl MessageKind {
    /// As it is stored, and as clients see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::CustomerService => "customer_service",
        }
    }
}

impl MessageStatus {
    /// As it is stored, and as clients see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// Whether the status is final.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_stored_as_clients_see_it() {
        for (status, is_final) in [
            (MessageStatus::Queued, false),
            (MessageStatus::Sending, false),
            (MessageStatus::Sent, true),
            (MessageStatus::Refused, true),
            (MessageStatus::Failed, true),
            (MessageStatus::Unconfirmed, true),
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(status.is_final(), is_final, "{status:?}");
        }
        for kind in [MessageKind::Subscribe, MessageKind::CustomerService] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
