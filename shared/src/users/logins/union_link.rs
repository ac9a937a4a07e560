//! Union ids: one person in several mini-programs.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Logins, Resolved, WeChatLogin};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Update, Write, WriteOutcome},
    ids::UserId,
    request,
    users::{
        identities::IdentityRow,
        rows::{IDENTITY, PROFILE, UNION_LINK, union_pk, union_row, user_pk},
    },
};

/// The position of the user among the writes that link another identity.
const USER_WRITE: usize = 1;
/// The position of the union link among the writes of a late link; the other one is the identity.
const LINK_WRITE: usize = 0;

impl Logins {
    /// The login is the first one in this mini-program of somebody who is known by the union id.
    pub(super) async fn link_to(
        &self,
        owner: UserId,
        login: &WeChatLogin,
    ) -> Result<Resolved, DynamoError> {
        let writes = self.link_writes(login, owner)?;
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(Resolved::Known(owner)),
            TransactionOutcome::ConditionFailed(at) if at.contains(&USER_WRITE) => {
                if self.exists(owner).await? {
                    // An account that is being deleted takes no identity: that is to be completed
                    // first.
                    return Ok(Resolved::Known(owner));
                }
                self.release_link(login, owner).await?;
                Err(DynamoError::Conflict)
            }
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// Deletes the link by union id to a user who is gone.
    async fn release_link(&self, login: &WeChatLogin, gone: UserId) -> Result<(), DynamoError> {
        let Some(union_id) = &login.union_id else {
            return Ok(());
        };
        let link = dynamo::key(&union_pk(union_id), UNION_LINK.sk);
        let deleted = self.dynamo.delete(link, Condition::owned_by(gone)).await;
        deleted.map(drop)
    }

    async fn exists(&self, user: UserId) -> Result<bool, DynamoError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        Ok(profile.is_some())
    }

    /// The user whom another mini-program of ours, or another identity, knows under the same union id.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn union_owner(&self, login: &WeChatLogin) -> Result<Option<UserId>, DynamoError> {
        let Some(union_id) = &login.union_id else {
            return Ok(None);
        };
        let row = self.dynamo.get(&union_pk(union_id), UNION_LINK.sk).await?;
        row.map(dynamo::from_item::<IdentityRow>)
            .transpose()
            .map(|row| row.map(|row| row.uid))
    }

    /// WeChat sent the union id only now: links it, unless it is another user's. Either way the identity
    /// remembers it, so this happens once; link and identity are written together, so that erasing
    /// the identity meanwhile leaves no link behind. `false` if the link is another user's, now or since
    /// an earlier login.
    pub(super) async fn link_union_later(
        &self,
        login: &WeChatLogin,
        row: &IdentityRow,
    ) -> Result<bool, DynamoError> {
        let (Some(union_id), None) = (&login.union_id, &row.union_id) else {
            return Ok(login.union_id.is_none() || row.union_linked != Some(false));
        };
        let mark = |linked| {
            let update = Update::new(
                dynamo::key(&login.identity_pk(), IDENTITY.sk),
                "SET unionId = :union, unionLinked = :linked",
                Condition::owned_by(row.uid),
            );
            update
                .value(":union", dynamo::string(union_id.as_str()))
                .value(":linked", AttributeValue::Bool(linked))
        };
        let link = Write::Put(
            union_row(union_id, row.uid),
            Condition::absent_or_owned_by(row.uid),
        );
        let writes = vec![link, Write::Update(mark(true))];
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => return Ok(true),
            TransactionOutcome::ConditionFailed(at) if at == [LINK_WRITE] => {}
            // Unlinked since the login was counted.
            TransactionOutcome::ConditionFailed(_) => return Err(DynamoError::Conflict),
        }
        tracing::info!(
            user_id = %row.uid, request_id = request::id(),
            "the union id belongs to another user already, not linked"
        );
        match self.dynamo.update(mark(false)).await? {
            WriteOutcome::Written(_) => Ok(false),
            WriteOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }
}
