//! Which user a phone number belongs to (`PHONE#{hash}`): one user at a time, and one number for
//! each user.
//!
//! The hash is keyed: a number has eleven digits, so a plain hash would be no secret. Its key comes
//! from `DATA_KEYS`. The first key makes the rows; rows under the others are taken over when their
//! number is bound again.

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, Delete, Put, TransactWriteItem, Update},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::{User, Users, store::PROFILE, user_pk};
use crate::{
    config::DataKey,
    crypto,
    dynamo::{self, DynamoError, Item},
    ids::UserId,
    random::Random,
    values::Phone,
};

const OWNER: &str = "OWNER";
/// How often a binding is tried that others get in the way of.
const ATTEMPTS: usize = 5;
/// The first pause between two attempts, in milliseconds; it doubles.
const PAUSE: u64 = 10;

/// Why a number can't be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// It is another user's.
    #[error("the phone number belongs to another user")]
    Taken,
    /// No such user.
    #[error("no such user")]
    NotFound,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// The numbers. Keep one per instance.
pub struct PhoneNumbers {
    users: Users,
    random: Random,
    /// The first makes rows.
    hashes: Vec<Hmac<Sha256>>,
}

/// What a user's row says before a number is bound.
struct Before {
    user: User,
    /// The row of the number that the user has now.
    claim: Option<String>,
}

/// How one attempt ended.
enum Attempt {
    Bound(User),
    /// Somebody wrote to one of the rows: a look at them is the next step.
    Raced,
}

impl PhoneNumbers {
    /// The numbers of `users`, hashed with keys made from `keys`.
    #[must_use]
    pub fn new(users: Users, keys: &[DataKey], random: Random) -> Self {
        use secrecy::ExposeSecret;
        let hash = |key: &DataKey| {
            let derived = crypto::hmac_sha256(key.key.expose_secret())
                .chain_update(b"weapp-serverless phone index v1");
            crypto::hmac_sha256(&derived.finalize().into_bytes())
        };
        Self {
            users,
            random,
            hashes: keys.iter().map(hash).collect(),
        }
    }

    /// Gives the number to the user, in place of the one they have. Can be repeated.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(&self, user: UserId, phone: &Phone) -> Result<User, BindError> {
        for attempt in 1.. {
            let outcome = self.attempt(user, phone).await;
            // Also after a failure: a write whose answer was lost may have happened.
            self.users.forget_cached(user).await;
            match outcome {
                Ok(Attempt::Bound(user)) => return Ok(user),
                Err(BindError::Dynamo(DynamoError::Conflict)) | Ok(Attempt::Raced)
                    if attempt < ATTEMPTS =>
                {
                    self.pause(PAUSE << attempt).await;
                }
                Ok(Attempt::Raced) => break,
                Err(error) => return Err(error),
            }
        }
        Err(DynamoError::Conflict.into())
    }

    async fn attempt(&self, id: UserId, phone: &Phone) -> Result<Attempt, BindError> {
        let before = self.before(id).await?;
        let claims: Vec<String> = self
            .hashes
            .iter()
            .map(|hash| phone_pk(hash, phone))
            .collect();
        let Some(claim) = claims.first() else {
            return Err(DynamoError::unreadable("no key for phone numbers").into());
        };
        if before.user.phone.as_deref() == Some(phone.expose())
            && before.claim.as_ref() == Some(claim)
        {
            return Ok(Attempt::Bound(before.user));
        }
        let bound = User {
            phone: Some(phone.expose().to_owned()),
            updated_at: self.users.clock.now(),
            version: before.user.version + 1,
            ..before.user.clone()
        };
        let mut writes = vec![
            self.write_profile(&bound, claim, before.user.version),
            self.write_claim(claim, id),
        ];
        let released = before
            .claim
            .iter()
            .chain(&claims[1..])
            .filter(|pk| *pk != claim);
        let mut released: Vec<&String> = released.collect();
        released.sort();
        released.dedup();
        writes.extend(
            released
                .into_iter()
                .map(|pk| self.users.release_claim(pk, id)),
        );
        let sent = self
            .users
            .dynamo
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Attempt::Bound(bound));
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                judge(canceled.cancellation_reasons())
            }
            _ => Err(DynamoError::from(error).into()),
        }
    }

    async fn before(&self, id: UserId) -> Result<Before, BindError> {
        let row = self
            .users
            .dynamo
            .get(&user_pk(id), PROFILE)
            .await?
            .ok_or(BindError::NotFound)?;
        let claim = claim_of(&row);
        Ok(Before {
            user: dynamo::from_item(row)?,
            claim,
        })
    }

    /// The profile with its number, if nobody has changed it meanwhile.
    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    fn write_profile(&self, bound: &User, claim: &str, version: u64) -> TransactWriteItem {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let update = Update::builder()
            .table_name(&self.users.dynamo.table)
            .set_key(Some(dynamo::key(&user_pk(bound.id), PROFILE)))
            .condition_expression("version = :before")
            .update_expression(
                "SET phone = :phone, phoneClaim = :claim, updatedAt = :now, version = :version",
            )
            .expression_attribute_values(":before", number(version))
            .expression_attribute_values(
                ":phone",
                dynamo::string(bound.phone.clone().unwrap_or_default()),
            )
            .expression_attribute_values(":claim", dynamo::string(claim))
            .expression_attribute_values(":now", dynamo::string(bound.updated_at.to_string()))
            .expression_attribute_values(":version", number(bound.version));
        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression"))
            .build()
    }

    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    fn write_claim(&self, pk: &str, owner: UserId) -> TransactWriteItem {
        let mut row: Item = dynamo::key(pk, OWNER);
        row.insert("uid".into(), dynamo::string(owner.to_string()));
        let put = Put::builder()
            .table_name(&self.users.dynamo.table)
            .set_item(Some(row));
        let put = put
            .condition_expression(OURS)
            .expression_attribute_values(":uid", dynamo::string(owner.to_string()));
        TransactWriteItem::builder()
            .put(put.build().expect("table and item"))
            .build()
    }

    async fn pause(&self, milliseconds: u64) {
        let [byte] = self.random.bytes::<1>();
        let jittered = milliseconds / 2 + milliseconds * u64::from(byte) / 510;
        tokio::time::sleep(std::time::Duration::from_millis(jittered)).await;
    }
}

