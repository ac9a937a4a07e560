//! Identities: by which WeChat logins find the account.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Merging, is_conflict};
use crate::{
    dynamo::{self, Condition, DynamoError, Update, Write},
    ids::{UnionId, UserId},
    users::{
        Identity, MergePair,
        identities::IdentityRow,
        rows::{IDENTITY, Owner, UNION_LINK, profile_key, union_pk},
    },
};

impl Merging {
    /// Makes an identity the surviving account's, with the link by its union id. One that is
    /// another user's already, or gone, is left.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when logins of the same person keep being written; DynamoDB's.
    pub async fn move_identity(
        &self,
        pair: MergePair<'_>,
        identity: &Identity,
    ) -> Result<(), DynamoError> {
        let attempt = || self.try_move_identity(pair, &identity.pk);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    async fn try_move_identity(&self, pair: MergePair<'_>, pk: &str) -> Result<(), DynamoError> {
        let row = self.dynamo.get(pk, IDENTITY.sk).await?;
        let Some(row) = row.map(dynamo::from_item::<IdentityRow>).transpose()? else {
            return Ok(());
        };
        if row.uid != pair.from {
            return Ok(());
        }
        let link = match &row.union_id {
            Some(union_id) => self.link(pair, union_id).await?,
            None => None,
        };
        let is_linked = link.as_ref().map(|(is_linked, _)| *is_linked);
        let mut writes = vec![
            Write::Update(move_row(pair, pk, row.union_id.as_ref(), is_linked)),
            Write::Update(remove_from_set(pair, pk)),
            Write::Update(add_to_set(pair, pk)),
        ];
        writes.extend(link.map(|(_, write)| write));
        self.transact(writes).await
    }

    /// Whether the link by the union id is the surviving account's then, and the write that makes sure
    /// of it. None where there is no link.
    async fn link(
        &self,
        pair: MergePair<'_>,
        union_id: &UnionId,
    ) -> Result<Option<(bool, Write)>, DynamoError> {
        let pk = union_pk(union_id);
        let Some(row) = self.dynamo.get(&pk, UNION_LINK.sk).await? else {
            return Ok(None);
        };
        let Owner { uid } = dynamo::from_item(row)?;
        let key = dynamo::key(&pk, UNION_LINK.sk);
        Ok(Some(if uid == pair.from {
            let update = Update::new(key, "SET uid = :into", Condition::owned_by(uid));
            (true, Write::Update(update.value(":into", id(pair.into))))
        } else {
            let as_read = Write::Check(key, Condition::owned_by(uid));
            (uid == pair.into, as_read)
        }))
    }
}

/// The identity, if it is as it was read.
fn move_row(
    pair: MergePair<'_>,
    pk: &str,
    union_id: Option<&UnionId>,
    is_linked: Option<bool>,
) -> Update {
    let condition = match union_id {
        Some(union_id) => Condition::new("uid = :from AND unionId = :union")
            .value(":union", dynamo::string(union_id.as_str())),
        None => Condition::new("uid = :from AND attribute_not_exists(unionId)"),
    };
    let condition = condition.value(":from", id(pair.from));
    let key = dynamo::key(pk, IDENTITY.sk);
    match is_linked {
        Some(is_linked) => {
            let expression = "SET uid = :into, unionLinked = :linked";
            Update::new(key, expression, condition)
                .value(":linked", AttributeValue::Bool(is_linked))
        }
        None => Update::new(key, "SET uid = :into", condition),
    }
    .value(":into", id(pair.into))
}

fn remove_from_set(pair: MergePair<'_>, pk: &str) -> Update {
    let update = Update::new(
        profile_key(pair.from),
        "DELETE identities :identity",
        pair.from_bar().holds(),
    );
    update.value(":identity", AttributeValue::Ss(vec![pk.to_owned()]))
}

fn add_to_set(pair: MergePair<'_>, pk: &str) -> Update {
    let update = Update::new(
        profile_key(pair.into),
        "ADD identities :identity",
        pair.into_bar().holds(),
    );
    update.value(":identity", AttributeValue::Ss(vec![pk.to_owned()]))
}

fn id(user: UserId) -> AttributeValue {
    dynamo::string(user.to_string())
}
