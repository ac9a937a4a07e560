//! Pictures that WeChat checks before they are shown.
//!
//! WeChat reads the picture some time after it was asked. So it is given a copy that the user can't
//! replace, and that copy is what is published.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    AvatarError, AvatarStore, Avatars, KEPT, Phase, Upload, UploadId,
    publish::{lease_end, phase},
    seconds_after, upload_sk,
};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, TransactionOutcome, Update, Write, WriteOutcome},
    ids::{AppId, UserId},
    objects::{Copy, ObjectError},
    telemetry::OrDegraded,
    users::rows::{MEDIA_CHECK, PROFILE, user_pk},
};

/// A picture that is ready to be checked.
pub struct Staged {
    id: UploadId,
    key: String,
    /// Where WeChat reads it, and nobody else: a secret.
    pub url: String,
    /// The row of a check before, that nobody waits for any longer.
    trace_before: Option<String>,
}

/// What WeChat says of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be shown.
    Pass,
    /// It may not.
    Risky,
    /// WeChat could not read it. That is the picture's fault: it is not shown, also where WeChat's own
    /// failures are overlooked.
    Unreadable,
}

/// What became of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Nobody waits for it, or not yet.
    Unknown,
    /// It came before, or the picture is no longer waited for.
    Late,
    /// The picture is this user's avatar now.
    Published(UserId),
    /// It is not shown, and deleted.
    Refused(UserId),
    /// It was shown unchecked, and is deleted.
    TakenDown(UserId),
}

/// The row that a verdict leads to.
#[derive(Deserialize)]
struct MediaCheckRow {
    uid: UserId,
    upload: UploadId,
    #[serde(default)]
    ttl: Option<i64>,
}

impl Avatars {
    /// Prepares the picture with this etag to be checked. `None` when another request is doing that.
    ///
    /// # Errors
    /// [`AvatarError::Invalid`] when it was replaced meanwhile; others of [`AvatarError`].
    pub async fn stage(
        &self,
        user: UserId,
        upload: &Upload,
        etag: &str,
    ) -> Result<Option<Staged>, AvatarError> {
        let AvatarStore {
            objects,
            check_timeout,
            ..
        } = self.store()?;
        let key = format!("checks/{}", hex::encode(self.random.bytes::<16>()));
        if !self.claim_check(user, upload, &key).await? {
            return Ok(None);
        }
        if let Some(before) = &upload.staged {
            objects.delete(before).await.or_degraded("avatar check");
        }
        let staged = Staged {
            id: upload.id.clone(),
            url: objects.signed_url(&key, *check_timeout)?,
            key,
            trace_before: upload.trace.clone(),
        };
        let copy = Copy {
            from: &upload.id.upload_key(),
            etag: Some(etag),
            to: &staged.key,
            content_type: upload.content_type(),
            cache_control: "private, no-store",
        };
        match objects.copy(copy).await {
            Ok(()) => Ok(Some(staged)),
            Err(error) => {
                self.unstage(user, &staged).await;
                Err(match error {
                    ObjectError::NotFound => AvatarError::Missing,
                    ObjectError::Changed => {
                        AvatarError::Invalid("it was replaced while it was confirmed")
                    }
                    error => error.into(),
                })
            }
        }
    }

    async fn claim_check(
        &self,
        user: UserId,
        upload: &Upload,
        key: &str,
    ) -> Result<bool, DynamoError> {
        // The key is random: a row that has it was written by this write, whose answer was lost.
        let seen = match &upload.staged {
            Some(before) => {
                Condition::new("staged = :staged OR (#phase = :seen AND staged = :before)")
                    .value(":before", dynamo::string(before))
            }
            None => Condition::new(
                "staged = :staged OR (#phase = :seen AND attribute_not_exists(staged))",
            ),
        };
        let update = Update::new(
            upload.row_key(user),
            "SET #phase = :checking, staged = :staged, busyUntil = :until REMOVE askedAt",
            seen,
        );
        let update = update
            .name("#phase", "phase")
            .value(":seen", phase(upload.phase))
            .value(":checking", phase(Phase::Checking))
            .value(":staged", dynamo::string(key))
            .value(":until", dynamo::string(lease_end(self.clock.now())));
        let written = self.dynamo.update(update).await?;
        Ok(matches!(written, WriteOutcome::Written(_)))
    }

