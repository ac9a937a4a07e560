//! `POST /api/v1/user/avatar`: a form to upload a picture with.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Json, Rule, Success, Violation},
    edge::AuthenticatedUser,
    objects::UploadForm,
    resilience::{
        Limiter,
        rate_limit::{Cost, Identity},
    },
    users::{Avatars, Begun},
    values::ImageType,
};

/// A picture that is to be uploaded.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "Picture")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawPicture {
    #[cfg_attr(feature = "openapi", schemars(with = "ImageType"))]
    content_type: String,
    /// In bytes, at most `AVATAR_MAX_BYTES`.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    size: u64,
}

/// The picture that is to be uploaded. Whether it is too large is checked by the handler, because the
/// limit is a setting.
pub struct PictureInput {
    kind: ImageType,
    size: u64,
}

impl Input for PictureInput {
    type Raw = RawPicture;

    fn parse(raw: RawPicture, checks: &mut Checks) -> Option<Self> {
        let kind = ImageType::of_content_type(&raw.content_type);
        let size = (raw.size > 0).then_some(raw.size);
        let kind = checks.field("contentType", Rule::AvatarType, kind);
        let size = checks.field("size", Rule::AvatarSize, size);
        Some(Self {
            kind: kind?,
            size: size?,
        })
    }
}

/// What a form costs its user.
#[derive(Clone, Copy)]
pub struct FormCost(pub Option<Cost>);

/// Whether WeChat checks pictures.
#[derive(Clone, Copy)]
pub struct AreChecked(pub bool);

/// The form, and what it takes.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "AvatarForm")
)]
#[serde(rename_all = "camelCase")]
pub struct FormResponse {
    #[serde(flatten)]
    form: UploadForm,
    /// To confirm the upload with.
    #[cfg_attr(feature = "openapi", schemars(with = "shared::users::UploadId"))]
    key: String,
    /// In seconds.
    expires_in: u64,
    /// Of the file.
    max_bytes: u32,
}

pub async fn begin(
    caller: AuthenticatedUser,
    State(avatars): State<Avatars>,
    State(limiter): State<Limiter>,
    State(FormCost(cost)): State<FormCost>,
    State(AreChecked(are_checked)): State<AreChecked>,
    Json(picture): Json<PictureInput>,
) -> Result<Success<FormResponse>, ApiError> {
    let limit = avatars.store()?.max_bytes;
    if are_checked && !picture.kind.can_be_checked() {
        let violation = Violation::new("contentType", Rule::AvatarCheckedType);
        return Err(ApiError::invalid(vec![violation]));
    }
    let fits = u32::try_from(picture.size)
        .ok()
        .filter(|size| *size <= limit);
    let Some(max_bytes) = fits else {
        let violation = Violation::new("size", Rule::AvatarSize);
        return Err(ApiError::invalid(vec![violation]));
    };
    let (user, app_id) = (caller.claims.sub, &caller.claims.aud);
    limiter.charge(Identity::User(user), cost).await?;
    let Begun { id, form, lifetime } = avatars.begin(user, app_id, picture.kind, max_bytes).await?;
    Ok(Success(FormResponse {
        form,
        key: id.upload_key(),
        expires_in: lifetime.as_secs(),
        max_bytes,
    }))
}
