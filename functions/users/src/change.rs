//! `PUT /api/v1/users/{id}`

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::IntoResponse,
};
use http::HeaderMap;
use serde::Deserialize;
use shared::{
    accounts::AccountSagas,
    api::{
        ApiError, Checks, ExpectedVersion, Input, Json, Optional, RawProfile, Reason, Rule,
        Success, Violation,
    },
    auth::{Revoker, Sessions},
    config::NicknameMin,
    edge::Administrator,
    ids::UserId,
    instance::Instance,
    saga::SagaError,
    users::{Avatars, Cancelled, ChangeError, ManagedUserChange, ManagedUsers, Role, Status, User},
    values::Edit,
};

use crate::{account::etag, audit, user_id};

/// A JSON merge patch (RFC 7396), and the version that it was made for.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UserChange")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawAccountChange {
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Edit<shared::values::Nickname>"))]
    nickname: Edit<String>,
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "Edit<shared::values::AvatarUrl>")
    )]
    avatar_url: Edit<String>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Edit<shared::users::Gender>"))]
    gender: Edit<u8>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Role"))]
    role: Optional<String>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("enum" = [Status::Active.as_str(), Status::Disabled.as_str()])))]
    status: Optional<String>,
    /// That the change was made for.
    #[serde(default)]
    version: Optional<u64>,
}

/// A change whose fields have the right types. The handler checks them, because one rule is a setting.
pub struct ChangeInput(RawAccountChange);

impl Input for ChangeInput {
    type Raw = RawAccountChange;

    fn parse(raw: RawAccountChange, _: &mut Checks) -> Option<Self> {
        Some(Self(raw))
    }
}

impl ChangeInput {
    /// The change of at least one field, and the version that it was made for.
    fn check(
        self,
        headers: &HeaderMap,
        nickname_min: NicknameMin,
    ) -> Result<(ManagedUserChange, ExpectedVersion), ApiError> {
        let Self(raw) = self;
        let mut checks = Checks::default();
        let profile = RawProfile {
            nickname: raw.nickname,
            avatar_url: raw.avatar_url,
            gender: raw.gender,
        };
        let role = raw.role.0.map(|text| Role::parse(&text));
        // Barred is what a deletion or a merge makes an account, not a change.
        let settable = |status: &Status| *status != Status::Barred;
        let status = raw
            .status
            .0
            .map(|text| Status::parse(&text).filter(settable));
        let change = ManagedUserChange {
            profile: profile.check(nickname_min, &mut checks),
            role: role.and_then(|role| checks.field("role", Rule::Role, role)),
            status: status.and_then(|status| checks.field("status", Rule::Status, status)),
        };
        let expected = ExpectedVersion::require(headers, raw.version.0, &mut checks);
        checks.finish().map_err(ApiError::invalid)?;
        if change == ManagedUserChange::default() {
            return Err(ApiError::invalid(vec![Violation::new("", Rule::NoChange)]));
        }
        let expected = expected.ok_or(Reason::InvalidRequest)?;
        Ok((change, expected))
    }
}

/// Changes the user; one that disables them also ends all their sessions. If that fails, the same
/// request can be sent again. So does one that enables them, before they can be used: a login that
/// was on its way while the user was disabled may have opened one since.
pub async fn change(
    caller: Administrator,
    State(changing): State<Changing>,
    State(nickname_min): State<NicknameMin>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    Json(input): Json<ChangeInput>,
) -> Result<impl IntoResponse, ApiError> {
    let id = user_id(id)?;
    let (change, expected) = input.check(&headers, nickname_min)?;
    if change.status == Some(Status::Active) {
        changing
            .end_sessions_of_disabled(id, caller.user.id)
            .await?;
    }
    let changed = changing.change(&caller.user, id, expected.version(), &change);
    let user = match changed.await {
        Ok(user) => user,
        Err(error) => {
            changing.complete_older(id, &change, &error).await?;
            return Err(failure(error, expected));
        }
    };
    audit::changed(caller.user.id, id, &change.fields(), user.version);
    if change.status == Some(Status::Disabled) {
        let by = Revoker::administrator(caller.user.id);
        changing.sessions.revoke_all(id, None, by).await?;
        audit::sessions_ended(caller.user.id, id);
    }
    if change.profile.avatar_url != Edit::Keep {
        // The picture that it was before, and what is being checked.
        changing.avatars.sweep(id, Cancelled::All).await?;
    }
    Ok((etag(&user), Success(user)))
}

