//! The `session_key`s of an identity: the current one, and the one before it, which data that is
//! still on its way may be encrypted with.

use secrecy::SecretString;
use serde::Deserialize;

use super::{Identities, IdentityError, rows::IDENTITY};
use crate::{
    crypto::AtRest,
    dynamo::{self, Condition, Dynamo, DynamoError, Update, WriteOutcome},
    ids::{AppId, OpenId, UserId},
    random::Random,
    request,
};

/// A user's identity in one mini-program, with the keys that WeChat encrypts their data with.
pub struct IdentityKeys {
    /// The person's id in the mini-program.
    pub open_id: OpenId,
    /// The identity's partition key; the associated data of its keys.
    pk: String,
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

    /// The keys of `user` in the mini-program.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn of(&self, user: UserId, app_id: &AppId) -> Result<IdentityKeys, IdentityError> {
        let (pk, open_id, row) = self.identities.row_of(user, app_id).await?;
        let row: KeysRow = dynamo::from_item(row)?;
        let (current, previous) = (self.open(row.current, &pk), self.open(row.previous, &pk));
        Ok(IdentityKeys {
            open_id,
            pk,
            current,
            previous,
        })
    }

    /// Stores the key that WeChat put in place of `identity`'s current one. A login that happened
    /// meanwhile brought a newer one, which stays.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn replace(
        &self,
        identity: &IdentityKeys,
        new: &SecretString,
    ) -> Result<(), DynamoError> {
        let IdentityKeys { pk, current, .. } = identity;
        let sealed = self.at_rest.seal(new, pk, &self.random);
        let sealed =
            sealed.ok_or_else(|| DynamoError::unwritable("session key could not be encrypted"))?;
        let replaced = current
            .as_ref()
            .map(|key| self.at_rest.tag(key, pk))
            .unwrap_or_default();
        let update = Update::new(
            dynamo::key(pk, IDENTITY.sk),
            "SET prevSessionKey = sessionKey, sessionKey = :key, sessionKeyTag = :tag",
            Condition::new("sessionKeyTag = :replaced")
                .value(":replaced", dynamo::string(replaced)),
        );
        let update = update
            .value(":key", dynamo::string(sealed))
            .value(":tag", dynamo::string(self.at_rest.tag(new, pk)));
        match self.dynamo.update(update).await? {
            WriteOutcome::Written(_) | WriteOutcome::ConditionFailed(_) => Ok(()),
        }
    }

    fn open(&self, sealed: Option<String>, pk: &str) -> Option<SecretString> {
        let opened = self.at_rest.open(&sealed?, pk);
        if opened.is_err() {
            tracing::warn!(
                request_id = request::id(),
                "a stored session_key does not open: its DATA_KEYS key is gone"
            );
        }
        opened.ok()
    }
}
