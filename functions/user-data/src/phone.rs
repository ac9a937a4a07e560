//! `POST /api/v1/user/phone`: binds the number that the user shared with the phone number button.

use std::sync::Arc;

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use shared::{
    accounts::{Bearer, PhoneBinding},
    api::{ApiError, Checks, Input, Json, Rule, Success},
    auth::Claims,
    edge::AuthenticatedUser,
    instance::Instance,
    users::{Identities, User},
    values::OneTimeCode,
};

/// A code of the phone number button.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "PhoneBody")
)]
#[serde(deny_unknown_fields)]
pub struct RawCode {
    /// A code of the phone number button.
    #[cfg_attr(feature = "openapi", schemars(with = "OneTimeCode"))]
    code: SecretString,
}

/// A code of the phone number button.
pub struct PhoneInput(OneTimeCode);

impl Input for PhoneInput {
    type Raw = RawCode;

    fn parse(raw: RawCode, checks: &mut Checks) -> Option<Self> {
        let code = OneTimeCode::parse(raw.code);
        checks.field("code", Rule::PhoneCode, code).map(Self)
    }
}

/// Fetches numbers from WeChat and binds them.
pub struct Phones {
    identities: Identities,
    binding: PhoneBinding,
}

impl Phones {
    pub fn new(instance: &Instance) -> Self {
        Self {
            identities: instance.identities(),
            binding: instance.phone_binding(),
        }
    }

    async fn bind(&self, caller: &Claims, code: &OneTimeCode) -> Result<User, ApiError> {
        let Claims { sub, aud, sid, .. } = caller;
        let open_id = self.identities.open_id(*sub, aud, *sid).await?;
        let phone = self.binding.number(aud, &open_id, code).await?;
        let bearer = Bearer {
            user: *sub,
            session: *sid,
        };
        Ok(self.binding.bind(bearer, &phone).await?)
    }
}

pub async fn bind(
    caller: AuthenticatedUser,
    State(phones): State<Arc<Phones>>,
    Json(PhoneInput(code)): Json<PhoneInput>,
) -> Result<Success<User>, ApiError> {
    Ok(Success(phones.bind(&caller.claims, &code).await?))
}
