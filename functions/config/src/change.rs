//! `PUT` and `DELETE /api/v1/config/{key}`, for administrators.

use axum::{
    extract::State,
    http::{HeaderMap, header::ETAG},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::{
    api::{
        ApiError, Checks, Empty, ExpectedVersion, Input, Json, Optional, Reason, Rule, Success,
        entity_tag,
    },
    edge::Administrator,
    ids::UserId,
    request,
};

use crate::{
    key::{ConfigKey, PathKey},
    store::{Change, ConfigValue, RemoteConfig},
    value::{JsonText, MAX_VALUE, ValueError},
};

/// What stands around a value in a body.
const AROUND_VALUE: usize = 1024;

/// A value, and which version it replaces.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ConfigChange")
)]
#[serde(deny_unknown_fields)]
pub struct RawPut {
    /// Any JSON of at most 64 KiB.
    #[cfg_attr(feature = "openapi", schemars(with = "serde_json::Value"))]
    value: Box<RawValue>,
    /// The version that is replaced; none for a new value.
    #[serde(default)]
    version: Optional<u64>,
}

/// A value to be written, and the version that it replaces.
pub struct PutInput(RawPut);

impl Input for PutInput {
    type Raw = RawPut;

    const MAX_SIZE: usize = MAX_VALUE + AROUND_VALUE;

    fn parse(raw: RawPut, _: &mut Checks) -> Option<Self> {
        Some(Self(raw))
    }
}

impl PutInput {
    fn check(self, headers: &HeaderMap) -> Result<(JsonText, Option<ExpectedVersion>), ApiError> {
        let Self(RawPut { value, version }) = self;
        let mut checks = Checks::default();
        let value = match JsonText::check(value) {
            Ok(value) => Some(value),
            Err(ValueError::TooLarge) => return Err(Reason::BodyTooLarge.into()),
            Err(ValueError::Unreadable) => checks.field("value", Rule::Json, None),
        };
        let expected = ExpectedVersion::read(headers, version.0, &mut checks);
        checks.finish().map_err(ApiError::invalid)?;
        let value = value.ok_or(Reason::InvalidRequest)?;
        Ok((value, expected))
    }
}

/// Which version to delete.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ConfigDeletion")
)]
#[serde(deny_unknown_fields)]
pub struct RawDelete {
    /// The only version that is deleted.
    #[serde(default)]
    version: Optional<u64>,
}

/// The version to be deleted.
pub struct DeleteInput(Optional<u64>);

impl Input for DeleteInput {
    type Raw = RawDelete;

    const MAY_BE_EMPTY: bool = true;

    fn parse(raw: RawDelete, _: &mut Checks) -> Option<Self> {
        Some(Self(raw.version))
    }
}

/// Writes a value: a new one, or in place of the named version.
pub async fn put(
    caller: Administrator,
    State(remote_config): State<RemoteConfig>,
    headers: HeaderMap,
    key: PathKey,
    Json(input): Json<PutInput>,
) -> Result<impl IntoResponse, ApiError> {
    let key = key.check()?;
    let (value, expected) = input.check(&headers)?;
    let change = Change {
        key: &key,
        value: Some(&value),
        expected,
        by: caller.user.id,
    };
    let (version, updated_at) = remote_config.change(change).await?;
    audit_changed(&key, version, caller.user.id);
    let written = ConfigValue {
        key,
        value,
        version,
        updated_at,
    };
    Ok(([(ETAG, entity_tag(version))], Success(written)))
}

/// Deletes the value, or only the named version of it.
pub async fn delete(
    caller: Administrator,
    State(remote_config): State<RemoteConfig>,
    headers: HeaderMap,
    key: PathKey,
    Json(DeleteInput(version)): Json<DeleteInput>,
) -> Result<Success<Empty>, ApiError> {
    let key = key.check()?;
    let mut checks = Checks::default();
    let expected = ExpectedVersion::read(&headers, version.0, &mut checks);
    checks.finish().map_err(ApiError::invalid)?;
    let change = Change {
        key: &key,
        value: None,
        expected,
        by: caller.user.id,
    };
    let (version, _) = remote_config.change(change).await?;
    audit_deleted(&key, version, caller.user.id);
    Ok(Success(Empty {}))
}

fn audit_changed(key: &ConfigKey, version: u64, by: UserId) {
    tracing::info!(
        audit = "config_changed", %key, version, administrator_id = %by, request_id = request::id(),
        "an administrator changed remote configuration"
    );
}

fn audit_deleted(key: &ConfigKey, version: u64, by: UserId) {
    tracing::info!(
        audit = "config_deleted", %key, version, administrator_id = %by, request_id = request::id(),
        "an administrator deleted remote configuration"
    );
}
