//! `POST /api/v1/user/phone/resolve`: resolves that a number which the caller shared is bound
//! to another user.
//!
//! Part of this function, because a merge answers like a login, and what it needs (the keys of tokens,
//! the rows of whole accounts) is what logins need already.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shared::{
    accounts::{BarredFor, Bearer, Choice, MergeError, Redeemed},
    api::{Accepted, ApiError, Checks, Input, Json, Reason, Rule, Success},
    auth::{Claims, Client},
    edge::AuthenticatedUser,
    ids::UserId,
    saga::{Progress, SagaId},
    users::User,
};

use crate::{
    answer,
    flow::{LoggedIn, Login, to_its_end},
    user_agent,
};

/// A ticket, and what it is used for.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "PhoneResolution")
)]
#[serde(deny_unknown_fields)]
pub struct RawResolution {
    /// As it was offered.
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    ticket: SecretString,
    /// As it was offered.
    #[cfg_attr(feature = "openapi", schemars(with = "Choice"))]
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

/// What became of it.
enum Resolved {
    /// The caller has the number.
    Taken(Box<User>),
    /// The caller is logged in to the other account.
    Merged(Box<LoggedIn>),
    /// The merge goes on without the caller.
    Merging(Merging),
}

/// A merge that goes on without the client.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Merging {
    #[cfg_attr(feature = "openapi", schemars(extend("const" = "merging")))]
    status: &'static str,
    /// What an administrator finds the merge by; left out if it has just ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    saga: Option<SagaId>,
}

pub async fn resolve(
    caller: AuthenticatedUser,
    State(login): State<Arc<Login>>,
    headers: HeaderMap,
    Json(resolution): Json<Resolution>,
) -> Result<Response, ApiError> {
    let user_agent = user_agent(&headers);
    let work = Arc::clone(&login);
    // To its end, also when the client does not wait for the answer.
    let work = async move { work.resolve(&caller.claims, resolution, user_agent).await };
    let resolved = to_its_end(work).await?;
    Ok(match resolved {
        Resolved::Taken(user) => Success(user).into_response(),
        Resolved::Merged(logged_in) => Success(answer(&login, *logged_in)?).into_response(),
        Resolved::Merging(merging) => Accepted(merging).into_response(),
    })
}

impl Login {
    async fn resolve(
        &self,
        caller: &Claims,
        Resolution { ticket, choice }: Resolution,
        user_agent: Option<String>,
    ) -> Result<Resolved, ApiError> {
        let bearer = Bearer {
            user: caller.sub,
            session: caller.sid,
        };
        let redeemed = self.phone.redeem(bearer, &ticket, choice).await?;
        match choice {
            Choice::Take => {
                let user = self.phone.take(bearer, &redeemed).await?;
                Ok(Resolved::Taken(Box::new(user)))
            }
            Choice::Merge => {
                // The new session is of the same person as the caller's, which ends.
                let Claims { sub, aud, sid, .. } = caller;
                let open_id = self.identities.open_id(*sub, aud, *sid).await?;
                let client = Client {
                    app_id: aud.clone(),
                    open_id: Some(open_id),
                    user_agent,
                };
                Box::pin(self.merge(*sub, &redeemed, client)).await
            }
        }
    }

    /// The caller's account becomes part of the one that has the number. The bars of both are lifted
    /// when the merge has ended; one that has not is completed by the person's next login.
    async fn merge(
        &self,
        from: UserId,
        redeemed: &Redeemed,
        client: Client,
    ) -> Result<Resolved, ApiError> {
        let into = redeemed.holder.user.id;
        let proof = self.phone.merge_proof(redeemed);
        let progress = self.sagas.merge.begin(from, into, Some(proof)).await;
        match progress.map_err(|error| refusal(from, error))? {
            Progress::Done => {
                let opened = self.open_merged(into, client).await?;
                Ok(Resolved::Merged(Box::new(opened)))
            }
            Progress::Waiting(_) | Progress::Unfinished => {
                let saga = match self.sagas.bar_of(into).await? {
                    Some(BarredFor::Merge(saga)) => Some(saga),
                    Some(BarredFor::Deletion) | None => None,
                };
                let status = "merging";
                Ok(Resolved::Merging(Merging { status, saga }))
            }
            Progress::Undone => Err(Reason::Conflict.into()),
        }
    }
}

/// The ticket was used, or an account is not what it was when the ticket was looked at.
fn refusal(from: UserId, error: MergeError) -> ApiError {
    match error {
        MergeError::Unfit(user, _) if user == from => {
            ApiError::new(Reason::SessionRevoked).because(&error)
        }
        MergeError::ProofFailed | MergeError::SameAccount | MergeError::Unfit(..) => {
            ApiError::new(Reason::TicketInvalid).because(&error)
        }
        MergeError::Saga(_) => error.into(),
    }
}
