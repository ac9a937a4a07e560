//! Deleting what WeChat says must be deleted. All of it can be repeated, and changes nothing then.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::{
    Identity,
    identities::IdentityRow,
    phone_numbers::phone_claim,
    profiles::invalidate_cached,
    rows::{IDENTITY, PHONE_OWNER, PROFILE, UNION_LINK, profile_key, release, union_pk, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{
        self, Condition, Dynamo, DynamoError, Item, TransactionOutcome, Update, Write, WriteOutcome,
    },
    ids::{UnionId, UserId},
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

/// When the link by an identity's union id goes with the identity: with the last one that has it, or
/// always.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    WithTheirLastIdentity,
    Always,
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
    /// [`DynamoError::Conflict`] when other requests keep binding numbers; DynamoDB's.
    pub async fn clear(&self, id: UserId, fields: &[PersonalField]) -> Result<(), DynamoError> {
        if fields.is_empty() {
            return Ok(());
        }
        let claim_is_theirs = AtomicBool::new(true);
        let attempt = || async {
            let claim = if fields.contains(&PersonalField::Phone) {
                let profile = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
                profile.as_ref().and_then(phone_claim)
            } else {
                None
            };
            match claim {
                Some(claim) => {
                    self.clear_with_claim(id, fields, &claim, &claim_is_theirs)
                        .await
                }
                None => self.clear_fields(id, fields).await,
            }
        };
        let written = self.dynamo.retry_conflicts(attempt, is_conflict).await;
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
        is_theirs: &AtomicBool,
    ) -> Result<(), DynamoError> {
        let condition =
            Condition::new("phoneClaim = :claim").value(":claim", dynamo::string(claim));
        let mut attributes = attributes(fields);
        attributes.push("phoneClaim");
        let profile = self.removal(id, &attributes, condition);
        let release = release(
            dynamo::key(claim, PHONE_OWNER.sk),
            id,
            is_theirs.load(Relaxed),
        );
        let writes = vec![Write::Update(profile), release];
        self.transact_or_look_again(writes, 1, is_theirs).await
    }

    /// The update that removes `attributes` from the user's row.
    fn removal(&self, id: UserId, attributes: &[&str], condition: Condition) -> Update {
        let removed = attributes.join(", ");
        let expression = format!("SET updatedAt = :now REMOVE {removed} ADD version :one");
        Update::new(profile_key(id), expression, condition)
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1))
    }

    /// The identities that a user's profile names.
    #[must_use]
    pub fn identities_of(user: UserId, profile: Option<&Item>) -> Vec<Identity> {
        let Some(AttributeValue::Ss(names)) = profile.and_then(|row| row.get("identities")) else {
            return Vec::new();
        };
        let identity = |pk: &String| Identity {
            user,
            pk: pk.clone(),
            created_at: None,
        };
        names.iter().map(identity).collect()
    }

    /// Removes the identity with all that it holds (the session keys too), and the link by its union id
    /// when it was the user's last one with that. All or nothing, under the condition that neither the union
    /// id nor the set of the user's identities has changed since they were read.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when logins of the same person keep being written; DynamoDB's.
    pub async fn unlink(&self, identity: &Identity) -> Result<(), DynamoError> {
        self.unlink_and(identity, Links::WithTheirLastIdentity)
            .await
    }

    /// The same, and the link by the identity's union id whatever other identities there are: for a
    /// user of whom all go. Identities can have different union ids.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when logins of the same person keep being written; DynamoDB's.
    pub async fn unlink_with_union(&self, identity: &Identity) -> Result<(), DynamoError> {
        self.unlink_and(identity, Links::Always).await
    }

    async fn unlink_and(&self, identity: &Identity, links: Links) -> Result<(), DynamoError> {
        let link_is_theirs = AtomicBool::new(true);
        let attempt = || self.try_unlink(identity, links, &link_is_theirs);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    async fn try_unlink(
        &self,
        identity: &Identity,
        links: Links,
        link_is_theirs: &AtomicBool,
    ) -> Result<(), DynamoError> {
        let (user, pk) = (identity.user, &identity.pk);
        let (user_pk, read) = (user_pk(user), &self.dynamo);
        let (row, profile) =
            futures_util::try_join!(read.get(pk, IDENTITY.sk), read.get(&user_pk, PROFILE.sk))?;
        let Some(row) = row.map(dynamo::from_item::<IdentityRow>).transpose()? else {
            // Another delivery was faster.
            return Ok(());
        };
        if row.uid != user {
            // A later login or a merge made the identity another user's.
            return Ok(());
        }
        let mut writes = vec![Write::Delete(
            dynamo::key(pk, IDENTITY.sk),
            as_read(user, row.union_id.as_ref()),
        )];
        let mut others = Vec::new();
        if let Some(profile) = profile {
            let linked: Linked = dynamo::from_item(profile)?;
            others.clone_from(&linked.identities);
            others.retain(|other| other != pk);
            writes.push(remove_from_user(identity, linked.identities));
        }
        let release_at = writes.len();
        // Also where the identity says that its link was not made: a merge may have made it the user's.
        if let Some(union_id) = row.union_id
            && (links == Links::Always || !self.any_has(&others, &union_id).await?)
        {
            let link = dynamo::key(&union_pk(&union_id), UNION_LINK.sk);
            writes.push(release(link, user, link_is_theirs.load(Relaxed)));
        }
        self.transact_or_look_again(writes, release_at, link_is_theirs)
            .await
    }

    /// Whether one of these identities has the union id. Those of an account that others were merged into
    /// can have different ones.
    async fn any_has(
        &self,
        identities: &[String],
        union_id: &UnionId,
    ) -> Result<bool, DynamoError> {
        for pk in identities {
            let row = self.dynamo.get(pk, IDENTITY.sk).await?;
            let row = row.map(dynamo::from_item::<IdentityRow>).transpose()?;
            if row.is_some_and(|row| row.union_id.as_ref() == Some(union_id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A condition that fails says that the rows have changed since the look at them; where only the
    /// one at `release_at` does, that the row to be released is not, or is now, the user's.
    async fn transact_or_look_again(
        &self,
        writes: Vec<Write>,
        release_at: usize,
        is_theirs: &AtomicBool,
    ) -> Result<(), DynamoError> {
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(at) => {
                if at.contains(&release_at) {
                    is_theirs.fetch_xor(true, Relaxed);
                }
                Err(DynamoError::Conflict)
            }
        }
    }
}

fn is_conflict(error: &DynamoError) -> bool {
    matches!(error, DynamoError::Conflict)
}

/// The identity is still the user's, with the union id that was read.
fn as_read(user: UserId, union_id: Option<&UnionId>) -> Condition {
    let condition = match union_id {
        Some(_) => Condition::new("uid = :uid AND unionId = :union"),
        None => Condition::new("uid = :uid AND attribute_not_exists(unionId)"),
    };
    let condition = condition.value(":uid", dynamo::string(user.to_string()));
    match union_id {
        Some(union_id) => condition.value(":union", dynamo::string(union_id.as_str())),
        None => condition,
    }
}

fn attributes(fields: &[PersonalField]) -> Vec<&'static str> {
    fields.iter().map(|field| field.attribute()).collect()
}

/// Takes the identity out of the user's set, which still has to be `read`.
fn remove_from_user(identity: &Identity, read: Vec<String>) -> Write {
    let condition = if read.is_empty() {
        Condition::new("attribute_exists(pk) AND attribute_not_exists(identities)")
    } else {
        Condition::new("identities = :read").value(":read", AttributeValue::Ss(read))
    };
    let update = Update::new(
        profile_key(identity.user),
        "DELETE identities :identity",
        condition,
    );
    Write::Update(update.value(":identity", AttributeValue::Ss(vec![identity.pk.clone()])))
}
