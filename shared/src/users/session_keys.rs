//! The `session_key`s of an identity: the current one, and the one before it, which data on its way
//! may still be encrypted with.

use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::AttributeValue};
use secrecy::SecretString;
use serde::Deserialize;
use thiserror::Error;

use super::{Identities, identity::IDENTITY, store::PROFILE, user_pk};
use crate::{
    dynamo::{self, DynamoError},
    ids::{AppId, OpenId, UserId},
    request,
};

/// Who a user is in one mini-program, with what WeChat encrypts for them.
pub struct IdentityKeys {
    /// Who.
    pub open_id: OpenId,
    /// Where the identity stands; the associated data of its keys.
    pk: String,
    current: Option<SecretString>,
    previous: Option<SecretString>,
}

/// Why an identity can't be had.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The user is not known in this mini-program: the account was deleted, or its link was.
    #[error("the user has no identity in this mini-program")]
    NotFound,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

#[derive(Deserialize)]
struct KeysRow {
    #[serde(rename = "sessionKey")]
    current: Option<String>,
    #[serde(rename = "prevSessionKey")]
    previous: Option<String>,
}

impl IdentityKeys {
    /// The key that WeChat gave last. None when it can't be opened any more, which another login
    /// repairs.
    #[must_use]
    pub fn current(&self) -> Option<&SecretString> {
        self.current.as_ref()
    }

    /// The keys that data may be encrypted with, the current one first.
    pub fn keys(&self) -> impl Iterator<Item = &SecretString> {
        self.current.iter().chain(&self.previous)
    }
}

impl Identities {
    /// Who `user` is in the mini-program.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn of(&self, user: UserId, app_id: &AppId) -> Result<IdentityKeys, IdentityError> {
        let (pk, open_id) = self.users.identity_key(user, app_id).await?;
        let row = self
            .users
            .dynamo
            .get(&pk, IDENTITY)
            .await?
            .ok_or(IdentityError::NotFound)?;
        let row: KeysRow = dynamo::from_item(row)?;
        let open = |sealed: Option<String>| {
            let opened = self.at_rest.open(&sealed?, &pk);
            if opened.is_err() {
                tracing::warn!(
                    request_id = request::id(),
                    "a stored session_key does not open: its DATA_KEYS key is gone"
                );
            }
            opened.ok()
        };
        let (current, previous) = (open(row.current), open(row.previous));
        Ok(IdentityKeys {
            open_id,
            pk,
            current,
            previous,
        })
    }

    /// Stores the key that WeChat put in place of `identity`'s current one. A login that happened
    /// meanwhile brought a newer one, which stays.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn replace_session_key(
        &self,
        identity: &IdentityKeys,
        new: &SecretString,
    ) -> Result<(), DynamoError> {
        let IdentityKeys { pk, current, .. } = identity;
        let sealed = self.at_rest.seal(new, pk, &self.random);
        let sealed =
            sealed.ok_or_else(|| DynamoError::unreadable("session key could not be encrypted"))?;
        let replaced = current
            .as_ref()
            .map(|key| self.at_rest.tag(key, pk))
            .unwrap_or_default();
        let dynamo = &self.users.dynamo;
        let update = dynamo.client.update_item().table_name(&dynamo.table);
        let written = update
            .set_key(Some(dynamo::key(pk, IDENTITY)))
            .condition_expression("sessionKeyTag = :replaced")
            .update_expression(
                "SET prevSessionKey = sessionKey, sessionKey = :key, sessionKeyTag = :tag",
            )
            .expression_attribute_values(":replaced", dynamo::string(replaced))
            .expression_attribute_values(":key", dynamo::string(sealed))
            .expression_attribute_values(":tag", dynamo::string(self.at_rest.tag(new, pk)))
            .send()
            .await;
        match written {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(error.into()),
            },
        }
    }
}

impl super::Users {
    /// The user's openid in the mini-program.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn open_id(&self, user: UserId, app_id: &AppId) -> Result<OpenId, IdentityError> {
        self.identity_key(user, app_id)
            .await
            .map(|(_, open_id)| open_id)
    }

    /// Key and openid of the user's identity in the mini-program, from the set in the user's row.
    async fn identity_key(
        &self,
        user: UserId,
        app_id: &AppId,
    ) -> Result<(String, OpenId), IdentityError> {
        let row = self
            .dynamo
            .get(&user_pk(user), PROFILE)
            .await?
            .ok_or(IdentityError::NotFound)?;
        let Some(AttributeValue::Ss(identities)) = row.get("identities") else {
            return Err(IdentityError::NotFound);
        };
        let prefix = format!("WX#{app_id}#");
        let found = identities
            .iter()
            .find_map(|pk| Some((pk.clone(), pk.strip_prefix(&prefix)?.parse().ok()?)));
        found.ok_or(IdentityError::NotFound)
    }
}
