//! `PUT /api/v1/user/avatar`: what was uploaded becomes the user's avatar, at once or when WeChat has
//! checked it.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shared::{
    api::{Accepted, ApiError, Checks, Input, Json, Reason, Rule, Success},
    auth::Claims,
    clock::Clock,
    dynamo::DynamoError,
    edge::AuthenticatedUser,
    objects::ObjectStart,
    request,
    users::{AvatarError, Avatars, Cancelled, Phase, Profiles, Upload, UploadId, User},
};

use crate::check::{Asked, PictureCheck};

/// How often an upload is read again that another request is moving on.
const ATTEMPTS: u32 = 4;
/// The pause in between.
const PAUSE: Duration = Duration::from_millis(100);

/// What was uploaded.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "AvatarKey")
)]
#[serde(deny_unknown_fields)]
pub struct RawKey {
    /// The one that came with the form.
    #[cfg_attr(feature = "openapi", schemars(with = "UploadId"))]
    key: String,
}

/// The key that came with a form.
pub struct KeyInput(UploadId);

impl Input for KeyInput {
    type Raw = RawKey;

    fn parse(raw: RawKey, checks: &mut Checks) -> Option<Self> {
        let id = UploadId::of_key(&raw.key);
        checks.field("key", Rule::AvatarKey, id).map(Self)
    }
}

/// What became of the picture.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "AvatarStatus")
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is the user's avatar.
    Published,
    /// WeChat is checking it.
    Checking,
}

/// What became of an upload.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "AvatarConfirmation")
)]
pub struct Confirmed {
    status: Status,
    user: User,
}

/// What a confirmation has come to.
enum Outcome {
    /// The picture is the user's avatar. What it replaces is still there if this request published it.
    Published(Option<Box<Upload>>),
    Checking,
}

/// What was uploaded, if it was looked at, and something was.
type Looked = Option<Option<ObjectStart>>;

/// Confirms uploads.
pub struct Confirmation {
    pub avatars: Avatars,
    pub check: Option<PictureCheck>,
    pub profiles: Profiles,
    pub clock: Clock,
}

impl Confirmation {
    /// Confirms; what is left to delete is deleted while the profile is read.
    async fn run(&self, caller: AuthenticatedUser, id: &UploadId) -> Result<Confirmed, ApiError> {
        let claims = &caller.claims;
        let outcome = self.confirm(claims, id).await?;
        let (status, user) = match &outcome {
            // The avatar is the one before.
            Outcome::Checking => (Status::Checking, caller.user),
            Outcome::Published(replaced) => {
                let tidy_up = async {
                    if let Some(upload) = replaced {
                        self.avatars.tidy_up(claims.sub, upload).await;
                    }
                };
                // Not from the cache: the request that published the picture may not have removed the old
                // profile from it yet.
                let ((), user) = tokio::join!(tidy_up, self.profiles.read(claims.sub));
                (Status::Published, user?)
            }
        };
        Ok(Confirmed { status, user })
    }

