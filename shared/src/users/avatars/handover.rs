//! Gives the avatar of one account to another.

use super::{AvatarError, Avatars, Phase, Upload, upload_sk};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Update, Write},
    ids::UserId,
    users::{
        profiles::invalidate_cached,
        rows::{MEDIA_CHECK, PROFILE, profile_key, user_pk},
    },
};

impl Avatars {
    /// Gives the avatar of `from` to `to`, another account of the same person, if that one has none.
    /// An uploaded picture changes hands with its row, and stays where it is. Returns whether `to` has
    /// been given one; doing it again changes nothing.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when avatars keep being changed; DynamoDB's.
    pub async fn hand_over(&self, from: UserId, to: UserId) -> Result<bool, AvatarError> {
        let attempt = || self.try_hand_over(from, to);
        let given = self
            .dynamo
            .retry_conflicts(attempt, AvatarError::is_conflict);
        let given = given.await;
        futures_util::join!(
            invalidate_cached(&self.cache, from),
            invalidate_cached(&self.cache, to)
        );
        given
    }

    async fn try_hand_over(&self, from: UserId, to: UserId) -> Result<bool, AvatarError> {
        let uploads = self.uploads(from).await?;
        let (shown, taken) = futures_util::try_join!(self.shown(from), self.shown(to))?;
        let (Some(url), None) = (shown, taken) else {
            return Ok(false);
        };
        let is_shown =
            |upload: &&Upload| upload.phase == Phase::Published && upload.is_at(Some(&url));
        let upload = uploads.iter().find(is_shown);
        let mut writes = vec![
            Write::Update(self.taking(to, &url)),
            Write::Update(self.giving(from, &url)),
        ];
        if let Some(upload) = upload {
            writes.extend(moving(from, to, upload)?);
        }
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(true),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict.into()),
        }
    }

    /// The address of the user's avatar.
    async fn shown(&self, user: UserId) -> Result<Option<String>, DynamoError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        let url = profile.and_then(|mut row| row.remove("avatarUrl"));
        Ok(url.and_then(|url| url.as_s().ok().cloned()))
    }

    fn taking(&self, user: UserId, url: &str) -> Update {
        let condition = Condition::new("attribute_exists(pk) AND attribute_not_exists(avatarUrl)");
        let set = "SET avatarUrl = :url, updatedAt = :now ADD version :one";
        self.dated(Update::new(profile_key(user), set, condition))
            .value(":url", dynamo::string(url))
    }

    fn giving(&self, user: UserId, url: &str) -> Update {
        let condition = Condition::new("avatarUrl = :url").value(":url", dynamo::string(url));
        let set = "SET updatedAt = :now REMOVE avatarUrl ADD version :one";
        self.dated(Update::new(profile_key(user), set, condition))
    }

    fn dated(&self, update: Update) -> Update {
        update
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1))
    }
}

/// The row of a published picture under its new owner, and no longer under the one before. What led
/// WeChat's verdict to it is not needed any longer.
fn moving(from: UserId, to: UserId, upload: &Upload) -> Result<Vec<Write>, DynamoError> {
    let mut row = upload.clone();
    row.trace = None;
    let row = dynamo::to_item(&user_pk(to), &upload_sk(&upload.id), &row)?;
    let still_published = Condition::new("#phase = :published")
        .name("#phase", "phase")
        .value(":published", super::publish::phase(Phase::Published));
    let mut writes = vec![
        Write::Put(row, Condition::absent()),
        Write::Delete(upload.row_key(from), still_published),
    ];
    if let Some(trace) = &upload.trace {
        let key = dynamo::key(trace, MEDIA_CHECK.sk);
        writes.push(Write::Delete(key, Condition::absent_or_owned_by(from)));
    }
    Ok(writes)
}
