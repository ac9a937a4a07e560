//! Forgetting what WeChat says must be forgotten. Everything here may be done again and changes
//! nothing then.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{
        AttributeValue, Delete, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
    },
};
use serde::Deserialize;

use super::{
    Users,
    identity::{IDENTITY, IdentityRow, pk_of, union_pk},
    store::{PROFILE, user_pk},
};
use crate::{
    dynamo::{self, DynamoError},
    ids::{AppId, OpenId, UnionId, UserId},
};

/// A field of a profile that tells something about a person.
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

/// A person in one mini-program, and the user they are.
pub struct Identity {
    /// The user.
    pub user: UserId,
    pk: String,
    union_id: Option<UnionId>,
}

#[derive(Deserialize)]
struct Linked {
    #[serde(default)]
    identities: Vec<String>,
}

impl Users {
    /// Who the person is, if we know them.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn identity(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
    ) -> Result<Option<Identity>, DynamoError> {
        let pk = pk_of(app_id, open_id);
        let Some(item) = self.dynamo.get(&pk, IDENTITY).await? else {
            return Ok(None);
        };
        let row: IdentityRow = dynamo::from_item(item)?;
        Ok(Some(Identity {
            user: row.uid,
            pk,
            union_id: row.union_id,
        }))
    }

    /// Removes these fields from a profile, and with a phone number the row that says whose it is.
    /// Where none of them is set, nothing is written.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when a number is being bound; DynamoDB's.
    pub async fn clear(&self, id: UserId, fields: &[PersonalField]) -> Result<(), DynamoError> {
        if fields.is_empty() {
            return Ok(());
        }
        let claim = if fields.contains(&PersonalField::Phone) {
            self.phone_claim(id).await?
        } else {
            None
        };
        let written = match claim {
            Some(claim) => self.clear_with_claim(id, fields, &claim).await,
            None => self.clear_fields(id, fields).await,
        };
        // Also after a failure: a write whose answer was lost may have happened.
        self.forget_cached(id).await;
        written
    }

    async fn clear_fields(&self, id: UserId, fields: &[PersonalField]) -> Result<(), DynamoError> {
        let names: Vec<_> = fields.iter().map(|field| field.attribute()).collect();
        let any: Vec<_> = names
            .iter()
            .map(|name| format!("attribute_exists({name})"))
            .collect();
        let mut condition = any.join(" OR ");
        if fields.contains(&PersonalField::Phone) {
            condition = format!("attribute_not_exists(phoneClaim) AND ({condition})");
        }
        let update = self
            .dynamo
            .client
            .update_item()
            .table_name(&self.dynamo.table);
        let written = update
            .set_key(Some(dynamo::key(&user_pk(id), PROFILE)))
            .update_expression(format!(
                "SET updatedAt = :now REMOVE {} ADD version :one",
                names.join(", ")
            ))
            .condition_expression(condition)
            .expression_attribute_values(":now", dynamo::string(self.clock.now().to_string()))
            .expression_attribute_values(":one", dynamo::number(1))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = written else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let bound_meanwhile = failed
                    .item()
                    .is_some_and(|row| row.contains_key("phoneClaim"));
                if bound_meanwhile && fields.contains(&PersonalField::Phone) {
                    return Err(DynamoError::Conflict);
                }
                Ok(())
            }
            _ => Err(error.into()),
        }
    }

    /// The fields and the number's row, all or nothing.
    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    async fn clear_with_claim(
        &self,
        id: UserId,
        fields: &[PersonalField],
        claim: &str,
    ) -> Result<(), DynamoError> {
        let names: Vec<_> = fields.iter().map(|field| field.attribute()).collect();
        let profile = Update::builder()
            .table_name(&self.dynamo.table)
            .set_key(Some(dynamo::key(&user_pk(id), PROFILE)))
            .update_expression(format!(
                "SET updatedAt = :now REMOVE {}, phoneClaim ADD version :one",
                names.join(", ")
            ))
            .condition_expression("phoneClaim = :claim")
            .expression_attribute_values(":now", dynamo::string(self.clock.now().to_string()))
            .expression_attribute_values(":one", dynamo::number(1))
            .expression_attribute_values(":claim", dynamo::string(claim));
        let profile = profile.build().expect("table, key and expression");
        let writes = vec![
            TransactWriteItem::builder().update(profile).build(),
            self.release_claim(claim, id),
        ];
        self.transact_or_conflict(writes).await
    }

    /// Removes the identity with all that it holds (the session keys too), and the link by union id
    /// when it was the user's last one. All or nothing.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when a login of the same person is being written; DynamoDB's.
    pub async fn unlink(&self, identity: &Identity) -> Result<(), DynamoError> {
        let mut writes = vec![self.delete_if_of(&identity.pk, identity.user)];
        if let Some(item) = self.dynamo.get(&user_pk(identity.user), PROFILE).await? {
            let linked: Linked = dynamo::from_item(item)?;
            writes.push(self.remove_identity(identity));
            if let Some(union_id) = &identity.union_id
                && linked.identities.iter().all(|other| *other == identity.pk)
            {
                writes.push(self.delete_if_of(&union_pk(union_id), identity.user));
            }
        }
        self.transact_or_conflict(writes).await
    }

    async fn transact_or_conflict(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<(), DynamoError> {
        let sent = self
            .dynamo
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| match error.as_service_error() {
                Some(refused) if refused.is_transaction_canceled_exception() => {
                    DynamoError::Conflict
                }
                _ => error.into(),
            })
    }

    /// Deletes an identity or a link unless it has become another user's. One that is gone is gone.
    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without table and key, both set here"
    )]
    fn delete_if_of(&self, pk: &str, user: UserId) -> TransactWriteItem {
        let delete = Delete::builder()
            .table_name(&self.dynamo.table)
            .set_key(Some(dynamo::key(pk, IDENTITY)))
            .condition_expression("attribute_not_exists(pk) OR uid = :uid")
            .expression_attribute_values(":uid", dynamo::string(user.to_string()));
        TransactWriteItem::builder()
            .delete(delete.build().expect("table and key"))
            .build()
    }

    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    fn remove_identity(&self, identity: &Identity) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.dynamo.table)
            .set_key(Some(dynamo::key(&user_pk(identity.user), PROFILE)))
            .update_expression("DELETE identities :identity")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(
                ":identity",
                AttributeValue::Ss(vec![identity.pk.clone()]),
            );
        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression"))
            .build()
    }
}
