//! Sessions: one per login, true in DynamoDB (`USER#{uid}` / `SESSION#{sid}`), remembered in the
//! cache (`{s:sid}`).

mod row;

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use thiserror::Error;

use super::refresh_token::RefreshToken;
use crate::{
    cache::{Cache, CacheEntry, Loading},
    clock::Clock,
    config::{CacheSettings, SessionSettings},
    dynamo::{self, Dynamo, DynamoError},
    ids::{AppId, SessionId, UserId},
    random::Random,
};
pub use row::Session;
use row::{session_sk, user_pk};

const ACTIVE: &[u8] = b"active";
const REVOKED: &[u8] = b"revoked";
/// Sessions revoked at the same time when a user ends all of them.
const REVOKE_CONCURRENCY: usize = 16;

/// Where a session is cached.
#[must_use]
pub fn session_cache_key(id: SessionId) -> String {
    format!("{{s:{id}}}")
}

/// Why a session can't be used.
#[derive(Debug, Error)]
pub enum SessionError {
    /// There is none, or it has ended.
    #[error("the session has ended")]
    Ended,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// Why a refresh token does not get a successor.
#[derive(Debug, Error)]
pub enum RotateError {
    /// Not ours, or of a session that is gone.
    #[error("not a refresh token of a living session")]
    Invalid,
    /// Used before, outside the grace window. The session is revoked now.
    #[error("the refresh token was used before")]
    Reused {
        /// Whose.
        user: UserId,
        /// Which was revoked.
        session: SessionId,
    },
    /// The session was revoked.
    #[error("the session was revoked")]
    Revoked,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// The sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    dynamo: Dynamo,
    cache: Cache,
    clock: Clock,
    random: Random,
    life: Duration,
    grace: Duration,
    cache_life: Duration,
}

impl Sessions {
    /// Sessions in `dynamo`, remembered in `cache`.
    #[must_use]
    pub fn new(
        (dynamo, cache): (Dynamo, Cache),
        (clock, random): (Clock, Random),
        settings: &SessionSettings,
        cached: &CacheSettings,
    ) -> Self {
        let cache_life = cached.session.min(settings.access_life);
        let (life, grace) = (settings.refresh_life, settings.refresh_grace);
        Self {
            dynamo,
            cache,
            clock,
            random,
            life,
            grace,
            cache_life,
        }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn open(
        &self,
        user: UserId,
        app_id: AppId,
        user_agent: Option<String>,
    ) -> Result<Session, DynamoError> {
        let now = self.clock.now();
        let session = Session {
            id: SessionId(self.random.uuid_v7(&self.clock)),
            user,
            app_id,
            counter: 0,
            created_at: now,
            rotated_at: now,
            revoked_at: None,
            user_agent,
            ttl: self.ttl(now),
        };
        let put = self
            .dynamo
            .client
            .put_item()
            .table_name(&self.dynamo.table)
            .set_item(Some(session.to_item()?));
        match put
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await
        {
            Ok(_) => Ok(session),
            Err(error) => match error.as_service_error() {
                // The id is ours and new: the SDK's retry met the row that its first try had
                // written.
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(session),
                _ => Err(error.into()),
            },
        }
    }

    /// The session as DynamoDB has it.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when it is gone, revoked or expired; DynamoDB's.
    pub async fn get(&self, user: UserId, id: SessionId) -> Result<Session, SessionError> {
        let item = self.dynamo.get(&user_pk(user), &session_sk(id)).await?;
        let session = item
            .map(Session::from_item)
            .transpose()?
            .ok_or(SessionError::Ended)?;
        if self.is_living(&session) {
            Ok(session)
        } else {
            Err(SessionError::Ended)
        }
    }

    /// Whether the session is living, from what the cache said (`known`) or from DynamoDB.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when it is not; DynamoDB's.
    pub async fn check(
        &self,
        user: UserId,
        id: SessionId,
        known: CacheEntry,
    ) -> Result<(), SessionError> {
        let load = || -> Loading<'_, DynamoError> { Box::pin(self.load_state(user, id)) };
        let state = self
            .cache
            .fill(&session_cache_key(id), known, self.cache_life, load)
            .await?;
        if state.as_deref() == Some(ACTIVE) {
            Ok(())
        } else {
            Err(SessionError::Ended)
        }
    }

    /// The session of a refresh token, one step further: one conditional write.
    ///
    /// The token one step behind gets the same successor again within the grace window; an older
    /// one revokes the session, because either its thief or its owner must have used it before.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn rotate(&self, token: &RefreshToken) -> Result<Session, RotateError> {
        match self.advance(token).await? {
            Ok(session) => Ok(session),
            Err(current) => self.behind(token, current).await,
        }
    }

