//! From an upload to the user's avatar.

use jiff::Timestamp;

use super::{AvatarError, AvatarStore, Avatars, BUSY, Cancelled, Phase, Upload, UploadId};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Update, Write, WriteOutcome},
    ids::UserId,
    objects::{Copy, ObjectError, ObjectStart},
    telemetry::OrDegraded,
    users::{profiles::invalidate_cached, rows::profile_key},
    values::ImageType,
};

/// The content of an address never changes, but it can be deleted: then CDNs and phones show it for a day
/// at most.
const CACHED: &str = "public, max-age=86400, immutable";

/// What is published.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// The object that was uploaded, if it is still this one.
    Upload { etag: &'a str },
    /// The copy that WeChat checked.
    Staged { key: &'a str },
}

impl Avatars {
    /// The beginning of what was uploaded; none if nothing was.
    ///
    /// # Errors
    /// [`AvatarError::NotConfigured`]; the store's.
    pub async fn look_at(&self, id: &UploadId) -> Result<Option<ObjectStart>, AvatarError> {
        let AvatarStore { objects, .. } = self.store()?;
        let key = id.upload_key();
        let object = objects.start_of(&key, ImageType::TELLING_BYTES);
        Ok(object.await?)
    }

    /// Judges the beginning of what was uploaded. Returns its etag if it is what the form was for;
    /// deletes it if it is not.
    ///
    /// # Errors
    /// [`AvatarError::Missing`], [`AvatarError::Invalid`]; others of [`AvatarError`].
    pub async fn inspect(
        &self,
        upload: &Upload,
        object: Option<ObjectStart>,
    ) -> Result<String, AvatarError> {
        let AvatarStore { objects, .. } = self.store()?;
        let object = object.ok_or(AvatarError::Missing)?;
        let told = upload.kind();
        let defect = if object.size > u64::from(upload.max_bytes) {
            Some("it is larger than was told")
        } else if object.content_type != upload.content_type() {
            Some("it has another content type than was told")
        } else if told.is_none() || ImageType::of_first_bytes(&object.first) != told {
            Some("its first bytes are not those of a picture of this type")
        } else {
            None
        };
        match defect {
            None => Ok(object.etag),
            Some(defect) => {
                objects.delete(&upload.id.upload_key()).await?;
                Err(AvatarError::Invalid(defect))
            }
        }
    }

    /// Makes the picture with this etag the user's avatar; [`Self::tidy_up`] has to follow. Doing it
    /// again changes nothing.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when the upload is in another phase by now; others of
    /// [`AvatarError`].
    pub async fn publish(
        &self,
        user: UserId,
        upload: &Upload,
        etag: &str,
    ) -> Result<(), AvatarError> {
        self.publish_from(user, upload, Source::Upload { etag })
            .await
    }

    /// The same with the copy that WeChat checked, or was asked to.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_staged(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        let key = upload.staged.as_deref().ok_or(DynamoError::Conflict)?;
        self.publish_from(user, upload, Source::Staged { key })
            .await
    }

    /// Goes on where a process stopped that was publishing.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_again(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        match (&upload.staged, &upload.etag) {
            (Some(key), _) => {
                self.publish_from(user, upload, Source::Staged { key })
                    .await
            }
            (None, Some(etag)) => {
                self.publish_from(user, upload, Source::Upload { etag })
                    .await
            }
            (None, None) => Err(DynamoError::unreadable("an upload without a source").into()),
        }
    }

    async fn publish_from(
        &self,
        user: UserId,
        upload: &Upload,
        source: Source<'_>,
    ) -> Result<(), AvatarError> {
        let store = self.store()?;
        if !self.claim(user, upload, source).await? {
            return Err(DynamoError::Conflict.into());
        }
        let uploaded = upload.id.upload_key();
        let public = upload.public_key();
        let (from, etag) = match source {
            Source::Upload { etag } => (&*uploaded, Some(etag)),
            Source::Staged { key } => (key, None),
        };
        let copy = Copy {
            from,
            etag,
            to: &public,
            content_type: upload.content_type(),
            cache_control: CACHED,
        };
        match store.objects.copy(copy).await {
            Err(ObjectError::NotFound | ObjectError::Changed) => {
                return self.source_is_gone(user, upload).await;
            }
            copied => copied?,
        }
        let url = format!("{}/{public}", store.base_url);
        self.show(user, upload, &url).await
    }

    /// Notes that this process publishes the picture. From then on the row stays until the object is
    /// gone.
    async fn claim(
        &self,
        user: UserId,
        upload: &Upload,
        source: Source<'_>,
    ) -> Result<bool, AvatarError> {
        let until = lease_end(self.clock.now());
        let (set, condition) = match source {
            Source::Upload { etag } => (
                "SET #phase = :publishing, busyUntil = :until, etag = :etag REMOVE #ttl",
                Condition::new("#phase = :open OR (#phase = :publishing AND etag = :etag)")
                    .value(":etag", dynamo::string(etag))
                    .value(":open", phase(Phase::Open)),
            ),
            Source::Staged { key } => (
                "SET #phase = :publishing, busyUntil = :until REMOVE #ttl",
                Condition::new("(#phase = :checking OR #phase = :publishing) AND staged = :staged")
                    .value(":staged", dynamo::string(key))
                    .value(":checking", phase(Phase::Checking)),
            ),
        };
        let update = Update::new(upload.row_key(user), set, condition)
            .name("#phase", "phase")
            .name("#ttl", "ttl")
            .value(":publishing", phase(Phase::Publishing))
            .value(":until", dynamo::string(until));
        let written = self.dynamo.update(update).await?;
        Ok(matches!(written, WriteOutcome::Written(_)))
    }

    /// What was to be copied is not there, or is another picture: published by another process, or
    /// never to be.
    async fn source_is_gone(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        match self.find(user, &upload.id).await? {
            Some(now) if now.phase == Phase::Published => Ok(()),
            Some(now) => {
                self.remove(user, &now).await?;
                Err(AvatarError::Invalid(
                    "it was replaced after it was confirmed",
                ))
            }
            None => Err(AvatarError::NotFound),
        }
    }

    /// The profile and the upload's row, both or neither.
    async fn show(&self, user: UserId, upload: &Upload, url: &str) -> Result<(), AvatarError> {
        let attempt = || self.dynamo.transact(self.showing(user, upload, url));
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        let shown = self.dynamo.retry_conflicts(attempt, is_conflict).await;
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, user).await;
        let TransactionOutcome::ConditionFailed(at) = shown? else {
            return Ok(());
        };
        match self.find(user, &upload.id).await? {
            Some(now) if now.phase == Phase::Published => Ok(()),
            // The account is gone, and with it goes what was copied for it.
            Some(now) if at == [0] => {
                self.remove(user, &now).await?;
                Err(AvatarError::UserGone)
            }
            // Meanwhile WeChat has flagged it, or another request is removing it. The row may have waited
            // for this copy.
            Some(now) if now.phase == Phase::Removing => {
                self.remove(user, &now).await?;
                Err(AvatarError::NotFound)
            }
            // It was removed before it was copied, or after.
            _ => {
                let store = self.store()?;
                store.objects.delete(&upload.public_key()).await?;
                Err(AvatarError::NotFound)
            }
        }
    }

    /// Also while the account is barred: its deletion may be called off, and a merge has what the
    /// surviving account chose before. A deletion that goes on finds the row. An account that is closed
    /// takes nothing new, because a merge may have passed its pictures.
    fn showing(&self, user: UserId, upload: &Upload, url: &str) -> Vec<Write> {
        let profile = Update::new(
            profile_key(user),
            "SET avatarUrl = :url, updatedAt = :now ADD version :one",
            Condition::new("attribute_exists(pk) AND attribute_not_exists(deleting)"),
        );
        let profile = profile
            .value(":url", dynamo::string(url))
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1));
        let row = Update::new(
            upload.row_key(user),
            "SET #phase = :published REMOVE busyUntil",
            Condition::new("#phase = :publishing"),
        );
        let row = row
            .name("#phase", "phase")
            .value(":published", phase(Phase::Published))
            .value(":publishing", phase(Phase::Publishing));
        vec![Write::Update(profile), Write::Update(row)]
    }

    /// After a publication: deletes what the picture was made from, and the user's pictures before. What
    /// fails is done by the next change of the avatar, or by the bucket's lifecycle.
    pub async fn tidy_up(&self, user: UserId, upload: &Upload) {
        let Ok(AvatarStore { objects, .. }) = self.store() else {
            return;
        };
        let uploaded = upload.id.upload_key();
        let staged = async {
            match &upload.staged {
                Some(key) => objects.delete(key).await,
                None => Ok(()),
            }
        };
        let swept = self.sweep(user, Cancelled::Before(upload));
        let (uploaded, staged, swept) =
            futures_util::join!(objects.delete(&uploaded), staged, swept);
        uploaded.or_degraded("avatar upload");
        staged.or_degraded("avatar upload");
        swept.or_degraded("avatars before");
    }
}

/// A phase as an attribute.
pub(super) fn phase(phase: Phase) -> aws_sdk_dynamodb::types::AttributeValue {
    dynamo::string(phase.as_str())
}

/// Until when a process that begins now may work on it.
pub(super) fn lease_end(now: Timestamp) -> String {
    now.checked_add(BUSY).unwrap_or(now).to_string()
}
