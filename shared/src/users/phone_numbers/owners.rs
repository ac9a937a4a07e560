//! Whose a number is, for administrators.

use futures_util::future::try_join_all;

use super::{PhoneNumbers, phone_claim};
use crate::{
    dynamo::{self, DynamoError},
    users::{
        User,
        rows::{Owner, PHONE_OWNER, PROFILE, user_pk},
    },
    values::Phone,
};

impl PhoneNumbers {
    /// The user with the number. Nobody if it is free; several only where a number was bound twice,
    /// under different `DATA_KEYS`.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn owners(&self, phone: &Phone) -> Result<Vec<User>, DynamoError> {
        let claims = self.hashes.all_claims(phone);
        let owners = claims.map(|claim| async move { self.owner(&claim).await });
        let mut owners: Vec<_> = try_join_all(owners).await?.into_iter().flatten().collect();
        owners.dedup_by_key(|user| user.id);
        Ok(owners)
    }

    /// The user whose number's row is under `claim`.
    async fn owner(&self, claim: &str) -> Result<Option<User>, DynamoError> {
        let Some(row) = self.dynamo.get(claim, PHONE_OWNER.sk).await? else {
            return Ok(None);
        };
        let Owner { uid } = dynamo::from_item(row)?;
        let profile = self.dynamo.get(&user_pk(uid), PROFILE.sk).await?;
        // Released between the two reads, it is nobody's.
        let profile = profile.filter(|row| phone_claim(row).as_deref() == Some(claim));
        profile.map(dynamo::from_item).transpose()
    }
}
