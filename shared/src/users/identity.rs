//! Identities: which of our users a WeChat login is (`WX#{appId}#{openId}`, `UNION#{unionId}`).

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::{
        put_item::PutItemError,
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeValue, ConditionCheck, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
    },
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    User, Users,
    store::{PROFILE, new_row, user_pk},
};
use crate::{
    crypto::AtRest,
    dynamo::{self, DynamoError, Item},
    ids::{AppId, OpenId, UnionId, UserId},
    random::Random,
    request,
};

pub(super) const IDENTITY: &str = "IDENTITY";
/// The pauses between attempts while another first login of the same person is being written, in
/// milliseconds.
const PAUSES: [u64; 5] = [5, 10, 20, 40, 80];

/// What WeChat said about who logged in.
pub struct WeChatLogin {
    /// In which mini-program.
    pub app_id: AppId,
    /// Who, in that mini-program.
    pub open_id: OpenId,
    /// Who, across mini-programs; often missing at first.
    pub union_id: Option<UnionId>,
    /// Encrypts what WeChat will send about this person; stored encrypted, never sent anywhere.
    pub session_key: SecretString,
}

/// Whose login it is.
pub enum Resolved {
    /// Somebody's we did not know; this is the user made for them.
    New(User),
    /// A user of ours.
    Known(UserId),
}

/// The identities. Cheap to clone but for its keys: keep one per instance.
pub struct Identities {
    pub(super) users: Users,
    pub(super) at_rest: AtRest,
    pub(super) random: Random,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentityRow {
    pub(super) uid: UserId,
    pub(super) union_id: Option<UnionId>,
}

impl Identities {
    /// Identities of `users`, their session keys encrypted by `at_rest`.
    #[must_use]
    pub fn new(users: Users, at_rest: AtRest, random: Random) -> Self {
        Self {
            users,
            at_rest,
            random,
        }
    }

    /// The user of this login, made at the first one.
    ///
    /// A returning login is one update, which also moves the stored session key to
    /// `prevSessionKey`. A first login is one transaction, so that logins racing for the same
    /// person make one user.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn resolve(&self, login: &WeChatLogin) -> Result<Resolved, DynamoError> {
        for pause in PAUSES {
            match self.attempt(login).await {
                Err(DynamoError::Conflict) => self.pause(pause).await,
                resolved => return resolved,
            }
        }
        self.attempt(login).await
    }

    /// The user, or [`DynamoError::Conflict`] when another login of the same person was faster.
    async fn attempt(&self, login: &WeChatLogin) -> Result<Resolved, DynamoError> {
        if let Some(row) = self.returning(login).await? {
            self.link_union_later(login, &row).await?;
            return Ok(Resolved::Known(row.uid));
        }
        let (writes, resolved) = if let Some(owner) = self.union_owner(login).await? {
            (self.link_writes(login, owner)?, Resolved::Known(owner))
        } else {
            let id = UserId(self.random.uuid_v7(&self.users.clock));
            let user = User::new(id, self.users.clock.now());
            (self.first_writes(login, &user)?, Resolved::New(user))
        };
        self.transact(writes).await?;
        Ok(resolved)
    }

    /// Waits half of `milliseconds` to all of them, so that those who raced don't race again.
    async fn pause(&self, milliseconds: u64) {
        let [byte] = self.random.bytes::<1>();
        let jittered = milliseconds / 2 + milliseconds * u64::from(byte) / 510;
        tokio::time::sleep(Duration::from_millis(jittered)).await;
    }

