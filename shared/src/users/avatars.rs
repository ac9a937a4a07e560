//! Uploaded avatars: their objects, and the rows that know of them (`USER#{uid}` / `UPLOAD#{id}`).
//!
//! A client uploads to `uploads/{id}` with a form that the store checks. Confirmed, the picture is
//! copied to where it is read, `avatars/{id}.{type}`, which no form can write; with content checks it
//! is copied to `checks/…` first, where it stays the same until WeChat's verdict. What is below
//! `uploads/` and `checks/` expires by itself.
//!
//! An upload's row is written before its form is given out, and keeps its `phase`; each change of it is
//! conditional on the phase before. A row of which an object below `avatars/` can exist has no `ttl`,
//! and goes only after the object: so no public object is without a row.

mod check;
mod error;
mod handover;
mod publish;
mod removal;
mod upload;

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    cache::Cache,
    clock::Clock,
    config::AvatarSettings,
    dynamo::{self, Condition, Dynamo, DynamoError},
    ids::{AppId, UserId},
    objects::{FormOrder, Objects, UploadForm},
    random::Random,
    users::rows::user_pk,
    values::ImageType,
};

pub use check::{Judged, Staged, Verdict};
pub use error::AvatarError;
pub use upload::{Cancelled, Phase, Upload, UploadId};

use upload::upload_sk;

/// How long the row of an upload that was never published is kept after its form has expired.
const KEPT: Duration = Duration::from_hours(24);
/// How long a process may take to publish a picture; longer than a function's time.
const BUSY: Duration = Duration::from_secs(15);

/// Where avatars are, and what may be uploaded.
#[derive(Clone)]
pub struct AvatarStore {
    /// The bucket.
    pub objects: Objects,
    /// Where clients read below `avatars/`, without a slash at its end.
    pub base_url: String,
    /// The size of a picture at most.
    pub max_bytes: u32,
    /// How long a form can be posted.
    pub upload_lifetime: Duration,
    /// How long WeChat's verdict is waited for.
    pub check_timeout: Duration,
}

impl AvatarStore {
    /// The store of `settings`.
    #[must_use]
    pub fn new(settings: AvatarSettings, clock: Clock, random: Random) -> Self {
        Self {
            objects: Objects::new(settings.objects, clock, random),
            base_url: settings.base_url,
            max_bytes: settings.max_bytes,
            upload_lifetime: settings.upload_lifetime,
            check_timeout: settings.check_timeout,
        }
    }
}

/// A form, and the upload that it is for.
pub struct Begun {
    /// The upload's id.
    pub id: UploadId,
    /// The form.
    pub form: UploadForm,
    /// How long it can be posted.
    pub lifetime: Duration,
}

/// Uploaded avatars. Cheap to clone.
#[derive(Clone)]
pub struct Avatars {
    dynamo: Dynamo,
    cache: Cache,
    clock: Clock,
    random: Random,
    store: Option<AvatarStore>,
}

impl Avatars {
    /// Rows in `dynamo`, and objects in `store`; without one nothing can be uploaded.
    #[must_use]
    pub fn new(
        dynamo: Dynamo,
        cache: Cache,
        clock: Clock,
        random: Random,
        store: Option<AvatarStore>,
    ) -> Self {
        Self {
            dynamo,
            cache,
            clock,
            random,
            store,
        }
    }

    /// Where avatars are.
    ///
    /// # Errors
    /// [`AvatarError::NotConfigured`].
    pub fn store(&self) -> Result<&AvatarStore, AvatarError> {
        self.store.as_ref().ok_or(AvatarError::NotConfigured)
    }

    /// Whether this is the address of an uploaded avatar.
    #[must_use]
    pub fn is_ours(&self, url: &str) -> bool {
        let base = self.store.as_ref().map(|store| &store.base_url);
        base.and_then(|base| url.strip_prefix(&**base))
            .is_some_and(|path| path.starts_with('/'))
    }

    /// A form with which the user can upload one picture of this kind and of at most `max_bytes`.
    ///
    /// # Errors
    /// [`AvatarError`].
    pub async fn begin(
        &self,
        user: UserId,
        app_id: &AppId,
        kind: ImageType,
        max_bytes: u32,
    ) -> Result<Begun, AvatarError> {
        let store = self.store()?;
        let id = UploadId::random(&self.random);
        let now = self.clock.now();
        let upload = Upload::new(&id, app_id, kind, max_bytes, now);
        let mut row = dynamo::to_item(&user_pk(user), &upload_sk(&id), &upload)?;
        let ttl = seconds_after(now, store.upload_lifetime + KEPT);
        row.insert("ttl".to_owned(), dynamo::number(ttl));
        // A condition that fails says that the answer was lost and the write sent again: the id is too
        // random to be another's.
        self.dynamo.put(row, Condition::absent()).await?;
        let order = FormOrder {
            key: &id.upload_key(),
            content_type: kind.content_type(),
            max_bytes,
            lifetime: store.upload_lifetime,
        };
        let form = store.objects.form(order)?;
        Ok(Begun {
            id,
            form,
            lifetime: store.upload_lifetime,
        })
    }

    /// The user's upload with this id, as it is now.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn find(&self, user: UserId, id: &UploadId) -> Result<Option<Upload>, DynamoError> {
        let row = self.dynamo.get(&user_pk(user), &upload_sk(id)).await?;
        let upload: Option<Upload> = row.map(dynamo::from_item).transpose()?;
        let now = self.clock.now();
        Ok(upload.filter(|upload| !upload.has_expired(now)))
    }
}

/// This long after `now`, in seconds since the epoch.
fn seconds_after(now: Timestamp, time: Duration) -> i64 {
    now.as_second() + i64::try_from(time.as_secs()).unwrap_or_default()
}
