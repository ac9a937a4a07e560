//! The messages: their orders, and what administrators read of them.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, future::ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Message, MessageId, MessageRequest, message::message_sk};
use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, TransactionOutcome, Write},
    ids::UserId,
    random::Random,
    request,
    users::{
        Identities, Recipient,
        rows::{MESSAGE, account_in_use, user_pk},
    },
};

/// The most messages of a user that a list looks at. Their keys are hashes: of more than these, it may leave
/// out any.
const LISTED: usize = 1000;

/// What became of an order.
#[derive(Debug, PartialEq, Eq)]
pub enum Creation {
    /// The message is there now, and due.
    Created(Message),
    /// The same message was ordered with this key before: as it is now.
    Existing(Message),
    /// Another message was ordered with this key before.
    KeyReused,
    /// There is no such user.
    NoUser,
    /// The account is barred: it is being deleted, which can be called off, or merged.
    Barred,
    /// The user is not known in this mini-program.
    Unreachable,
}

/// Where a page of a user's messages ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    created_at: Timestamp,
    id: MessageId,
}

impl Position {
    /// Where the page that this message is the last one of ends.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            created_at: message.created_at,
            id: message.id.clone(),
        }
    }
}

/// The messages. Cheap to clone.
#[derive(Clone)]
pub struct Messages {
    pub(super) dynamo: Dynamo,
    pub(super) identities: Identities,
    pub(super) clock: Clock,
    pub(super) random: Random,
    retention: Duration,
}

impl Messages {
    /// Messages in `dynamo`, which are kept for `retention`; `random` names claims.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, random: Random, retention: Duration) -> Self {
        Self {
            identities: Identities::new(dynamo.clone()),
            dynamo,
            clock,
            random,
            retention,
        }
    }

    /// Records an order, unless its key was used before.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when other requests keep writing the same rows; DynamoDB's.
    pub async fn create(&self, request: &MessageRequest) -> Result<Creation, DynamoError> {
        let attempt = || self.try_create(request);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    async fn try_create(&self, request: &MessageRequest) -> Result<Creation, DynamoError> {
        let id = request.id();
        let before = self.get(request.user, &id);
        let recipient = self.identities.recipient(request.user, &request.app_id);
        let (before, recipient) = futures_util::try_join!(before, recipient)?;
        // A repeated order gets the status, also where a new one would be refused.
        match before {
            Some(before) if before.digest == request.digest() => {
                return Ok(Creation::Existing(before));
            }
            Some(_) => return Ok(Creation::KeyReused),
            None => {}
        }
        match recipient {
            Recipient::NoAccount => return Ok(Creation::NoUser),
            Recipient::Barred => return Ok(Creation::Barred),
            Recipient::Unreachable => return Ok(Creation::Unreachable),
            Recipient::Known(_) => {}
        }
        let now = self.clock.now();
        let message = Message::new(request, now, expires(now, self.retention));
        let writes = vec![
            account_in_use(request.user),
            Write::Put(message.to_item()?, absent_or_expired(now)),
        ];
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(Creation::Created(message)),
            // Another request did the same, or the account was barred: the next look tells.
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// A user's message.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn get(&self, user: UserId, id: &MessageId) -> Result<Option<Message>, DynamoError> {
        let row = self.dynamo.get(&user_pk(user), &message_sk(id)).await?;
        let message = row.map(|row| Message::from_item(user, row)).transpose()?;
        Ok(message.filter(|message| self.is_kept(message)))
    }

    /// At most `limit` messages of a user, the newest first: from the first on, or those behind `after`;
    /// and where the next page begins, if there is one. One that can't be read is left out.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn page(
        &self,
        user: UserId,
        limit: usize,
        after: Option<&Position>,
    ) -> Result<(Vec<Message>, Option<Position>), DynamoError> {
        let query = self
            .dynamo
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
            .expression_attribute_values(":sk", dynamo::string(MESSAGE.sk));
        let rows = self.dynamo.rows(query).take(LISTED);
        let messages = rows.try_filter_map(|row| ready(Ok(readable(user, row))));
        let mut messages: Vec<_> = messages.try_collect().await?;
        messages.retain(|message| {
            let is_behind = after.is_none_or(|after| Position::of(message) < *after);
            is_behind && self.is_kept(message)
        });
        messages.sort_by_key(|message| std::cmp::Reverse(Position::of(message)));
        let is_last = messages.len() <= limit;
        messages.truncate(limit);
        let next = messages.last().filter(|_| !is_last).map(Position::of);
        Ok((messages, next))
    }

    fn is_kept(&self, message: &Message) -> bool {
        message.ttl > self.clock.now_seconds()
    }
}

fn readable(user: UserId, row: dynamo::Item) -> Option<Message> {
    match Message::from_item(user, row) {
        Ok(message) => Some(message),
        Err(error) => {
            let why = error.to_string();
            tracing::error!(request_id = request::id(), user = %user, why, "a message can't be read");
            None
        }
    }
}

/// When a row expires that is kept this long, in seconds since the epoch.
pub(super) fn expires(from: Timestamp, retention: Duration) -> i64 {
    let retention = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
    from.as_second().saturating_add(retention)
}

/// There is no row, or one that DynamoDB has not deleted yet although it expired.
pub(super) fn absent_or_expired(now: Timestamp) -> Condition {
    Condition::new("attribute_not_exists(pk) OR #ttl <= :now")
        .name("#ttl", "ttl")
        .value(":now", dynamo::number(now.as_second()))
}
