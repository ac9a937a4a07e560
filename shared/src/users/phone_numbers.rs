//! Which user a phone number belongs to (`PHONE#{hash}`). A number has at most one user, and a user
//! at most one number.
//!
//! The hash is keyed, because all eleven-digit numbers could be tried against a plain hash. Its key
//! is derived from `DATA_KEYS`. New rows use the first key; rows under the other keys are replaced
//! when their number is bound again.

use aws_sdk_dynamodb::types::AttributeValue;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::{
    User,
    profiles::invalidate_cached,
    rows::{PHONE_OWNER, PROFILE, phone_owner_row, profile_key, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    config::DataKey,
    crypto,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, TransactionOutcome, Update, Write},
    ids::UserId,
    values::Phone,
};

/// The position of the profile among the writes of a binding; the others are rows of numbers.
const PROFILE_WRITE: usize = 0;

/// Why a number was not bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// The number belongs to another user.
    #[error("the phone number belongs to another user")]
    Taken,
    /// The user does not exist.
    #[error("no such user")]
    NotFound,
    /// The table is unavailable.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// The numbers. Keep one per instance.
pub struct PhoneNumbers {
    dynamo: Dynamo,
    cache: Cache,
    clock: Clock,
    hashes: PhoneHashes,
}

/// What a user's row says before a number is bound.
struct Before {
    user: User,
    /// The row of the number that the user has now.
    claim: Option<String>,
}

impl PhoneNumbers {
    /// Numbers in `dynamo`, hashed with keys made from `keys`; `cache` remembers the profiles that
    /// they are bound to.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock, keys: &[DataKey]) -> Self {
        Self {
            dynamo,
            cache,
            clock,
            hashes: PhoneHashes::new(keys),
        }
    }

    /// Gives the number to the user, in place of the one they have. Can be repeated.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(&self, user: UserId, phone: &Phone) -> Result<User, BindError> {
        let attempt = || async {
            let bound = self.attempt(user, phone).await;
            // Also after a failure: a write whose answer was lost may have happened.
            invalidate_cached(&self.cache, user).await;
            bound
        };
        let is_conflict =
            |error: &BindError| matches!(error, BindError::Dynamo(DynamoError::Conflict));
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    /// The user with the number, or [`DynamoError::Conflict`] when another writer was faster.
    async fn attempt(&self, id: UserId, phone: &Phone) -> Result<User, BindError> {
        let before = self.before(id).await?;
        let (claim, older_claims) = self
            .hashes
            .claims(phone)
            .ok_or_else(|| DynamoError::unwritable("no key for phone numbers"))?;
        if before.user.phone.as_deref() == Some(phone.expose())
            && before.claim.as_ref() == Some(&claim)
        {
            return Ok(before.user);
        }
        let bound = User {
            phone: Some(phone.expose().to_owned()),
            updated_at: self.clock.now(),
            version: before.user.version + 1,
            ..before.user.clone()
        };
        let mut writes = vec![
            write_profile(&bound, phone, &claim, before.user.version),
            write_claim(&claim, id),
        ];
        let released = released(before.claim, older_claims, &claim);
        writes.extend(released.iter().map(|pk| release_claim(pk, id)));
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(bound),
            TransactionOutcome::ConditionFailed(at) if at == [PROFILE_WRITE] => {
                Err(DynamoError::Conflict.into())
            }
            TransactionOutcome::ConditionFailed(_) => Err(BindError::Taken),
        }
    }

    async fn before(&self, id: UserId) -> Result<Before, BindError> {
        let row = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
        let row = row.ok_or(BindError::NotFound)?;
        let claim = phone_claim(&row);
        Ok(Before {
            user: dynamo::from_item(row)?,
            claim,
        })
    }
}

/// The keyed hashes that rows of numbers are named with. The first makes rows.
struct PhoneHashes(Vec<Hmac<Sha256>>);

impl PhoneHashes {
    fn new(keys: &[DataKey]) -> Self {
        use secrecy::ExposeSecret;
        let hash = |key: &DataKey| {
            let derived = crypto::hmac_sha256(key.key.expose_secret())
                .chain_update(b"weapp-serverless phone index v1");
            crypto::hmac_sha256(&derived.finalize().into_bytes())
        };
        Self(keys.iter().map(hash).collect())
    }

    /// The key of the number's row, and those of rows that it may have from older `DATA_KEYS`.
    /// `None` only without keys, which settings refuse.
    fn claims(&self, phone: &Phone) -> Option<(String, Vec<String>)> {
        let mut claims = self.0.iter().map(|hash| phone_pk(hash, phone));
        Some((claims.next()?, claims.collect()))
    }
}

fn phone_pk(hash: &Hmac<Sha256>, phone: &Phone) -> String {
    let hash = hash
        .clone()
        .chain_update(phone.expose())
        .finalize()
        .into_bytes();
    PHONE_OWNER.pk(hex::encode(&hash[..16]))
}

/// The rows that go when `claim` is written: each once, for a transaction names a row once.
fn released(before: Option<String>, older: Vec<String>, claim: &str) -> Vec<String> {
    let mut released: Vec<_> = older
        .into_iter()
        .chain(before)
        .filter(|pk| pk != claim)
        .collect();
    released.sort();
    released.dedup();
    released
}

/// The profile with its number, if nobody has changed it meanwhile.
fn write_profile(bound: &User, phone: &Phone, claim: &str, version: u64) -> Write {
    let number = |number: u64| AttributeValue::N(number.to_string());
    let update = Update::new(
        profile_key(bound.id),
        "SET phone = :phone, phoneClaim = :claim, updatedAt = :now, version = :version",
        Condition::new("version = :before").value(":before", number(version)),
    );
    Write::Update(
        update
            .value(":phone", dynamo::string(phone.expose()))
            .value(":claim", dynamo::string(claim))
            .value(":now", dynamo::string(bound.updated_at.to_string()))
            .value(":version", number(bound.version)),
    )
}

fn write_claim(pk: &str, owner: UserId) -> Write {
    Write::Put(
        phone_owner_row(pk, owner),
        Condition::absent_or_owned_by(owner),
    )
}

/// Deletes the row of a number that is the owner's; one that is gone already is no failure.
pub(super) fn release_claim(pk: &str, owner: UserId) -> Write {
    Write::Delete(
        dynamo::key(pk, PHONE_OWNER.sk),
        Condition::absent_or_owned_by(owner),
    )
}

/// The key of the row that says whose number the profile's is.
pub(super) fn phone_claim(profile: &Item) -> Option<String> {
    let claim = profile.get("phoneClaim")?.as_s().ok()?;
    Some(claim.clone())
}
