//! `POST /api/v1/users/search`: the user with a phone number.
//!
//! The number stands in the body, so that it is in no address, and in no log of addresses.

use std::sync::Arc;

use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::{
    api::{ApiError, Checks, Input, Json, Rule, Success},
    edge::Administrator,
    users::PhoneNumbers,
    values::Phone,
};

use crate::summary::UserList;

/// Whom to search.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UserSearch")
)]
#[serde(deny_unknown_fields)]
pub struct RawSearch {
    #[cfg_attr(feature = "openapi", schemars(with = "Phone"))]
    phone: SecretString,
}

/// A phone number.
pub struct SearchInput(Phone);

impl Input for SearchInput {
    type Raw = RawSearch;

    fn parse(raw: RawSearch, checks: &mut Checks) -> Option<Self> {
        let phone = Phone::parse_international(raw.phone.expose_secret());
        checks.field("phone", Rule::Phone, phone).map(Self)
    }
}

pub async fn search(
    _caller: Administrator,
    State(numbers): State<Arc<PhoneNumbers>>,
    Json(SearchInput(phone)): Json<SearchInput>,
) -> Result<Success<UserList>, ApiError> {
    let owners = numbers.owners(&phone).await?;
    Ok(Success(UserList {
        users: owners.into_iter().map(Into::into).collect(),
        cursor: None,
    }))
}
