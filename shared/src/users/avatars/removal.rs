//! Deletes pictures, object by object and then the row that knows of them.

use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use jiff::Timestamp;

use super::{AvatarError, Avatars, Cancelled, Phase, Upload, publish::phase};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Update, Write, WriteOutcome},
    ids::UserId,
    request::deadline::LongWork,
    users::{
        profiles::invalidate_cached,
        rows::{MEDIA_CHECK, PROFILE, UPLOAD, user_pk},
    },
};

/// How many uploads are worked on at the same time.
const CONCURRENCY: usize = 16;

/// Does the `work` on each of the uploads, of which a user can have hundreds: on some at the same time,
/// and on no more of them shortly before the request's deadline ([`LongWork`]). Returns what came of it,
/// in any order.
///
/// # Errors
/// Those of `work`; [`DynamoError::out_of_time`] where uploads are left.
pub(super) async fn each<T, F>(
    uploads: Vec<Upload>,
    work: impl Fn(Upload) -> F,
) -> Result<Vec<T>, AvatarError>
where
    F: Future<Output = Result<T, AvatarError>>,
{
    let (time, work) = (LongWork::begin(), &work);
    let one = |upload| async move {
        if time.may_go_on() {
            work(upload).await
        } else {
            Err(DynamoError::out_of_time().into())
        }
    };
    let done = stream::iter(uploads).map(one);
    done.buffer_unordered(CONCURRENCY).try_collect().await
}

impl Avatars {
    /// Deletes the pictures that are not the user's avatar any longer, what is left of those whose
    /// publication or deletion stopped half-way, and the uploads that are `cancelled`. Doing it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`AvatarError`].
    pub async fn sweep(
        &self,
        user: UserId,
        cancelled_by: Cancelled<'_>,
    ) -> Result<(), AvatarError> {
        if self.store.is_none() {
            return Ok(());
        }
        let uploads = self.uploads(user).await?;
        let (cancelled, others): (Vec<_>, Vec<_>) = uploads
            .into_iter()
            .partition(|upload| cancelled_by.includes(upload));
        // First: also when the store is down, no verdict brings them back.
        let taken = each(cancelled, |upload| self.taken(user, upload)).await?;
        let taken = taken.into_iter().flatten().collect();
        self.remove_unchanged(user, taken).await?;
        let can_be_over = |upload: &Upload| {
            let is_left = upload.may_be_public() || upload.phase == Phase::Removing;
            is_left && !cancelled_by.is_for(upload)
        };
        let others = others.into_iter().filter(can_be_over).collect();
        self.sweep_others(user, others).await
    }

    async fn sweep_others(&self, user: UserId, uploads: Vec<Upload>) -> Result<(), AvatarError> {
        if uploads.is_empty() {
            return Ok(());
        }
        // After the rows: one that is published is in the profile before its row says so, and never
        // comes back.
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        let shown = profile
            .as_ref()
            .and_then(|row| row.get("avatarUrl")?.as_s().ok());
        let now = self.clock.now();
        let is_over = |upload: &Upload| match upload.phase {
            Phase::Published => !upload.is_at(shown.map(String::as_str)),
            Phase::Publishing | Phase::Removing => !upload.is_being_published(now),
            Phase::Open | Phase::Checking | Phase::Refused | Phase::Unreadable => false,
        };
        let over = uploads.into_iter().filter(is_over).collect();
        self.remove_unchanged(user, over).await
    }

    /// The upload as it is now that nobody publishes it; none if another process has moved it on.
    async fn taken(&self, user: UserId, mut upload: Upload) -> Result<Option<Upload>, AvatarError> {
        let is_taken = self.take(user, &upload).await?;
        upload.phase = Phase::Removing;
        Ok(is_taken.then_some(upload))
    }

    /// Deletes those that no other process has moved on.
    async fn remove_unchanged(
        &self,
        user: UserId,
        uploads: Vec<Upload>,
    ) -> Result<(), AvatarError> {
        let remove = |upload| async move {
            match self.remove_hidden(user, &upload).await {
                Err(error) if error.is_conflict() => Ok(()),
                removed => removed,
            }
        };
        each(uploads, remove).await.map(drop)
    }

    /// Deletes all pictures and uploads of the user. Returns until when to wait and do it again, if a
    /// process is publishing one. Doing it again changes nothing, or goes on with what there was no time
    /// for.
    ///
    /// # Errors
    /// [`AvatarError`].
    pub async fn remove_all(&self, user: UserId) -> Result<Option<Timestamp>, AvatarError> {
        let now = self.clock.now();
        let uploads = self.uploads(user).await?;
        let (busy, idle): (Vec<_>, Vec<_>) = uploads
            .into_iter()
            .partition(|upload| upload.is_being_published(now));
        each(
            idle,
            |upload| async move { self.remove(user, &upload).await },
        )
        .await?;
        Ok(busy
            .into_iter()
            .filter_map(|upload| upload.busy_until)
            .max())
    }