impl Users {
    /// The row of the user's number.
    pub(super) async fn phone_claim(&self, id: UserId) -> Result<Option<String>, DynamoError> {
        Ok(self
            .dynamo
            .get(&user_pk(id), PROFILE)
            .await?
            .as_ref()
            .and_then(claim_of))
    }

    /// Deletes the row of a number that is the owner's. One that is gone is gone.
    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    pub(super) fn release_claim(&self, pk: &str, owner: UserId) -> TransactWriteItem {
        let delete = Delete::builder()
            .table_name(&self.dynamo.table)
            .set_key(Some(dynamo::key(pk, OWNER)));
        let delete = delete
            .condition_expression(OURS)
            .expression_attribute_values(":uid", dynamo::string(owner.to_string()));
        TransactWriteItem::builder()
            .delete(delete.build().expect("table and key"))
            .build()
    }
}

fn claim_of(profile: &Item) -> Option<String> {
    profile
        .get("phoneClaim")
        .and_then(|claim| claim.as_s().ok())
        .cloned()
}

/// A number's row that is free, or the user's own.
const OURS: &str = "attribute_not_exists(pk) OR uid = :uid";

/// The first write is the profile, all others are rows of numbers: their conditions fail when a
/// number is another user's.
fn judge(reasons: &[CancellationReason]) -> Result<Attempt, BindError> {
    let failed = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    if reasons.iter().skip(1).any(failed) {
        return Err(BindError::Taken);
    }
    let raced = |reason: &CancellationReason| {
        failed(reason) || reason.code() == Some("TransactionConflict")
    };
    if reasons.iter().any(raced) {
        return Ok(Attempt::Raced);
    }
    let codes: Vec<_> = reasons
        .iter()
        .filter_map(CancellationReason::code)
        .filter(|code| *code != "None")
        .collect();
    Err(DynamoError::Unavailable(format!("transaction canceled: {}", codes.join(", "))).into())
}

fn phone_pk(hash: &Hmac<Sha256>, phone: &Phone) -> String {
    let hash = hash
        .clone()
        .chain_update(phone.expose())
        .finalize()
        .into_bytes();
    format!("PHONE#{}", hex::encode(&hash[..16]))
}
