//! A user's sessions.

use super::{Session, Sessions};
use crate::{
    dynamo::{self, DynamoError},
    ids::UserId,
    users::rows::{SESSION, user_pk},
};

impl Sessions {
    /// The living sessions of a user, the newest first.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, DynamoError> {
        let mut pages = self
            .dynamo
            .query()
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .filter_expression("attribute_not_exists(revokedAt) AND #ttl > :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
            .expression_attribute_values(":sk", dynamo::string(SESSION.sk))
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
}