    /// All uploads of the user.
    pub(super) async fn uploads(&self, user: UserId) -> Result<Vec<Upload>, DynamoError> {
        let query = self
            .dynamo
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
            .expression_attribute_values(":sk", dynamo::string(UPLOAD.sk));
        let rows = self.dynamo.rows(query);
        let uploads = rows.and_then(|row| std::future::ready(dynamo::from_item(row)));
        uploads.try_collect().await
    }

    /// Deletes an upload: first its row says so, and nobody publishes it any longer; then the objects
    /// go, and the row last. A profile that shows it no longer does.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when another process has moved it on; others of [`AvatarError`].
    pub(super) async fn remove(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        let shown = match upload.phase {
            Phase::Published => self.shown(user).await?,
            _ => None,
        };
        match shown.filter(|url| upload.is_at(Some(url))) {
            Some(url) => {
                self.take_down(user, upload, &url).await?;
                self.delete_taken(user, upload).await
            }
            None => self.remove_hidden(user, upload).await,
        }
    }

    /// The same for one that is not the user's avatar.
    async fn remove_hidden(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        if upload.phase != Phase::Removing && !self.take(user, upload).await? {
            return Err(DynamoError::Conflict.into());
        }
        self.delete_taken(user, upload).await
    }

    /// The row says that it is being removed, and the profile forgets its address: both or neither.
    async fn take_down(&self, user: UserId, upload: &Upload, url: &str) -> Result<(), AvatarError> {
        let attempt = || {
            let writes = vec![
                Write::Update(taking(user, upload)),
                Write::Update(self.giving(user, url)),
            ];
            self.dynamo.transact(writes)
        };
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        let taken = self.dynamo.retry_conflicts(attempt, is_conflict).await;
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, user).await;
        match taken? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict.into()),
        }
    }

    async fn delete_taken(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        self.delete_objects(upload).await?;
        // After the objects: a late verdict that asks for them to be deleted is given again.
        if let Some(trace) = &upload.trace {
            let key = dynamo::key(trace, MEDIA_CHECK.sk);
            let condition = Condition::absent_or_owned_by(user);
            self.dynamo.delete(key, condition).await?;
        }
        let condition = Condition::new("#phase = :removing")
            .name("#phase", "phase")
            .value(":removing", phase(Phase::Removing));
        self.dynamo.delete(upload.row_key(user), condition).await?;
        Ok(())
    }

    /// Whether no process has moved the upload on since it was read: then nobody publishes it.
    pub(super) async fn take(&self, user: UserId, upload: &Upload) -> Result<bool, DynamoError> {
        let written = self.dynamo.update(taking(user, upload)).await?;
        Ok(matches!(written, WriteOutcome::Written(_)))
    }

    pub(super) async fn delete_objects(&self, upload: &Upload) -> Result<(), AvatarError> {
        let Some(store) = &self.store else {
            // What was never public expires with the bucket's lifecycle.
            return if upload.may_be_public() {
                Err(AvatarError::NotConfigured)
            } else {
                Ok(())
            };
        };
        let public = upload.may_be_public().then(|| upload.public_key());
        let uploaded = Some(upload.id.upload_key());
        let keys = [public, uploaded, upload.staged.clone()];
        // All are tried, also if one can't be deleted.
        let deleted = keys.iter().flatten().map(|key| store.objects.delete(key));
        let deleted = join_all(deleted).await;
        Ok(deleted.into_iter().collect::<Result<(), _>>()?)
    }
}

/// The row says that the upload is being removed, if no process has moved it on. One that is being
/// removed already may have been taken by this write, whose answer was lost.
fn taking(user: UserId, upload: &Upload) -> Update {
    let condition = match &upload.busy_until {
        Some(until) => {
            Condition::new("#phase = :removing OR (#phase = :seen AND busyUntil = :until)")
                .value(":until", dynamo::string(until.to_string()))
        }
        None => Condition::new(
            "#phase = :removing OR (#phase = :seen AND attribute_not_exists(busyUntil))",
        ),
    };
    Update::new(upload.row_key(user), "SET #phase = :removing", condition)
        .name("#phase", "phase")
        .value(":seen", phase(upload.phase))
        .value(":removing", phase(Phase::Removing))
}
