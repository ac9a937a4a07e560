//! `POST /api/v1/users`: moves a person in from another backend.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, response::IntoResponse};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Json, Optional, RawProfile, Reason, Rule, Success},
    config::NicknameMin,
    edge::Administrator,
    ids::{AppId, UserId},
    users::{Claimed, MoveInError, MovingIn, NewIdentity, NewUser, Taken},
    values::{Edit, Phone},
};

use crate::{Apps, account::etag, audit};

/// A transaction writes at most 100 rows: two for each identity, and a few.
const MAX_IDENTITIES: usize = 20;

/// A person from another backend.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "NewUser")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawUser {
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "shared::values::Nickname"))]
    nickname: Optional<String>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "shared::values::AvatarUrl"))]
    avatar_url: Optional<String>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "shared::users::Gender"))]
    gender: Optional<u8>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Phone"))]
    phone: Optional<SecretString>,
    /// Those of a mini-program once.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_IDENTITIES)))]
    identities: Vec<RawIdentity>,
}

/// A person in one mini-program.
#[expect(clippy::struct_field_names, reason = "they are WeChat's words")]
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "NewIdentity")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawIdentity {
    #[cfg_attr(feature = "openapi", schemars(with = "AppId"))]
    app_id: String,
    #[cfg_attr(feature = "openapi", schemars(with = "shared::ids::OpenId"))]
    open_id: String,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "shared::ids::UnionId"))]
    union_id: Optional<String>,
}

/// A person whose fields have the right types. The handler checks them, because two rules are settings.
pub struct UserInput(RawUser);

impl Input for UserInput {
    type Raw = RawUser;

    fn parse(raw: RawUser, _: &mut Checks) -> Option<Self> {
        Some(Self(raw))
    }
}

/// `data` of `user_exists`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Conflicts {
    conflicts: Vec<Conflict>,
}

/// Something that is another user's already.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Conflict {
    /// Where it stands in the body: `identities[0]`, `identities[0].unionId`, `phone`.
    field: String,
    /// Whose it is.
    user_id: UserId,
}

impl UserInput {
    fn check(self, apps: &Apps, nickname_min: NicknameMin) -> Result<NewUser, ApiError> {
        let Self(raw) = self;
        let mut checks = Checks::default();
        let profile = RawProfile {
            nickname: set(raw.nickname),
            avatar_url: set(raw.avatar_url),
            gender: set(raw.gender),
        };
        let profile = profile.check(nickname_min, &mut checks);
        let number = |text: SecretString| Phone::parse_international(text.expose_secret());
        let phone = raw.phone.0.map(number);
        let phone = phone.and_then(|phone| checks.field("phone", Rule::Phone, phone));
        let identities = identities(raw.identities, apps, &mut checks);
        checks.finish().map_err(ApiError::invalid)?;
        Ok(NewUser {
            nickname: value(profile.nickname),
            avatar_url: value(profile.avatar_url),
            gender: value(profile.gender),
            phone,
            identities,
        })
    }
}

fn set<T>(field: Optional<T>) -> Edit<T> {
    field.0.map_or(Edit::Keep, Edit::Set)
}

fn value<T>(edit: Edit<T>) -> Option<T> {
    match edit {
        Edit::Set(value) => Some(value),
        Edit::Keep | Edit::Clear => None,
    }
}

/// The identities; those that break a rule are left out and noted.
fn identities(raw: Vec<RawIdentity>, apps: &Apps, checks: &mut Checks) -> Vec<NewIdentity> {
    let of_distinct_apps: BTreeSet<_> = raw.iter().map(|identity| &identity.app_id).collect();
    let fits = (1..=MAX_IDENTITIES).contains(&raw.len()) && of_distinct_apps.len() == raw.len();
    if checks
        .field("identities", Rule::Identities, fits.then_some(()))
        .is_none()
    {
        return Vec::new();
    }
    let parsed = raw.into_iter().enumerate();
    parsed
        .filter_map(|(index, raw)| identity(index, &raw, apps, checks))
        .collect()
}

fn identity(
    index: usize,
    raw: &RawIdentity,
    apps: &Apps,
    checks: &mut Checks,
) -> Option<NewIdentity> {
    let field = |name: &str| format!("{}.{name}", path(index));
    let app_id: Option<AppId> = checks.field(&field("appId"), Rule::AppId, apps.find(&raw.app_id));
    let open_id = checks.field(&field("openId"), Rule::OpenId, raw.open_id.parse().ok());
    let union_id = match &raw.union_id.0 {
        Some(text) => checks
            .field(&field("unionId"), Rule::UnionId, text.parse().ok())
            .map(Some),
        None => Some(None),
    };
    Some(NewIdentity {
        app_id: app_id?,
        open_id: open_id?,
        union_id: union_id?,
    })
}

/// An identity's place in the body, as violations name it too.
fn path(index: usize) -> String {
    format!("identities[{index}]")
}

impl From<Taken> for Conflict {
    fn from(taken: Taken) -> Self {
        let field = match taken.what {
            Claimed::Identity(index) => path(index),
            Claimed::UnionId(index) => format!("{}.unionId", path(index)),
            Claimed::Phone => "phone".to_owned(),
        };
        Self {
            field,
            user_id: taken.user,
        }
    }
}

pub async fn move_in(
    caller: Administrator,
    State(moving_in): State<Arc<MovingIn>>,
    State(apps): State<Apps>,
    State(nickname_min): State<NicknameMin>,
    Json(input): Json<UserInput>,
) -> Result<impl IntoResponse, ApiError> {
    let person = input.check(&apps, nickname_min)?;
    let user = moving_in.move_in(&person).await.map_err(failure)?;
    audit::moved_in(caller.user.id, user.id);
    Ok((etag(&user), Success(user)))
}

fn failure(error: MoveInError) -> ApiError {
    match error {
        MoveInError::Taken(taken) => {
            let conflicts = taken.into_iter().map(Into::into).collect();
            ApiError::new(Reason::UserExists).with_data(&Conflicts { conflicts })
        }
        MoveInError::Dynamo(error) => error.into(),
    }
}