/// What users are changed with.
#[derive(Clone)]
pub struct Changing {
    managed_users: ManagedUsers,
    sessions: Sessions,
    avatars: Avatars,
    sagas: AccountSagas,
}

/// Why a user was not changed.
enum Failure {
    Change(ChangeError),
    /// The account is barred by a merge, which could not be brought to its end.
    Merge(SagaError),
}

impl Changing {
    pub fn new(instance: &Instance) -> Self {
        Self {
            managed_users: instance.managed_users(),
            sessions: instance.sessions(),
            avatars: instance.avatars(),
            sagas: instance.account_sagas(),
        }
    }

    /// Changes the user; where a merge bars the account, after that has ended.
    async fn change(
        &self,
        by: &User,
        id: UserId,
        expected: u64,
        change: &ManagedUserChange,
    ) -> Result<User, Failure> {
        let attempt = || self.managed_users.change(by, id, expected, change);
        match attempt().await {
            Err(ChangeError::Barred)
                if self.sagas.end_merge_of(id).await.map_err(Failure::Merge)? => {}
            outcome => return outcome.map_err(Failure::Change),
        }
        attempt().await.map_err(Failure::Change)
    }

    /// The user has another version: the first request may have made this change and failed behind it,
    /// and others have come since. What it should have deleted goes; what the user has chosen since
    /// stays.
    async fn complete_older(
        &self,
        id: UserId,
        change: &ManagedUserChange,
        failure: &Failure,
    ) -> Result<(), ApiError> {
        let is_stale = matches!(failure, Failure::Change(ChangeError::Stale));
        if is_stale && change.profile.avatar_url != Edit::Keep {
            self.avatars.sweep(id, Cancelled::Nothing).await?;
        }
        Ok(())
    }

    async fn end_sessions_of_disabled(&self, id: UserId, by: UserId) -> Result<(), ApiError> {
        let account = self.managed_users.get(id).await?;
        if account.user.status == Status::Disabled {
            let by = Revoker::administrator(by);
            self.sessions.revoke_all(id, None, by).await?;
        }
        Ok(())
    }
}

fn failure(failure: Failure, expected: ExpectedVersion) -> ApiError {
    let error = match failure {
        Failure::Change(error) => error,
        Failure::Merge(error) => return error.into(),
    };
    match error {
        ChangeError::NotFound => Reason::NotFound.into(),
        ChangeError::Barred => Reason::AccountDeletionPending.into(),
        ChangeError::Stale => expected.mismatch().into(),
        ChangeError::OwnRights => Reason::OwnRights.into(),
        ChangeError::NotAdministrator => Reason::Forbidden.into(),
        ChangeError::Dynamo(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(body: &str) -> Result<ManagedUserChange, ApiError> {
        let input = ChangeInput(serde_json::from_str(body).unwrap());
        let checked = input.check(&HeaderMap::new(), NicknameMin(2));
        checked.map(|(change, _)| change)
    }

    #[test]
    fn a_change_names_fields_and_words() {
        let changed = change(r#"{"version":1,"role":"admin","nickname":null}"#).unwrap();
        assert_eq!(changed.role, Some(Role::Admin));
        assert_eq!(changed.fields(), ["nickname", "role"]);
        for body in [
            r#"{"version":1}"#,
            r#"{"version":1,"role":"Admin"}"#,
            r#"{"version":1,"status":"deleted"}"#,
            r#"{"version":1,"nickname":"x"}"#,
            r#"{"role":"admin"}"#,
        ] {
            let error = change(body).unwrap_err();
            assert_eq!(error.reason(), Reason::InvalidRequest, "{body}");
        }
    }
}
