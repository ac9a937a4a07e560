//! Whose a number is.

use futures_util::future::try_join_all;
use jiff::civil::Date;
use serde::Deserialize;

use super::{PhoneNumbers, phone_claim};
use crate::{
    dynamo::{self, Condition, DynamoError, Write},
    ids::UserId,
    users::{
        User,
        rows::{PHONE_OWNER, PROFILE, user_pk},
    },
    values::Phone,
};

/// A user who has a number.
pub struct Holder {
    /// The user.
    pub user: User,
    /// The key of the row that says so.
    pub claim: String,
    /// The day on which the user last shared the number, in UTC, if that is known.
    pub proven_on: Option<Date>,
    /// The keys of the user's identities.
    pub(in crate::users) identities: Vec<String>,
}

impl Holder {
    /// The part of a transaction that lets it happen only where the user still has the number.
    #[must_use]
    pub fn check(&self) -> Write {
        let key = dynamo::key(&self.claim, PHONE_OWNER.sk);
        Write::Check(key, Condition::owned_by(self.user.id))
    }
}

/// What the row of a number says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NumberRow {
    uid: UserId,
    #[serde(default)]
    proven_on: Option<Date>,
}

#[derive(Deserialize)]
struct Linked {
    #[serde(default)]
    identities: Vec<String>,
}

impl PhoneNumbers {
    /// The user with the number. Nobody if it is free; several only where a number was bound twice,
    /// under different `DATA_KEYS`.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn owners(&self, phone: &Phone) -> Result<Vec<User>, DynamoError> {
        let holders = self.holders(phone).await?;
        Ok(holders.into_iter().map(|holder| holder.user).collect())
    }

    /// The same, with what leads to the rest of their rows.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn holders(&self, phone: &Phone) -> Result<Vec<Holder>, DynamoError> {
        let claims = self.hashes.all_claims(phone);
        let holders = claims.map(|claim| async move { self.holder(&claim).await });
        let mut holders: Vec<_> = try_join_all(holders).await?.into_iter().flatten().collect();
        holders.dedup_by_key(|holder| holder.user.id);
        Ok(holders)
    }

    /// The user whose number's row is under `claim`.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn holder(&self, claim: &str) -> Result<Option<Holder>, DynamoError> {
        let Some(row) = self.dynamo.get(claim, PHONE_OWNER.sk).await? else {
            return Ok(None);
        };
        let NumberRow { uid, proven_on } = dynamo::from_item(row)?;
        let profile = self.dynamo.get(&user_pk(uid), PROFILE.sk).await?;
        // Released between the two reads, it is nobody's.
        let profile = profile.filter(|row| phone_claim(row).as_deref() == Some(claim));
        let Some(profile) = profile else {
            return Ok(None);
        };
        let Linked { identities } = dynamo::from_item(profile.clone())?;
        Ok(Some(Holder {
            user: dynamo::from_item(profile)?,
            claim: claim.to_owned(),
            proven_on,
            identities,
        }))
    }
}
