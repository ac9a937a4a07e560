//! Deleting what WeChat says must be deleted. All of it can be repeated, and changes nothing then.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::{
    Identity,
    phone_numbers::{phone_claim, release_claim},
    profiles::invalidate_cached,
    rows::{IDENTITY, PROFILE, UNION_LINK, profile_key, union_pk, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{
        self, Condition, Dynamo, DynamoError, TransactionOutcome, Update, Write, WriteOutcome,
    },
    ids::UserId,
};

/// A field of a profile that holds personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonalField {
    /// The nickname.
    Nickname,
    /// The avatar.
    AvatarUrl,
    /// The gender.
    Gender,
    /// The phone number.
    Phone,
}

impl PersonalField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nickname, Self::AvatarUrl, Self::Gender, Self::Phone];

    fn attribute(self) -> &'static str {
        match self {
            Self::Nickname => "nickname",
            Self::AvatarUrl => "avatarUrl",
            Self::Gender => "gender",
            Self::Phone => "phone",
        }
    }
}

#[derive(Deserialize)]
struct Linked {
    #[serde(default)]
    identities: Vec<String>,
}

/// Erases personal data. Cheap to clone.
#[derive(Clone)]
pub struct Erasure {
    dynamo: Dynamo,
    cache: Cache,
    clock: Clock,
}

impl Erasure {
    /// Erases rows in `dynamo`, and what `cache` remembers of them.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock) -> Self {
        Self {
            dynamo,
            cache,
            clock,
        }
    }

    /// Removes these fields from a profile; with a phone number also the row that says whose it is.
    /// Where none of them is set, nothing is written.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when a number is being bound; DynamoDB's.
    pub async fn clear(&self, id: UserId, fields: &[PersonalField]) -> Result<(), DynamoError> {
        if fields.is_empty() {
            return Ok(());
        }
        let claim = if fields.contains(&PersonalField::Phone) {
            let profile = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
            profile.as_ref().and_then(phone_claim)
        } else {
            None
        };
        let written = match claim {
            Some(claim) => self.clear_with_claim(id, fields, &claim).await,
            None => self.clear_fields(id, fields).await,
        };
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, id).await;
        written
    }

    async fn clear_fields(&self, id: UserId, fields: &[PersonalField]) -> Result<(), DynamoError> {
        let any_set = fields
            .iter()
            .map(|field| format!("attribute_exists({})", field.attribute()))
            .collect::<Vec<_>>()
            .join(" OR ");
        let with_phone = fields.contains(&PersonalField::Phone);
        let condition = if with_phone {
            format!("attribute_not_exists(phoneClaim) AND ({any_set})")
        } else {
            any_set
        };
        let update = self
            .removal(id, &attributes(fields), Condition::new(condition))
            .returning_old_on_failure();
        match self.dynamo.update(update).await? {
            // A number was bound since the look at the row, and its claim has to go with it.
            WriteOutcome::ConditionFailed(Some(row))
                if with_phone && phone_claim(&row).is_some() =>
            {
                Err(DynamoError::Conflict)
            }
            WriteOutcome::Written(_) | WriteOutcome::ConditionFailed(_) => Ok(()),
        }
    }

    /// The fields and the number's row, all or nothing.
    async fn clear_with_claim(
        &self,
        id: UserId,
        fields: &[PersonalField],
        claim: &str,
    ) -> Result<(), DynamoError> {
        let condition =
            Condition::new("phoneClaim = :claim").value(":claim", dynamo::string(claim));
        let mut attributes = attributes(fields);
        attributes.push("phoneClaim");
        let profile = self.removal(id, &attributes, condition);
        let writes = vec![Write::Update(profile), release_claim(claim, id)];
        self.transact_or_conflict(writes).await
    }

    /// The update that removes `attributes` from the user's row.
    fn removal(&self, id: UserId, attributes: &[&str], condition: Condition) -> Update {
        let removed = attributes.join(", ");
        let expression = format!("SET updatedAt = :now REMOVE {removed} ADD version :one");
        Update::new(profile_key(id), expression, condition)
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1))
    }

    /// Removes the identity with all that it holds (the session keys too), and the link by union id
    /// when it was the user's last one. All or nothing.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when a login of the same person is being written; DynamoDB's.
    pub async fn unlink(&self, identity: &Identity) -> Result<(), DynamoError> {
        let user = identity.user;
        let mut writes = vec![Write::Delete(
            dynamo::key(&identity.pk, IDENTITY.sk),
            Condition::absent_or_owned_by(user),
        )];
        if let Some(profile) = self.dynamo.get(&user_pk(user), PROFILE.sk).await? {
            let linked: Linked = dynamo::from_item(profile)?;
            writes.push(remove_from_user(identity));
            if let Some(union_id) = &identity.union_id
                && linked.identities.iter().all(|other| *other == identity.pk)
            {
                writes.push(Write::Delete(
                    dynamo::key(&union_pk(union_id), UNION_LINK.sk),
                    Condition::absent_or_owned_by(user),
                ));
            }
        }
        self.transact_or_conflict(writes).await
    }

    /// A condition that fails says that the rows have changed since the look at them.
    async fn transact_or_conflict(&self, writes: Vec<Write>) -> Result<(), DynamoError> {
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }
}

fn attributes(fields: &[PersonalField]) -> Vec<&'static str> {
    fields.iter().map(|field| field.attribute()).collect()
}

fn remove_from_user(identity: &Identity) -> Write {
    let update = Update::new(
        profile_key(identity.user),
        "DELETE identities :identity",
        Condition::exists(),
    );
    Write::Update(update.value(":identity", AttributeValue::Ss(vec![identity.pk.clone()])))
}
