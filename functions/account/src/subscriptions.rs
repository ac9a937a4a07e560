//! `GET` and `PUT /api/v1/user/subscriptions`: the subscribe messages that the user agreed to receive.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Json, Reason, Rule, Success, Violation},
    config::MessageTemplates,
    edge::AuthenticatedUser,
    ids::{AppId, TemplateId},
    messages::{GrantRequest, Grants, GrantsError, IdempotencyKey},
    users::{Identities, IdentityError},
};

/// The most templates that `wx.requestSubscribeMessage` asks for at once.
const MAX_TEMPLATES: usize = 5;
/// The most characters of a result.
const MAX_RESULT: usize = 64;
/// The results that stand for an agreement to one message; with sound or as a reminder, too
/// (<https://developers.weixin.qq.com/miniprogram/dev/api/open-api/subscribe-message/wx.requestSubscribeMessage.html>).
const ACCEPTED: [&str; 4] = [
    "accept",
    "acceptWithAudio",
    "acceptWithAlert",
    "acceptWithForcePush",
];

/// What a call of `wx.requestSubscribeMessage` brought.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "SubscriptionResults")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawResults {
    /// Names the call: recording it again adds nothing.
    #[cfg_attr(feature = "openapi", schemars(with = "IdempotencyKey"))]
    request_id: String,
    /// By template, what the call said: `accept` and its kin count, every other word does not.
    #[cfg_attr(
        feature = "openapi",
        schemars(extend("minProperties" = 1, "maxProperties" = MAX_TEMPLATES))
    )]
    results: BTreeMap<String, String>,
}

/// What a user chose for templates. Which of them are used here is checked by the handler, because that
/// is a setting.
pub struct ResultsInput {
    request_id: IdempotencyKey,
    results: BTreeMap<TemplateId, bool>,
}

impl Input for ResultsInput {
    type Raw = RawResults;

    fn parse(raw: RawResults, checks: &mut Checks) -> Option<Self> {
        let request_id = raw.request_id.parse().ok();
        let request_id = checks.field("requestId", Rule::IdempotencyKey, request_id);
        let fits = (1..=MAX_TEMPLATES).contains(&raw.results.len())
            && raw.results.values().all(|word| word.len() <= MAX_RESULT);
        let fits = fits.then_some(());
        checks.field("results", Rule::SubscriptionResults, fits)?;
        let parse = |(template, word): (String, String)| {
            let id = template.parse().ok();
            let id = checks.field(&path(&template), Rule::TemplateId, id);
            Some((id?, ACCEPTED.contains(&word.as_str())))
        };
        let results = raw.results.into_iter().map(parse);
        // Every wrong one is noted before the first one ends this.
        let results: Vec<_> = results.collect();
        Some(Self {
            request_id: request_id?,
            results: results.into_iter().collect::<Option<_>>()?,
        })
    }
}

/// A template's place in the body. Its id is client input: returned, but cut to a limit.
fn path(template: &str) -> String {
    let template: String = template.chars().take(64).collect();
    format!("results.{template}")
}

/// The subscribe messages that a user agreed to receive.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SubscriptionList {
    /// Of the mini-program that the caller is in. A template that is not here has none.
    subscriptions: Vec<Subscription>,
}

/// How many messages of a template a user agreed to receive.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Subscription {
    template_id: TemplateId,
    app_id: AppId,
    /// How many more can be sent: each one uses up one.
    remaining: usize,
}

pub async fn list(
    caller: AuthenticatedUser,
    State(grants): State<Grants>,
) -> Result<Success<SubscriptionList>, ApiError> {
    remaining(&caller, &grants).await
}

pub async fn record(
    caller: AuthenticatedUser,
    State(grants): State<Grants>,
    State(identities): State<Identities>,
    State(templates): State<MessageTemplates>,
    Json(input): Json<ResultsInput>,
) -> Result<Success<SubscriptionList>, ApiError> {
    let accepted = accepted(input.results, &templates)?;
    let (user, app_id) = (caller.claims.sub, &caller.claims.aud);
    let open_id = identities.open_id(user, app_id, caller.claims.sid);
    let request = GrantRequest {
        user,
        app_id: app_id.clone(),
        open_id: open_id.await.map_err(unknown)?,
        request_id: input.request_id,
        accepted,
    };
    grants.record(&request).await.map_err(gone)?;
    remaining(&caller, &grants).await
}

/// The templates that the user accepted; all of them have to be used here.
fn accepted(
    results: BTreeMap<TemplateId, bool>,
    templates: &MessageTemplates,
) -> Result<Vec<TemplateId>, ApiError> {
    let unused = results.keys().filter(|id| !templates.allow(id));
    let violation = |id: &TemplateId| Violation::new(path(id.as_str()), Rule::TemplateId);
    let violations: Vec<_> = unused.map(violation).collect();
    if !violations.is_empty() {
        return Err(ApiError::invalid(violations));
    }
    let accepted = results.into_iter().filter(|(_, is_accepted)| *is_accepted);
    Ok(accepted.map(|(id, _)| id).collect())
}

async fn remaining(
    caller: &AuthenticatedUser,
    grants: &Grants,
) -> Result<Success<SubscriptionList>, ApiError> {
    let (user, app_id) = (caller.claims.sub, &caller.claims.aud);
    let remaining = grants.remaining(user, app_id).await?.into_iter();
    let each = remaining.map(|(template_id, remaining)| Subscription {
        template_id,
        app_id: app_id.clone(),
        remaining,
    });
    Ok(Success(SubscriptionList {
        subscriptions: each.collect(),
    }))
}

/// A user whose identity is gone since the session was looked at, or whose session does not say which
/// one of several it is of, has to log in again.
fn unknown(error: IdentityError) -> ApiError {
    match error {
        IdentityError::NotFound => ApiError::new(Reason::SessionRevoked).because(&error),
        IdentityError::Dynamo(error) => error.into(),
    }
}

/// A user who has gone since the session was looked at no longer has a session either.
fn gone(error: GrantsError) -> ApiError {
    match error {
        GrantsError::NotFound => ApiError::new(Reason::SessionRevoked).because(&error),
        GrantsError::Dynamo(error) => error.into(),
    }
}