    /// Ends a session. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when there is no such session; DynamoDB's.
    pub async fn revoke(&self, user: UserId, id: SessionId) -> Result<(), SessionError> {
        let marked = self.mark_revoked(user, id).await;
        if marked.is_err() {
            // A write whose answer was lost may have happened.
            self.cache.invalidate(&session_cache_key(id)).await;
        }
        marked?;
        self.cache
            .store_final(&session_cache_key(id), REVOKED, self.cache_life)
            .await;
        Ok(())
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// DynamoDB's; those not reached are still open then, and the next try goes on.
    pub async fn revoke_all(&self, user: UserId) -> Result<(), DynamoError> {
        let revoke = |session: Session| async move {
            match self.revoke(user, session.id).await {
                Err(SessionError::Dynamo(error)) => Err(error),
                Ok(()) | Err(SessionError::Ended) => Ok(()),
            }
        };
        stream::iter(self.list(user).await?)
            .map(revoke)
            .buffer_unordered(REVOKE_CONCURRENCY)
            .try_collect()
            .await
    }

    /// The living sessions of a user, the newest first.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, DynamoError> {
        let mut pages = self
            .dynamo
            .client
            .query()
            .table_name(&self.dynamo.table)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .filter_expression("attribute_not_exists(revokedAt) AND #ttl > :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
            .expression_attribute_values(":sk", dynamo::string(row::SK_PREFIX))
            .expression_attribute_values(":now", dynamo::number(self.clock.now_seconds()))
            .into_paginator()
            .items()
            .send();
        let mut sessions = Vec::new();
        while let Some(item) = pages.next().await {
            sessions.push(Session::from_item(item?)?);
        }
        Ok(sessions)
    }

    /// Moves the counter on if it stands where the token says; else the row as it is.
    async fn advance(
        &self,
        token: &RefreshToken,
    ) -> Result<Result<Session, Option<Session>>, DynamoError> {
        let now = self.clock.now();
        let updated = self
            .dynamo
            .client
            .update_item()
            .table_name(&self.dynamo.table)
            .set_key(Some(dynamo::key(
                &user_pk(token.user),
                &session_sk(token.session),
            )))
            .condition_expression(
                "#counter = :counter AND attribute_not_exists(revokedAt) AND #ttl > :seconds",
            )
            .update_expression("SET #counter = :next, rotatedAt = :now, #ttl = :ttl")
            .expression_attribute_names("#counter", "counter")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":counter", dynamo::number(token.counter))
            .expression_attribute_values(":next", dynamo::number(token.counter.saturating_add(1)))
            .expression_attribute_values(":now", dynamo::string(now.to_string()))
            .expression_attribute_values(":seconds", dynamo::number(now.as_second()))
            .expression_attribute_values(":ttl", dynamo::number(self.ttl(now)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match updated {
            Ok(updated) => Ok(Ok(Session::from_item(
                updated.attributes.unwrap_or_default(),
            )?)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(Err(failed
                    .item()
                    .cloned()
                    .map(Session::from_item)
                    .transpose()?)),
                _ => Err(error.into()),
            },
        }
    }

    /// The token is not the current one: what now?
    async fn behind(
        &self,
        token: &RefreshToken,
        current: Option<Session>,
    ) -> Result<Session, RotateError> {
        let Some(current) = current else {
            return Err(RotateError::Invalid);
        };
        if current.revoked_at.is_some() {
            return Err(RotateError::Revoked);
        }
        // Expired, or from a future that a restored backup does not know.
        if !self.is_living(&current) || token.counter > current.counter {
            return Err(RotateError::Invalid);
        }
        let one_behind = token.counter + 1 == current.counter;
        let since = self.clock.now().duration_since(current.rotated_at);
        if one_behind && since <= jiff::SignedDuration::try_from(self.grace).unwrap_or_default() {
            return Ok(current);
        }
        match self.revoke(token.user, token.session).await {
            Err(SessionError::Dynamo(error)) => Err(error.into()),
            Ok(()) | Err(SessionError::Ended) => Err(RotateError::Reused {
                user: token.user,
                session: token.session,
            }),
        }
    }

    /// What the cache may say of the session.
    async fn load_state(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<Option<Vec<u8>>, DynamoError> {
        match self.get(user, id).await {
            Ok(_) => Ok(Some(ACTIVE.to_vec())),
            Err(SessionError::Ended) => Ok(Some(REVOKED.to_vec())),
            Err(SessionError::Dynamo(error)) => Err(error),
        }
    }

    async fn mark_revoked(&self, user: UserId, id: SessionId) -> Result<(), SessionError> {
        let update = self
            .dynamo
            .client
            .update_item()
            .table_name(&self.dynamo.table);
        let updated = update
            .set_key(Some(dynamo::key(&user_pk(user), &session_sk(id))))
            .condition_expression("attribute_exists(pk)")
            .update_expression("SET revokedAt = if_not_exists(revokedAt, :now)")
            .expression_attribute_values(":now", dynamo::string(self.clock.now().to_string()))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                    Err(SessionError::Ended)
                }
                _ => Err(DynamoError::from(error).into()),
            },
        }
    }

    /// DynamoDB deletes expired rows late, so every read looks for itself.
    fn is_living(&self, session: &Session) -> bool {
        session.revoked_at.is_none() && session.ttl > self.clock.now_seconds()
    }

    fn ttl(&self, now: Timestamp) -> i64 {
        now.as_second() + i64::try_from(self.life.as_secs()).unwrap_or_default()
    }
}