    /// Confirms, and looks again where another request was faster.
    async fn confirm(&self, caller: &Claims, id: &UploadId) -> Result<Outcome, ApiError> {
        for attempt in 1.. {
            match self.try_confirm(caller, id).await {
                Err(error) if error.reason() == Reason::Conflict && attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
        Err(Reason::Conflict.into())
    }

    async fn try_confirm(&self, caller: &Claims, id: &UploadId) -> Result<Outcome, ApiError> {
        let (upload, looked) = self.find(caller, id).await?;
        match upload.phase {
            Phase::Published => Ok(Outcome::Published(None)),
            Phase::Refused => Err(AvatarError::Risky.into()),
            Phase::Unreadable => Err(AvatarError::Unreadable.into()),
            Phase::Removing => Err(AvatarError::NotFound.into()),
            Phase::Publishing => {
                self.avatars.publish_again(caller.sub, &upload).await?;
                Ok(Outcome::Published(Some(upload.into())))
            }
            Phase::Checking => self.look_at_check(caller, upload).await,
            Phase::Open => self.first(caller, upload, looked).await,
        }
    }

    /// The upload's row. Without checks nearly every confirmation is an upload's first one, so what was
    /// uploaded is looked at meanwhile.
    async fn find(&self, caller: &Claims, id: &UploadId) -> Result<(Upload, Looked), ApiError> {
        let mut find = pin!(self.avatars.find(caller.sub, id));
        let mut look = pin!(self.avatars.look_at(id));
        let mut looked = None;
        let upload = loop {
            tokio::select! {
                upload = &mut find => break upload?.ok_or(AvatarError::NotFound)?,
                object = &mut look, if self.check.is_none() && looked.is_none() => {
                    looked = Some(object);
                }
            }
        };
        if self.check.is_none() && upload.phase == Phase::Open && looked.is_none() {
            looked = Some(look.await);
        }
        let looked = looked.filter(|_| upload.phase == Phase::Open);
        Ok((upload, looked.transpose()?))
    }

    /// The first confirmation, or the first after a check that failed.
    async fn first(
        &self,
        caller: &Claims,
        upload: Upload,
        looked: Looked,
    ) -> Result<Outcome, ApiError> {
        let object = match looked {
            Some(object) => object,
            None => self.avatars.look_at(&upload.id).await?,
        };
        let etag = self.avatars.inspect(&upload, object).await?;
        if let Some(check) = &self.check {
            return self.ask(check, caller, &upload, &etag).await;
        }
        self.avatars.publish(caller.sub, &upload, &etag).await?;
        Ok(Outcome::Published(Some(upload.into())))
    }

    /// WeChat was asked before. A verdict that does not come is no reason to wait for ever.
    async fn look_at_check(&self, caller: &Claims, upload: Upload) -> Result<Outcome, ApiError> {
        let timeout = self.avatars.check_timeout()?;
        if upload.awaits_verdict(self.clock.now(), timeout) {
            return Ok(Outcome::Checking);
        }
        let allowed = self
            .check
            .as_ref()
            .is_none_or(PictureCheck::allows_unchecked);
        if allowed && upload.was_asked() {
            tracing::warn!(
                audit = "avatar_unchecked", user_id = %caller.sub, request_id = request::id(),
                "an avatar is published without WeChat's verdict, which did not come in time"
            );
            self.avatars.publish_staged(caller.sub, &upload).await?;
            return Ok(Outcome::Published(Some(upload.into())));
        }
        self.first(caller, upload, None).await
    }

    async fn ask(
        &self,
        check: &PictureCheck,
        caller: &Claims,
        upload: &Upload,
        etag: &str,
    ) -> Result<Outcome, ApiError> {
        // Before the claim: when this fails, the same request can be sent again.
        let older = self.avatars.sweep(caller.sub, Cancelled::Before(upload));
        let (older, open_id) = tokio::join!(older, check.open_id(caller));
        older?;
        let open_id = open_id?;
        let Some(staged) = self.avatars.stage(caller.sub, upload, etag).await? else {
            return Err(DynamoError::Conflict.into());
        };
        match check.ask(&caller.aud, &open_id, &staged.url).await {
            Ok(Asked::Pending(trace_id)) => {
                let asked = self
                    .avatars
                    .asked(caller.sub, &caller.aud, &staged, &trace_id);
                if let Err(error) = asked.await {
                    // Nobody would know of the copy.
                    self.avatars.unstage(caller.sub, &staged).await;
                    return Err(error.into());
                }
                Ok(Outcome::Checking)
            }
            Ok(Asked::Unchecked) => {
                let upload = self.avatars.find(caller.sub, &upload.id).await?;
                let upload = upload.ok_or(AvatarError::NotFound)?;
                self.avatars.publish_staged(caller.sub, &upload).await?;
                Ok(Outcome::Published(Some(upload.into())))
            }
            Err(error) => {
                self.avatars.unstage(caller.sub, &staged).await;
                Err(error)
            }
        }
    }
}

pub async fn confirm(
    caller: AuthenticatedUser,
    State(confirmation): State<Arc<Confirmation>>,
    Json(KeyInput(id)): Json<KeyInput>,
) -> Result<Response, ApiError> {
    confirmation.avatars.store()?;
    // In a task of its own: a client that disconnects leaves nothing half-way.
    let run = async move { confirmation.run(caller, &id).await };
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    let confirmed = request::run_to_end(run).await.map_err(crashed)??;
    Ok(match confirmed.status {
        Status::Published => Success(confirmed).into_response(),
        Status::Checking => Accepted(confirmed).into_response(),
    })
}