    /// Notes that WeChat was asked, and under which id it answers.
    ///
    /// # Errors
    /// DynamoDB's. Then its verdict is nobody's, and WeChat has to be asked again.
    pub async fn asked(
        &self,
        user: UserId,
        app_id: &AppId,
        staged: &Staged,
        trace_id: &str,
    ) -> Result<(), DynamoError> {
        let trace = trace_pk(app_id, trace_id);
        let now = self.clock.now();
        let attempt = || {
            self.dynamo
                .transact(Self::asking(user, staged, &trace, now))
        };
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        match self.dynamo.retry_conflicts(attempt, is_conflict).await? {
            TransactionOutcome::Written => Ok(()),
            // It was removed, or asked for by another request, meanwhile.
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    fn asking(user: UserId, staged: &Staged, trace: &str, now: Timestamp) -> Vec<Write> {
        let upload_row = dynamo::key(&user_pk(user), &upload_sk(&staged.id));
        let update = Update::new(
            upload_row,
            "SET trace = :trace, askedAt = :now REMOVE busyUntil",
            Condition::new("#phase = :checking AND staged = :staged"),
        );
        let update = update
            .name("#phase", "phase")
            .value(":checking", phase(Phase::Checking))
            .value(":staged", dynamo::string(&staged.key))
            .value(":trace", dynamo::string(trace))
            .value(":now", dynamo::string(now.to_string()));
        let row = check_row(trace, user, &staged.id, now);
        let mut writes = vec![
            Write::Update(update),
            Write::Put(row, Condition::absent_or_owned_by(user)),
        ];
        if let Some(before) = staged
            .trace_before
            .as_ref()
            .filter(|before| *before != trace)
        {
            let key = dynamo::key(before, MEDIA_CHECK.sk);
            writes.push(Write::Delete(key, Condition::absent_or_owned_by(user)));
        }
        writes
    }

    /// Lets the user confirm the upload again: WeChat could not be asked. What fails here is over with
    /// the lease.
    pub async fn unstage(&self, user: UserId, staged: &Staged) {
        let reopened = self.reopen(user, &staged.id, &staged.key).await;
        reopened.or_degraded("avatar check");
        if let Ok(AvatarStore { objects, .. }) = self.store() {
            objects
                .delete(&staged.key)
                .await
                .or_degraded("avatar check");
        }
    }

    async fn reopen(&self, user: UserId, id: &UploadId, staged: &str) -> Result<bool, DynamoError> {
        let key = dynamo::key(&user_pk(user), &upload_sk(id));
        let update = Update::new(
            key,
            "SET #phase = :open REMOVE staged, busyUntil, askedAt",
            Condition::new("#phase = :checking AND staged = :staged"),
        );
        let update = update
            .name("#phase", "phase")
            .value(":open", phase(Phase::Open))
            .value(":checking", phase(Phase::Checking))
            .value(":staged", dynamo::string(staged));
        let written = self.dynamo.update(update).await?;
        Ok(matches!(written, WriteOutcome::Written(_)))
    }

    /// Does what WeChat's verdict says about the picture that it was asked about under this id, in this
    /// mini-program. Verdicts on anything else do nothing, and neither does one that comes again.
    ///
    /// # Errors
    /// [`AvatarError`]: the verdict has to be given again.
    pub async fn judge(
        &self,
        app_id: &AppId,
        trace_id: &str,
        verdict: Verdict,
    ) -> Result<Judged, AvatarError> {
        // Where another request moves the upload on meanwhile, the verdict is about what it made of it.
        let attempt = || self.try_judge(app_id, trace_id, verdict);
        let judged = self
            .dynamo
            .retry_conflicts(attempt, AvatarError::is_conflict);
        judged.await
    }

    async fn try_judge(
        &self,
        app_id: &AppId,
        trace_id: &str,
        verdict: Verdict,
    ) -> Result<Judged, AvatarError> {
        let trace = trace_pk(app_id, trace_id);
        let Some(row) = self.dynamo.get(&trace, MEDIA_CHECK.sk).await? else {
            return Ok(Judged::Unknown);
        };
        let row: MediaCheckRow = dynamo::from_item(row)?;
        let now = self.clock.now();
        if row.ttl.is_some_and(|ttl| ttl <= now.as_second()) {
            return Ok(Judged::Unknown);
        }
        let upload = self.find(row.uid, &row.upload).await?;
        let Some(upload) = upload.filter(|upload| upload.trace.as_ref() == Some(&trace)) else {
            return Ok(Judged::Late);
        };
        match (verdict, upload.phase) {
            (Verdict::Pass, Phase::Checking | Phase::Publishing) => {
                self.pass(row.uid, &upload).await?;
                Ok(Judged::Published(row.uid))
            }
            (Verdict::Risky, Phase::Checking) => {
                self.refuse(row.uid, &upload, Phase::Refused).await
            }
            (Verdict::Risky, Phase::Publishing | Phase::Published | Phase::Removing) => {
                if upload.is_being_published(now) {
                    self.take_from_publisher(row.uid, &upload).await?;
                } else {
                    self.remove(row.uid, &upload).await?;
                }
                Ok(Judged::TakenDown(row.uid))
            }
            (Verdict::Unreadable, Phase::Checking) => {
                self.refuse(row.uid, &upload, Phase::Unreadable).await
            }
            _ => Ok(Judged::Late),
        }
    }

    async fn pass(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        // The merge that closed it hands the picture over. Given again, the verdict leads to the other
        // account.
        if self.is_closed(user).await? {
            return Err(AvatarError::Merging);
        }
        self.publish_staged(user, upload).await?;
        self.tidy_up(user, upload).await;
        Ok(())
    }

    /// Whether the account takes nothing new any longer.
    async fn is_closed(&self, user: UserId) -> Result<bool, DynamoError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        Ok(profile.is_some_and(|row| row.contains_key("deleting")))
    }

    /// A process is publishing the picture: from now on it can't. What it has copied is deleted, here or
    /// by that process. The row stays for what it may still copy: that process deletes it, or the next
    /// sweep after its lease.
    async fn take_from_publisher(&self, user: UserId, upload: &Upload) -> Result<(), AvatarError> {
        if !self.take(user, upload).await? {
            return Err(DynamoError::Conflict.into());
        }
        self.delete_objects(upload).await
    }

    async fn refuse(
        &self,
        user: UserId,
        upload: &Upload,
        end: Phase,
    ) -> Result<Judged, AvatarError> {
        let objects = &self.store()?.objects;
        let staged = upload.staged.as_deref().unwrap_or_default();
        let update = Update::new(
            upload.row_key(user),
            "SET #phase = :refused REMOVE busyUntil",
            // Also one that is refused: by this write, whose answer was lost.
            Condition::new("(#phase = :checking OR #phase = :refused) AND staged = :staged"),
        );
        let update = update
            .name("#phase", "phase")
            .value(":refused", phase(end))
            .value(":checking", phase(Phase::Checking))
            .value(":staged", dynamo::string(staged));
        if matches!(
            self.dynamo.update(update).await?,
            WriteOutcome::ConditionFailed(_)
        ) {
            return Ok(Judged::Late);
        }
        // Where this fails, the bucket's lifecycle does it.
        let key = upload.id.upload_key();
        let (staged, uploaded) = futures_util::join!(objects.delete(staged), objects.delete(&key));
        staged.or_degraded("avatar check");
        uploaded.or_degraded("avatar check");
        Ok(Judged::Refused(user))
    }

    /// How long a check may take until the user may ask for another.
    ///
    /// # Errors
    /// [`AvatarError::NotConfigured`].
    pub fn check_timeout(&self) -> Result<Duration, AvatarError> {
        Ok(self.store()?.check_timeout)
    }
}

/// The row that a verdict leads to, which is waited for from now on.
pub(super) fn check_row(trace: &str, user: UserId, id: &UploadId, now: Timestamp) -> Item {
    let mut row = dynamo::key(trace, MEDIA_CHECK.sk);
    row.insert("uid".into(), dynamo::string(user.to_string()));
    row.insert("upload".into(), dynamo::string(id.to_string()));
    row.insert("ttl".into(), dynamo::number(seconds_after(now, KEPT)));
    row
}

/// The partition key of the row that a verdict leads to.
fn trace_pk(app_id: &AppId, trace_id: &str) -> String {
    MEDIA_CHECK.pk(format_args!("{app_id}#{trace_id}"))
}
