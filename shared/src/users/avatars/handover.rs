//! Gives the avatar of one account to another.

use std::time::Duration;

use tokio::time::timeout;

use super::{AvatarError, Avatars, Phase, Upload, check::check_row, removal::each, upload_sk};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, TransactionOutcome, Update, Write},
    ids::UserId,
    request::{self, deadline},
    users::{
        profiles::invalidate_cached,
        rows::{MEDIA_CHECK, PROFILE, profile_key, user_pk},
    },
};

/// How long pictures of an account that ends are tried to be deleted.
const FOR_DELETING: Duration = Duration::from_secs(2);

impl Avatars {
    /// Gives the avatar of `from` to `to`, another account of the same person, if that one has none; and
    /// the picture that WeChat is checking, if `to` waits for none. An uploaded picture changes hands
    /// with its row, and stays where it is; WeChat's verdict then leads to `to`. Returns whether `to`
    /// has been given one; doing it again changes nothing.
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
        if taken.is_some() {
            return Ok(false);
        }
        let mut writes = Vec::new();
        if let Some(url) = shown {
            writes.push(Write::Update(self.taking(to, &url)));
            writes.push(Write::Update(self.giving(from, &url)));
            let is_shown =
                |upload: &&Upload| upload.phase == Phase::Published && upload.is_at(Some(&url));
            if let Some(upload) = uploads.iter().find(is_shown) {
                writes.extend(moving(from, to, upload)?);
            }
        }
        if let Some(upload) = newest_check(&uploads)
            && newest_check(&self.uploads(to).await?).is_none()
        {
            writes.extend(self.moving_check((from, to), upload)?);
        }
        if writes.is_empty() {
            return Ok(false);
        }
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(true),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict.into()),
        }
    }

    /// Deletes all pictures and uploads of `from`, which is merged into `to`. What can't be deleted now,
    /// because the store is down or gone or a process is publishing it, becomes an upload of `to`,
    /// which the next sweep or the deletion of that account deletes. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when the uploads keep being changed; DynamoDB's.
    pub async fn remove_all_or_hand_over(
        &self,
        from: UserId,
        to: UserId,
    ) -> Result<(), AvatarError> {
        // Boxed, because it is large.
        let removal = Box::pin(self.remove_all(from));
        let why = match timeout(deadline::cap(FOR_DELETING), removal).await {
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(_))) => "one is being published".to_owned(),
            Ok(Err(AvatarError::Dynamo(error))) if !matches!(error, DynamoError::Conflict) => {
                return Err(error.into());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(
            user_id = %from, into = %to, request_id = request::id(), why,
            "the pictures of an account that ends can't be deleted now, they change hands"
        );
        let attempt = || self.hand_over_rest(from, to);
        let moved = self
            .dynamo
            .retry_conflicts(attempt, AvatarError::is_conflict);
        moved.await
    }

    /// What was never public needs no row: it expires with the bucket's lifecycle.
    async fn hand_over_rest(&self, from: UserId, to: UserId) -> Result<(), AvatarError> {
        let uploads = self.uploads(from).await?;
        let give = |upload| async move { self.hand_over_one((from, to), &upload).await };
        each(uploads, give).await.map(drop)
    }

    async fn hand_over_one(
        &self,
        (from, to): (UserId, UserId),
        upload: &Upload,
    ) -> Result<(), AvatarError> {
        let mut writes = vec![Write::Delete(upload.row_key(from), as_read(upload))];
        writes.extend(check_of(from, upload));
        if upload.may_be_public() {
            let row = row_of(to, upload)?;
            writes.push(Write::Put(row, Condition::absent()));
        }
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict.into()),
        }
    }

    /// The row of a picture that is being checked, under its new owner, and the row that WeChat's verdict
    /// leads to.
    fn moving_check(
        &self,
        (from, to): (UserId, UserId),
        upload: &Upload,
    ) -> Result<Vec<Write>, DynamoError> {
        let mut row = dynamo::to_item(&user_pk(to), &upload_sk(&upload.id), upload)?;
        if let Some(ttl) = upload.expires_at() {
            row.insert("ttl".to_owned(), dynamo::number(ttl));
        }
        let trace = upload.trace.as_deref().unwrap_or_default();
        let check = check_row(trace, to, &upload.id, self.clock.now());
        Ok(vec![
            Write::Put(row, Condition::absent()),
            Write::Delete(upload.row_key(from), as_asked(upload)),
            Write::Put(check, Condition::absent_or_owned_by(from)),
        ])
    }

    /// The address of the user's avatar.
    pub(super) async fn shown(&self, user: UserId) -> Result<Option<String>, DynamoError> {
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

    pub(super) fn giving(&self, user: UserId, url: &str) -> Update {
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
/// WeChat's verdict to it is no longer needed.
fn moving(from: UserId, to: UserId, upload: &Upload) -> Result<Vec<Write>, DynamoError> {
    let row = row_of(to, upload)?;
    let still_published = Condition::new("#phase = :published")
        .name("#phase", "phase")
        .value(":published", super::publish::phase(Phase::Published));
    let mut writes = vec![
        Write::Put(row, Condition::absent()),
        Write::Delete(upload.row_key(from), still_published),
    ];
    writes.extend(check_of(from, upload));
    Ok(writes)
}

/// The upload's row under another owner, without what led WeChat's verdict to it.
fn row_of(to: UserId, upload: &Upload) -> Result<Item, DynamoError> {
    let mut row = upload.clone();
    row.trace = None;
    dynamo::to_item(&user_pk(to), &upload_sk(&upload.id), &row)
}

/// Deletes the row that WeChat's verdict leads to, if there is one.
fn check_of(user: UserId, upload: &Upload) -> Option<Write> {
    let key = dynamo::key(upload.trace.as_ref()?, MEDIA_CHECK.sk);
    Some(Write::Delete(key, Condition::absent_or_owned_by(user)))
}

/// Of the uploads that WeChat was asked about and has not judged, the one asked about last.
fn newest_check(uploads: &[Upload]) -> Option<&Upload> {
    let waits = |upload: &&Upload| {
        upload.phase == Phase::Checking && upload.was_asked() && upload.trace.is_some()
    };
    let checks = uploads.iter().filter(waits);
    checks.max_by_key(|upload| upload.asked_at)
}

/// WeChat was not asked again since it was read, and has not judged.
fn as_asked(upload: &Upload) -> Condition {
    let trace = upload.trace.as_deref().unwrap_or_default();
    Condition::new(
        "#phase = :checking AND trace = :trace AND attribute_exists(askedAt) \
         AND attribute_not_exists(busyUntil)",
    )
    .name("#phase", "phase")
    .value(":checking", super::publish::phase(Phase::Checking))
    .value(":trace", dynamo::string(trace))
}

/// No process has moved the upload on since it was read.
fn as_read(upload: &Upload) -> Condition {
    let condition = match &upload.busy_until {
        Some(until) => Condition::new("#phase = :seen AND busyUntil = :until")
            .value(":until", dynamo::string(until.to_string())),
        None => Condition::new("#phase = :seen AND attribute_not_exists(busyUntil)"),
    };
    condition
        .name("#phase", "phase")
        .value(":seen", super::publish::phase(upload.phase))
}