    /// One update. Another one where WeChat gave the key that is stored already: moved, it would
    /// push out the previous one, which data that is still on its way may be encrypted with.
    async fn returning(&self, login: &WeChatLogin) -> Result<Option<IdentityRow>, DynamoError> {
        let tag = self.at_rest.tag(&login.session_key, &identity_pk(login));
        let moved = self
            .login_update(login)
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(sessionKeyTag) OR sessionKeyTag <> :tag)",
            )
            .update_expression(
                "SET prevSessionKey = sessionKey, sessionKey = :key, sessionKeyTag = :tag, lastLoginAt = :now \
                 ADD loginCount :one",
            )
            .expression_attribute_values(":key", self.sealed_session_key(login)?)
            .expression_attribute_values(":tag", dynamo::string(tag))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match moved {
            Ok(moved) => return dynamo::from_item(moved.attributes.unwrap_or_default()).map(Some),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed))
                if failed.item().is_some() => {}
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(None),
            _ => return Err(error.into()),
        }
        let same_key = self
            .login_update(login)
            .condition_expression("attribute_exists(pk)");
        let counted = same_key
            .update_expression("SET lastLoginAt = :now ADD loginCount :one")
            .send()
            .await?;
        dynamo::from_item(counted.attributes.unwrap_or_default()).map(Some)
    }

    /// What all updates of a returning login have in common.
    fn login_update(&self, login: &WeChatLogin) -> UpdateItemFluentBuilder {
        let dynamo = &self.users.dynamo;
        let update = dynamo.client.update_item().table_name(&dynamo.table);
        update
            .set_key(Some(dynamo::key(&identity_pk(login), IDENTITY)))
            .expression_attribute_values(":now", dynamo::string(self.users.clock.now().to_string()))
            .expression_attribute_values(":one", dynamo::number(1))
            .return_values(ReturnValue::AllNew)
    }

    /// The user whom another mini-program of ours knows under the same union id.
    async fn union_owner(&self, login: &WeChatLogin) -> Result<Option<UserId>, DynamoError> {
        let Some(union_id) = &login.union_id else {
            return Ok(None);
        };
        let row = self.users.dynamo.get(&union_pk(union_id), IDENTITY).await?;
        row.map(dynamo::from_item::<IdentityRow>)
            .transpose()
            .map(|row| row.map(|row| row.uid))
    }

    /// Identity, user and union link of someone we did not know.
    fn first_writes(
        &self,
        login: &WeChatLogin,
        user: &User,
    ) -> Result<Vec<TransactWriteItem>, DynamoError> {
        let mut user_row = new_row(user)?;
        user_row.insert(
            "identities".into(),
            AttributeValue::Ss(vec![identity_pk(login)]),
        );
        let mut writes = vec![
            self.put_if_absent(self.identity_row(login, user.id)?),
            self.put_if_absent(user_row),
        ];
        writes.extend(
            login
                .union_id
                .as_ref()
                .map(|union_id| self.put_if_absent(union_row(union_id, user.id))),
        );
        Ok(writes)
    }

    /// The identity, in another mini-program, of someone we know by union id.
    fn link_writes(
        &self,
        login: &WeChatLogin,
        owner: UserId,
    ) -> Result<Vec<TransactWriteItem>, DynamoError> {
        let identity = self.put_if_absent(self.identity_row(login, owner)?);
        let mut writes = vec![identity, self.add_identity_to_user(login, owner)];
        writes.extend(
            login
                .union_id
                .as_ref()
                .map(|union_id| self.check_union_owner(union_id, owner)),
        );
        Ok(writes)
    }

    /// WeChat told the union id only now: links it, if nobody else has it. Two users who turn out
    /// to be one person stay two; merging them is not ours to decide. Either way the identity
    /// remembers it, so this happens once.
    async fn link_union_later(
        &self,
        login: &WeChatLogin,
        row: &IdentityRow,
    ) -> Result<(), DynamoError> {
        let (Some(union_id), None) = (&login.union_id, &row.union_id) else {
            return Ok(());
        };
        let dynamo = &self.users.dynamo;
        let link = dynamo
            .client
            .put_item()
            .table_name(&dynamo.table)
            .set_item(Some(union_row(union_id, row.uid)));
        let linked = link.condition_expression("attribute_not_exists(pk) OR uid = :uid");
        let linked = linked
            .expression_attribute_values(":uid", dynamo::string(row.uid.to_string()))
            .send()
            .await;
        if let Err(error) = linked {
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => tracing::info!(
                    user_id = %row.uid, request_id = request::id(),
                    "the union id belongs to another user already, not linked"
                ),
                _ => return Err(error.into()),
            }
        }
        let mark = dynamo.client.update_item().table_name(&dynamo.table);
        mark.set_key(Some(dynamo::key(&identity_pk(login), IDENTITY)))
            .update_expression("SET unionId = :union")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":union", dynamo::string(union_id.as_str()))
            .send()
            .await?;
        Ok(())
    }

    /// Writes all or nothing. Rows that another login has written, or is writing, are a conflict: a
    /// look at them is the next step.
    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), DynamoError> {
        let sent = self
            .users
            .dynamo
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled))
                    if raced(canceled) =>
                {
                    Err(DynamoError::Conflict)
                }
                _ => Err(error.into()),
            },
        }
    }

    fn identity_row(&self, login: &WeChatLogin, uid: UserId) -> Result<Item, DynamoError> {
        let now = dynamo::string(self.users.clock.now().to_string());
        let mut row = dynamo::key(&identity_pk(login), IDENTITY);
        row.insert("uid".into(), dynamo::string(uid.to_string()));
        row.insert("sessionKey".into(), self.sealed_session_key(login)?);
        row.insert(
            "sessionKeyTag".into(),
            dynamo::string(self.at_rest.tag(&login.session_key, &identity_pk(login))),
        );
        row.insert("lastLoginAt".into(), now.clone());
        row.insert("createdAt".into(), now);
        row.insert("loginCount".into(), dynamo::number(1));
        if let Some(union_id) = &login.union_id {
            row.insert("unionId".into(), dynamo::string(union_id.as_str()));
        }
        Ok(row)
    }

    fn sealed_session_key(&self, login: &WeChatLogin) -> Result<AttributeValue, DynamoError> {
        let sealed = self
            .at_rest
            .seal(&login.session_key, &identity_pk(login), &self.random);
        sealed
            .map(dynamo::string)
            .ok_or_else(|| DynamoError::unreadable("session key could not be encrypted"))
    }

    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without table and item, both set here"
    )]
    fn put_if_absent(&self, row: Item) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.users.dynamo.table)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(pk)");
        TransactWriteItem::builder()
            .put(put.build().expect("table and item"))
            .build()
    }

    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    fn add_identity_to_user(&self, login: &WeChatLogin, uid: UserId) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.users.dynamo.table)
            .set_key(Some(dynamo::key(&user_pk(uid), PROFILE)))
            .update_expression("ADD identities :identity")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":identity", AttributeValue::Ss(vec![identity_pk(login)]));
        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression"))
            .build()
    }

    #[allow(
        clippy::expect_used,
        reason = "the builder fails only without what is set here"
    )]
    fn check_union_owner(&self, union_id: &UnionId, uid: UserId) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(&self.users.dynamo.table)
            .set_key(Some(dynamo::key(&union_pk(union_id), IDENTITY)))
            .condition_expression("uid = :uid")
            .expression_attribute_values(":uid", dynamo::string(uid.to_string()));
        TransactWriteItem::builder()
            .condition_check(check.build().expect("table, key and condition"))
            .build()
    }
}

/// Whether another login was faster: then a look at what it wrote is the next step.
fn raced(canceled: &aws_sdk_dynamodb::types::error::TransactionCanceledException) -> bool {
    let reasons = canceled.cancellation_reasons();
    reasons
        .iter()
        .filter_map(|reason| reason.code())
        .any(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}

fn union_row(union_id: &UnionId, uid: UserId) -> Item {
    let mut row = dynamo::key(&union_pk(union_id), IDENTITY);
    row.insert("uid".into(), dynamo::string(uid.to_string()));
    row
}

fn identity_pk(login: &WeChatLogin) -> String {
    pk_of(&login.app_id, &login.open_id)
}

/// Where an identity is.
pub(super) fn pk_of(app_id: &AppId, open_id: &OpenId) -> String {
    format!("WX#{app_id}#{open_id}")
}

pub(super) fn union_pk(union_id: &UnionId) -> String {
    format!("UNION#{union_id}")
}
