//! A login that brings a code of the phone number button along. It succeeds whatever becomes of the
//! number, and says what did.

use std::time::Duration;

use serde::Serialize;
use shared::{
    accounts::{Bearer, Offer, PhoneError},
    api::ApiError,
    ids::{AppId, OpenId},
    request::{self, deadline},
    values::{OneTimeCode, Phone},
    wechat::WeChatError,
};
use tokio::time::Instant;

use super::{LoggedIn, Login};

/// How long WeChat and the table have for the number: less than a request with the same code waits.
const LIMIT: Duration = Duration::from_secs(3);
/// What of the request's time is left for its answer.
const MARGIN: Duration = Duration::from_millis(500);

/// What became of the number.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum PhoneOutcome {
    /// The user has it.
    Bound,
    /// Another user has it. What the caller can do about it, if anything.
    Taken {
        #[serde(flatten)]
        offer: Option<Offer>,
    },
    /// It is not known, or was not stored.
    Failed {
        /// The reason that `POST /user/phone` would have answered.
        #[cfg_attr(feature = "openapi", schemars(with = "shared::openapi::ReasonName"))]
        reason: &'static str,
    },
}

impl PhoneOutcome {
    fn failed(error: &ApiError) -> Self {
        let reason = error.reason().as_str();
        tracing::warn!(
            reason,
            cause = error.cause(),
            request_id = request::id(),
            "a login did not bind the phone number"
        );
        Self::Failed { reason }
    }
}

/// The number of a login, or why there is none; and until when it may be bound.
pub(super) struct Shared {
    number: Result<Phone, WeChatError>,
    until: Instant,
}

impl Login {
    /// The number behind the login's phone code.
    pub(super) async fn shared_number(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        code: &OneTimeCode,
    ) -> Shared {
        let left = deadline::remaining().map(|left| left.saturating_sub(MARGIN));
        let until = Instant::now() + left.map_or(LIMIT, |left| left.min(LIMIT));
        let number = Box::pin(self.phone.number(app_id, open_id, code));
        let number = deadline::scope(Some(until), number).await;
        Shared { number, until }
    }

    /// The login, with its number.
    pub(super) async fn with_number(&self, mut login: LoggedIn, shared: Shared) -> LoggedIn {
        let Shared { number, until } = shared;
        let outcome = match number {
            Ok(phone) => {
                let bearer = Bearer {
                    user: login.user.id,
                    session: login.session.id,
                };
                let bind = Box::pin(self.phone.bind(bearer, &phone));
                match deadline::scope(Some(until), bind).await {
                    Ok(user) => {
                        login.user = user;
                        PhoneOutcome::Bound
                    }
                    Err(PhoneError::Taken(offer)) => PhoneOutcome::Taken { offer },
                    Err(error) => PhoneOutcome::failed(&error.into()),
                }
            }
            Err(error) => PhoneOutcome::failed(&error.into()),
        };
        login.phone = Some(Box::new(outcome));
        login
    }

    /// A repeated login with a phone code: what WeChat said of the code is remembered.
    pub(super) async fn with_number_again(&self, login: LoggedIn, code: &OneTimeCode) -> LoggedIn {
        let app_id = login.session.app_id.clone();
        let open_id = self
            .identities
            .open_id(login.user.id, &app_id, login.session.id);
        match open_id.await {
            Ok(open_id) => {
                let shared = self.shared_number(&app_id, &open_id, code).await;
                self.with_number(login, shared).await
            }
            Err(error) => LoggedIn {
                phone: Some(Box::new(PhoneOutcome::failed(&error.into()))),
                ..login
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::accounts::Choice;

    use super::*;

    #[test]
    fn the_outcomes_are_as_documented() {
        let offer = || Offer {
            ticket: "t".into(),
            expires_in: 600,
            choice: Choice::Merge,
        };
        for (outcome, wanted) in [
            (PhoneOutcome::Bound, json!({"status": "bound"})),
            (
                PhoneOutcome::Taken {
                    offer: Some(offer()),
                },
                json!({"status": "taken", "ticket": "t", "expiresIn": 600, "choice": "merge"}),
            ),
            (
                PhoneOutcome::Taken { offer: None },
                json!({"status": "taken"}),
            ),
            (
                PhoneOutcome::Failed {
                    reason: "phone_code_invalid",
                },
                json!({"status": "failed", "reason": "phone_code_invalid"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), wanted);
        }
    }
}
