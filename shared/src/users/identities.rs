//! Identities: a person in one mini-program (`WX#{appId}#{openId}`), and the user that they are.
//!
//! What is looked up here needs no keys: `session_key`s are [`SessionKeyStore`]'s.
//!
//! [`SessionKeyStore`]: super::SessionKeyStore

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

use super::rows::{IDENTITY, PROFILE, identity_pk, identity_pk_prefix, session_sk, user_pk};
use crate::{
    dynamo::{self, Dynamo, DynamoError, Item},
    ids::{AppId, OpenId, SessionId, UnionId, UserId},
};

/// A person in one mini-program, and the user that they are.
pub struct Identity {
    /// The user.
    pub user: UserId,
    pub(super) pk: String,
    /// When its row was made, if that was read.
    pub(super) created_at: Option<Timestamp>,
}

/// Why a user's identity is unavailable.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The user is not known in this mini-program: the account was deleted, or its link was. Or several
    /// identities there lead to the user, and the session names none of them.
    #[error("the user has no identity in this mini-program")]
    NotFound,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// What an identity's row says of whom it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentityRow {
    pub(super) uid: UserId,
    pub(super) created_at: Option<Timestamp>,
    pub(super) union_id: Option<UnionId>,
    /// Whether the union link was made this user's, or was another user's. Rows of earlier versions
    /// don't say.
    pub(super) union_linked: Option<bool>,
}

/// The identities. Cheap to clone.
#[derive(Clone)]
pub struct Identities {
    pub(super) dynamo: Dynamo,
}

impl Identities {
    /// Identities in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo) -> Self {
        Self { dynamo }
    }

    /// The identity of a person; none if they have never logged in.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn find(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
    ) -> Result<Option<Identity>, DynamoError> {
        self.read(identity_pk(app_id, open_id)).await
    }

    /// The same identity as it is now, which can be another user's after a merge; none if it was
    /// deleted, also if the person's next login has made it anew.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn find_again(&self, before: &Identity) -> Result<Option<Identity>, DynamoError> {
        let now = self.read(before.pk.clone()).await?;
        Ok(now.filter(|now| now.created_at == before.created_at))
    }

    async fn read(&self, pk: String) -> Result<Option<Identity>, DynamoError> {
        let Some(item) = self.dynamo.get(&pk, IDENTITY.sk).await? else {
            return Ok(None);
        };
        let row: IdentityRow = dynamo::from_item(item)?;
        Ok(Some(Identity {
            user: row.uid,
            pk,
            created_at: row.created_at,
        }))
    }

    /// Whether no other identity leads to the user of this one.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn is_only_one(&self, identity: &Identity) -> Result<bool, DynamoError> {
        let row = self.dynamo.get(&user_pk(identity.user), PROFILE.sk).await?;
        Ok(match row.as_ref().and_then(|row| row.get("identities")) {
            Some(AttributeValue::Ss(names)) => names.iter().all(|name| *name == identity.pk),
            _ => true,
        })
    }

    /// Whether the user is there, and no identity leads to them.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn has_none(&self, user: UserId) -> Result<bool, DynamoError> {
        let row = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        Ok(row.is_some_and(|row| !row.contains_key("identities")))
    }

    /// The openid, in the mini-program, that the session is of.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn open_id(
        &self,
        user: UserId,
        app_id: &AppId,
        session: SessionId,
    ) -> Result<OpenId, IdentityError> {
        let (_, open_id) = self.of_session(user, app_id, session).await?;
        Ok(open_id)
    }

    /// Key, openid and row of the identity, in the mini-program, that the session is of.
    pub(super) async fn row_of(
        &self,
        user: UserId,
        app_id: &AppId,
        session: SessionId,
    ) -> Result<(String, OpenId, Item), IdentityError> {
        let (pk, open_id) = self.of_session(user, app_id, session).await?;
        let row = self.dynamo.get(&pk, IDENTITY.sk).await?;
        Ok((pk, open_id, row.ok_or(IdentityError::NotFound)?))
    }

    /// Mostly the only one that the user has in the mini-program; of several, the one that the
    /// session's row names.
    async fn of_session(
        &self,
        user: UserId,
        app_id: &AppId,
        session: SessionId,
    ) -> Result<(String, OpenId), IdentityError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        let mut linked = linked(profile.as_ref(), app_id);
        match linked.pop() {
            None => return Err(IdentityError::NotFound),
            Some(only) if linked.is_empty() => return Ok(only),
            Some(last) => linked.push(last),
        }
        let session = self
            .dynamo
            .get(&user_pk(user), &session_sk(session))
            .await?;
        let named = session
            .as_ref()
            .and_then(|row| row.get("openId")?.as_s().ok());
        let is_named =
            |(_, open_id): &(String, OpenId)| named.is_some_and(|named| named == open_id.as_str());
        linked
            .into_iter()
            .find(is_named)
            .ok_or(IdentityError::NotFound)
    }
}

/// Keys and openids of the identities in the mini-program, from the set in the user's row.
pub(super) fn linked(profile: Option<&Item>, app_id: &AppId) -> Vec<(String, OpenId)> {
    let Some(AttributeValue::Ss(identities)) = profile.and_then(|row| row.get("identities")) else {
        return Vec::new();
    };
    let prefix = identity_pk_prefix(app_id);
    identities
        .iter()
        .filter_map(|pk| Some((pk.clone(), pk.strip_prefix(&prefix)?.parse().ok()?)))
        .collect()
}
