//! `POST /api/v1/user/phone/resolve`: resolves that a number which the caller proved to have is bound
//! to another user.
//!
//! Part of this function, because a merge answers like a login, and what it needs (the keys of tokens,
//! the rows of whole accounts) is what logins need already.

use std::sync::Arc;

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use shared::{
    accounts::{Bearer, Choice, PhoneBinding},
    api::{ApiError, Checks, Input, Json, Reason, Rule, Success},
    auth::Claims,
    edge::AuthenticatedUser,
    request,
    users::User,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawResolution {
    ticket: SecretString,
    choice: String,
}

/// A ticket, and what it is used for.
pub struct Resolution {
    ticket: SecretString,
    choice: Choice,
}

impl Input for Resolution {
    type Raw = RawResolution;

    fn parse(raw: RawResolution, checks: &mut Checks) -> Option<Self> {
        let choice = checks.field("choice", Rule::Choice, Choice::parse(&raw.choice));
        let ticket = raw.ticket;
        choice.map(|choice| Self { ticket, choice })
    }
}

pub async fn resolve(
    caller: AuthenticatedUser,
    State(phone): State<Arc<PhoneBinding>>,
    Json(resolution): Json<Resolution>,
) -> Result<Success<User>, ApiError> {
    // To its end, also when the client does not wait for the answer.
    let user = request::run_to_end(run(phone, caller.claims, resolution)).await;
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    Ok(Success(user.map_err(crashed)??))
}

async fn run(
    phone: Arc<PhoneBinding>,
    caller: Claims,
    Resolution { ticket, choice }: Resolution,
) -> Result<User, ApiError> {
    let bearer = Bearer {
        user: caller.sub,
        session: caller.sid,
    };
    let redeemed = phone.redeem(bearer, &ticket, choice).await?;
    match choice {
        Choice::Take => Ok(phone.take(bearer, &redeemed).await?),
        Choice::Merge => Err(Reason::Unavailable.into()),
    }
}
