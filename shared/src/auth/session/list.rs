//! A user's sessions.

use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use futures_util::{Stream, StreamExt};

use super::{Session, Sessions};
use crate::{
    dynamo::{self, DynamoError},
    ids::UserId,
    users::rows::{SESSION, user_pk},
};

/// The fewest rows that one look at a user's sessions reads.
const MIN_PAGE: usize = 100;

/// The newest sessions of a user, living or ended.
pub(super) struct NewestRows {
    pub(super) sessions: Vec<Session>,
    /// Whether the user has no others.
    pub(super) are_all: bool,
}

impl Sessions {
    /// The living sessions of a user, the newest first: those among the rows of one page, which is
    /// four times as many as may live, and at least a hundred.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, DynamoError> {
        let NewestRows { mut sessions, .. } = self.newest_rows(user).await?;
        sessions.retain(|session| self.is_living(session));
        Ok(sessions)
    }

    /// One page.
    pub(super) async fn newest_rows(&self, user: UserId) -> Result<NewestRows, DynamoError> {
        let limit = self.max.saturating_mul(4).max(MIN_PAGE);
        let query = self
            .of(user)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = self.dynamo.page(query).await?;
        let rows = page.items.unwrap_or_default().into_iter();
        let sessions: Result<Vec<_>, _> = rows.map(Session::from_item).collect();
        let sessions = sessions?;
        Ok(NewestRows {
            // A full page says that it may be followed by another one, also when it is not.
            are_all: page.last_evaluated_key.is_none(),
            sessions,
        })
    }

    /// All living sessions of a user, read page by page.
    pub(super) fn living(
        &self,
        user: UserId,
    ) -> impl Stream<Item = Result<Session, DynamoError>> + use<> {
        let query = self
            .of(user)
            .filter_expression("attribute_not_exists(revokedAt) AND #ttl > :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", dynamo::number(self.clock.now_seconds()));
        let rows = self.dynamo.rows(query);
        rows.map(|row| row.and_then(Session::from_item))
    }

    /// The query of a user's sessions, the newest first.
    fn of(&self, user: UserId) -> QueryInputBuilder {
        self.dynamo
            .query()
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
            .expression_attribute_values(":sk", dynamo::string(SESSION.sk))
    }
}
