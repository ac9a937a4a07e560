//! The `session_key`s of an identity: the current one, and the one before it, which data that is
//! still on its way may be encrypted with.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use serde::Deserialize;

use super::{Identities, IdentityError, rows::IDENTITY};
use crate::{
    crypto::AtRest,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, Update, WriteOutcome},
    ids::{AppId, OpenId, SessionId, UserId},
    random::Random,
    request,
};

/// A user's identity in one mini-program, with the keys that WeChat encrypts their data with.
pub struct IdentityKeys {
    /// The person's id in the mini-program.
    pub open_id: OpenId,
    /// The identity's partition key; the associated data of its keys.
    pk: String,
    /// The current key as it is stored.
    sealed_current: Option<String>,
    current: Option<SecretString>,
    previous: Option<SecretString>,
}

#[derive(Deserialize)]
struct KeysRow {
    #[serde(rename = "sessionKey")]
    current: Option<String>,
    #[serde(rename = "prevSessionKey")]
    previous: Option<String>,
}

impl IdentityKeys {
    /// The key that WeChat gave last. None when it can no longer be opened, which another login
    /// repairs.
    #[must_use]
    pub fn current(&self) -> Option<&SecretString> {
        self.current.as_ref()
    }

    /// The keys that data may be encrypted with, the current one first.
    pub fn keys(&self) -> impl Iterator<Item = &SecretString> {
        self.current.iter().chain(&self.previous)
    }
}

/// The session keys of users, encrypted in their identities' rows. Cheap to clone but for its keys:
/// keep one per instance.
pub struct SessionKeyStore {
    dynamo: Dynamo,
    identities: Identities,
    at_rest: AtRest,
    random: Random,
}

impl SessionKeyStore {
    /// Session keys in `dynamo`, encrypted by `at_rest`.
    #[must_use]
    pub fn new(dynamo: Dynamo, at_rest: AtRest, random: Random) -> Self {
        Self {
            identities: Identities::new(dynamo.clone()),
            dynamo,
            at_rest,
            random,
        }
    }

    /// The keys of the identity, in the mini-program, that `user`'s session is of.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn of(
        &self,
        user: UserId,
        app_id: &AppId,
        session: SessionId,
    ) -> Result<IdentityKeys, IdentityError> {
        let row = self.identities.row_of(user, app_id, session);
        let (pk, open_id, row) = row.await?;
        let row: KeysRow = dynamo::from_item(row)?;
        let current = self.open(row.current.as_deref(), &pk);
        let previous = self.open(row.previous.as_deref(), &pk);
        Ok(IdentityKeys {
            open_id,
            pk,
            sealed_current: row.current,
            current,
            previous,
        })
    }

    /// Stores the key that WeChat put in place of `identity`'s current one, under the condition that
    /// the stored text is the one that was read. A login that happened meanwhile brought a newer
    /// key, which stays; one that found the same key encrypted it again, which changes its text only.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn replace(
        &self,
        identity: &IdentityKeys,
        new: &SecretString,
    ) -> Result<(), DynamoError> {
        let IdentityKeys { pk, .. } = identity;
        let sealed = self.at_rest.seal(new, pk, &self.random);
        let sealed =
            sealed.ok_or_else(|| DynamoError::unwritable("session key could not be encrypted"))?;
        let read = Mutex::new(identity.sealed_current.clone());
        let attempt = || async {
            let Some(expected) = lock(&read).clone() else {
                return Ok(());
            };
            let update = self.replacement(pk, new, &sealed, &expected);
            match self.dynamo.update(update).await? {
                WriteOutcome::Written(_) => Ok(()),
                WriteOutcome::ConditionFailed(row) => {
                    *lock(&read) = self.still_to_replace(identity, row)?;
                    Err(DynamoError::Conflict)
                }
            }
        };
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    /// The update that stores `new`, encrypted as `sealed`, in place of the key stored as `expected`.
    fn replacement(&self, pk: &str, new: &SecretString, sealed: &str, expected: &str) -> Update {
        let update = Update::new(
            dynamo::key(pk, IDENTITY.sk),
            "SET prevSessionKey = sessionKey, sessionKey = :key, sessionKeyTag = :tag",
            Condition::new("sessionKey = :read").value(":read", dynamo::string(expected)),
        );
        update
            .value(":key", dynamo::string(sealed))
            .value(":tag", dynamo::string(self.at_rest.tag(new, pk)))
            .returning_old_on_failure()
    }

    /// The stored text of the key to replace, if the row, which has changed, still has that key.
    fn still_to_replace(
        &self,
        identity: &IdentityKeys,
        row: Option<Item>,
    ) -> Result<Option<String>, DynamoError> {
        use secrecy::ExposeSecret;
        let Some(row) = row.map(dynamo::from_item::<KeysRow>).transpose()? else {
            return Ok(None);
        };
        let stored = self.open(row.current.as_deref(), &identity.pk);
        let stored = stored.as_ref().map(ExposeSecret::expose_secret);
        let replaced = identity.current().map(ExposeSecret::expose_secret);
        Ok(row
            .current
            .filter(|_| stored.is_some() && stored == replaced))
    }

    fn open(&self, sealed: Option<&str>, pk: &str) -> Option<SecretString> {
        let opened = self.at_rest.open(sealed?, pk);
        if opened.is_err() {
            tracing::warn!(
                request_id = request::id(),
                "a stored session_key does not open: its DATA_KEYS key is gone"
            );
        }
        opened.ok()
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
