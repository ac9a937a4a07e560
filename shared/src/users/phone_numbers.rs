//! Which user a phone number belongs to (`PHONE#{hash}`). A number has at most one user, and a user
//! at most one number.
//!
//! The hash is keyed, because all eleven-digit numbers could be tried against a plain hash. Its key
//! is derived from `DATA_KEYS`. New rows use the first key; rows under the other keys are replaced
//! when their number is bound again.

mod owners;
mod release;
mod take;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_sdk_dynamodb::types::AttributeValue;
use hmac::{Hmac, Mac};
use jiff::{Timestamp, civil::Date};
use sha2::Sha256;
use thiserror::Error;

use super::{
    Status, User,
    activity::day_of,
    profiles::invalidate_cached,
    rows::{self, PHONE_OWNER, PROFILE, phone_owner_row, profile_key, user_pk},
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

pub use owners::Holder;
pub use take::TakeError;

/// The position of the number's row among the writes of a binding. Before it is the profile, after
/// it are rows that the number may have from older `DATA_KEYS`, and last, if the user had another
/// number before, the row of that one.
const CLAIM_WRITE: usize = 1;

/// Why a number was not bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// The number belongs to another user.
    #[error("the phone number belongs to another user")]
    Taken,
    /// The user does not exist, or their account is barred: it is being deleted or merged.
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
        let before_is_theirs = AtomicBool::new(true);
        let attempt = || async {
            let bound = self.attempt(user, phone, &before_is_theirs).await;
            // Also after a failure: a write whose answer was lost may have happened.
            invalidate_cached(&self.cache, user).await;
            bound
        };
        let is_conflict =
            |error: &BindError| matches!(error, BindError::Dynamo(DynamoError::Conflict));
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    /// The user with the number, or [`DynamoError::Conflict`] when another writer was faster.
    async fn attempt(
        &self,
        id: UserId,
        phone: &Phone,
        before_is_theirs: &AtomicBool,
    ) -> Result<User, BindError> {
        let before = self.before(id).await?.ok_or(BindError::NotFound)?;
        let (claim, older_claims) = self.hashes.claims(phone)?;
        if before.user.phone.as_deref() == Some(phone.expose())
            && before.claim.as_ref() == Some(&claim)
        {
            self.prove_again(&claim, id).await?;
            return Ok(before.user);
        }
        let bound = bound_user(&before.user, phone, self.clock.now());
        let mut writes = vec![
            write_profile(&bound, phone, &claim, before.user.version),
            write_claim(&claim, id, self.today()),
        ];
        writes.extend(
            older_claims
                .iter()
                .map(|pk| rows::release(owner_key(pk), id, true)),
        );
        let release_at = writes.len();
        let of_another_number = |pk: &String| *pk != claim && !older_claims.contains(pk);
        if let Some(pk) = before.claim.filter(of_another_number) {
            writes.push(rows::release(
                owner_key(&pk),
                id,
                before_is_theirs.load(Relaxed),
            ));
        }
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(bound),
            TransactionOutcome::ConditionFailed(at) => {
                if at.iter().any(|at| (CLAIM_WRITE..release_at).contains(at)) {
                    return Err(BindError::Taken);
                }
                if at.contains(&release_at) {
                    before_is_theirs.fetch_xor(true, Relaxed);
                }
                Err(DynamoError::Conflict.into())
            }
        }
    }

    /// Records that the user has shared their number today, unless its row says so already.
    async fn prove_again(&self, claim: &str, user: UserId) -> Result<(), DynamoError> {
        let (today, condition) = (
            self.today(),
            "uid = :uid AND (attribute_not_exists(provenOn) OR provenOn <> :today)",
        );
        let condition = Condition::new(condition)
            .value(":uid", dynamo::string(user.to_string()))
            .value(":today", dynamo::string(today.to_string()));
        let row = phone_owner_row(claim, user, Some(today));
        // A row that says so, or is another user's by now, stays as it is.
        self.dynamo.put(row, condition).await.map(drop)
    }

    fn today(&self) -> Date {
        day_of(self.clock.now())
    }

    /// None without a user, or if their account is barred.
    async fn before(&self, id: UserId) -> Result<Option<Before>, DynamoError> {
        let Some(row) = self.dynamo.get(&user_pk(id), PROFILE.sk).await? else {
            return Ok(None);
        };
        let claim = phone_claim(&row);
        let user: User = dynamo::from_item(row)?;
        let is_barred = user.status == Status::Barred;
        Ok((!is_barred).then_some(Before { user, claim }))
    }
}

/// The user with the number.
fn bound_user(before: &User, phone: &Phone, now: Timestamp) -> User {
    User {
        phone: Some(phone.expose().to_owned()),
        updated_at: now,
        version: before.version + 1,
        ..before.clone()
    }
}

/// The key of the row of a number.
fn owner_key(pk: &str) -> Item {
    dynamo::key(pk, PHONE_OWNER.sk)
}

/// The keyed hashes that rows of numbers are named with. The first makes rows.
pub(super) struct PhoneHashes(Vec<Hmac<Sha256>>);

impl PhoneHashes {
    pub(super) fn new(keys: &[DataKey]) -> Self {
        use secrecy::ExposeSecret;
        let hash = |key: &DataKey| {
            let derived = crypto::hmac_sha256(key.key.expose_secret())
                .chain_update(b"weapp-serverless phone index v1");
            crypto::hmac_sha256(&derived.finalize().into_bytes())
        };
        Self(keys.iter().map(hash).collect())
    }

    /// The key of the number's row, and those of rows that it may have from older `DATA_KEYS`.
    ///
    /// # Errors
    /// [`DynamoError::Refused`] without keys, which settings refuse.
    pub(super) fn claims(&self, phone: &Phone) -> Result<(String, Vec<String>), DynamoError> {
        let mut claims = self.all_claims(phone);
        let first = claims
            .next()
            .ok_or_else(|| DynamoError::unwritable("no key for phone numbers"))?;
        // A transaction names a row once, also where a key is listed twice.
        let mut older: Vec<_> = claims.filter(|pk| *pk != first).collect();
        older.sort();
        older.dedup();
        Ok((first, older))
    }

    /// The keys of all rows that the number may have.
    fn all_claims(&self, phone: &Phone) -> impl Iterator<Item = String> {
        self.0.iter().map(|hash| phone_pk(hash, phone))
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

fn write_claim(pk: &str, owner: UserId, today: Date) -> Write {
    Write::Put(
        phone_owner_row(pk, owner, Some(today)),
        Condition::absent_or_owned_by(owner),
    )
}

/// The key of the row that says whose number the profile's is.
pub(super) fn phone_claim(profile: &Item) -> Option<String> {
    let claim = profile.get("phoneClaim")?.as_s().ok()?;
    Some(claim.clone())
}
