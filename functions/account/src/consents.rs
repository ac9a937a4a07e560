//! `GET /api/v1/user/consents`, `PUT` and `DELETE /api/v1/user/consents/{document}`

use axum::extract::{Path, State, rejection::PathRejection};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Json, Reason, Rule, Success, Violation},
    config::RequiredConsent,
    edge::AuthenticatedUser,
    ids::DocumentId,
    users::{AgreedVersions, Consent, ConsentRequest, Consents, RequiredConsents, UserError},
};

/// The body of an agreement.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ConsentVersion")
)]
#[serde(deny_unknown_fields)]
pub struct RawVersion {
    /// At most the one that is required now.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    version: u32,
}

/// The version that the user agrees to. Whether it is one is checked by the handler, because that
/// depends on the document.
pub struct VersionInput(u32);

impl Input for VersionInput {
    type Raw = RawVersion;

    fn parse(raw: RawVersion, _: &mut Checks) -> Option<Self> {
        Some(Self(raw.version))
    }
}

/// What a user agreed to, and has to agree to.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConsentList {
    /// What the user agrees to now.
    consents: AgreedVersions,
    required: Vec<RequiredConsent>,
    consents_missing: Vec<RequiredConsent>,
    /// The newest first.
    history: Vec<Consent>,
}

/// An agreement or a withdrawal, and what it leaves.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConsentChange {
    /// The agreement that was made, held already, or was withdrawn.
    consent: Option<Consent>,
    consents: AgreedVersions,
    consents_missing: Vec<RequiredConsent>,
}

pub async fn list(
    caller: AuthenticatedUser,
    State(consents): State<Consents>,
    State(required): State<RequiredConsents>,
) -> Result<Success<ConsentList>, ApiError> {
    let (agreed, history) = consents.list(caller.claims.sub).await.map_err(gone)?;
    Ok(Success(ConsentList {
        required: required.all().to_vec(),
        consents_missing: required.missing(&agreed),
        consents: agreed,
        history,
    }))
}

pub async fn agree(
    caller: AuthenticatedUser,
    State(consents): State<Consents>,
    State(required): State<RequiredConsents>,
    document: Result<Path<String>, PathRejection>,
    Json(VersionInput(version)): Json<VersionInput>,
) -> Result<Success<ConsentChange>, ApiError> {
    let document = parse(document)?;
    let current = required.version(&document).ok_or(Reason::NotFound)?;
    if !(1..=current).contains(&version) {
        let violation = Violation::new("version", Rule::ConsentVersion);
        return Err(ApiError::invalid(vec![violation]));
    }
    let request = request(&caller, &document);
    let agreed = consents.agree(&request, version).await;
    let (consent, agreed) = agreed.map_err(gone)?;
    Ok(change(Some(consent), agreed, &required))
}

pub async fn withdraw(
    caller: AuthenticatedUser,
    State(consents): State<Consents>,
    State(required): State<RequiredConsents>,
    document: Result<Path<String>, PathRejection>,
) -> Result<Success<ConsentChange>, ApiError> {
    let document = parse(document)?;
    let request = request(&caller, &document);
    let (consent, agreed) = consents.withdraw(&request).await.map_err(gone)?;
    // What was agreed to can be withdrawn also when nobody is asked for it now.
    if consent.is_none() && required.version(&document).is_none() {
        return Err(Reason::NotFound.into());
    }
    Ok(change(consent, agreed, &required))
}

/// A malformed name is of no document.
fn parse(document: Result<Path<String>, PathRejection>) -> Result<DocumentId, Reason> {
    let document = document.ok().and_then(|Path(name)| name.parse().ok());
    document.ok_or(Reason::NotFound)
}

fn request<'a>(caller: &'a AuthenticatedUser, document: &'a DocumentId) -> ConsentRequest<'a> {
    ConsentRequest {
        user: caller.claims.sub,
        app_id: &caller.claims.aud,
        document,
    }
}

fn change(
    consent: Option<Consent>,
    agreed: AgreedVersions,
    required: &RequiredConsents,
) -> Success<ConsentChange> {
    Success(ConsentChange {
        consent,
        consents_missing: required.missing(&agreed),
        consents: agreed,
    })
}

/// A user who has gone since the session was looked at no longer has a session either.
fn gone(error: UserError) -> ApiError {
    match error {
        UserError::NotFound => ApiError::new(Reason::SessionRevoked).because(&error),
        UserError::Dynamo(error) => error.into(),
    }
}
