//! `POST /api/v1/messages`, `GET /api/v1/users/{id}/messages`,
//! `GET /api/v1/users/{id}/messages/{messageId}`: messages to users.

mod view;

use axum::extract::{Path, State, rejection::PathRejection};
use serde::{Deserialize, Serialize};
use shared::{
    api::{
        Accepted, ApiError, Checks, Cursors, Input, Json, Optional, Query, Reason, Success,
        page_limit,
    },
    config::USER_MESSAGES,
    edge::Administrator,
    ids::UserId,
    instance::Instance,
    messages::{
        Creation, Message, MessageId, MessageRules, MessageStatus, Messages, Position, QueueEntry,
        RawMessageRequest,
    },
    queue::BoundedQueue,
    request,
    users::ManagedUsers,
};

use crate::{audit, user_id};
pub use view::{ListedMessage, MessageList};

/// The list's name in cursors.
const LIST: &str = "messages";

/// Takes orders. Cheap to clone.
#[derive(Clone)]
pub struct Ordering {
    messages: Messages,
    rules: MessageRules,
    /// Whether messages are sent.
    is_on: bool,
    /// None: the table alone has the messages.
    queue: Option<BoundedQueue>,
}

impl Ordering {
    pub fn new(instance: &Instance) -> Self {
        Self {
            messages: instance.messages(),
            rules: instance.message_rules(),
            is_on: USER_MESSAGES.read(instance.env()),
            queue: instance.message_queue().map(BoundedQueue::new),
        }
    }
}

/// An order, and how far it is.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ordered {
    user_id: UserId,
    message_id: MessageId,
    status: MessageStatus,
}

impl From<Message> for Ordered {
    fn from(message: Message) -> Self {
        Self {
            user_id: message.user,
            message_id: message.id,
            status: message.status,
        }
    }
}

/// The same key and message again is answered with the message as it is by then.
pub async fn send(
    caller: Administrator,
    State(ordering): State<Ordering>,
    Json(raw): Json<RawMessageRequest>,
) -> Result<Accepted<Ordered>, ApiError> {
    if !ordering.is_on {
        return Err(Reason::NotConfigured.into());
    }
    let order = raw.check(&ordering.rules).map_err(ApiError::invalid)?;
    let message = match ordering.messages.create(&order).await? {
        Creation::Created(message) => message,
        Creation::Existing(message) => {
            // The process that recorded it may have ended before it wrote the line. Better twice than not at all.
            if message.status == MessageStatus::Queued {
                audit::message_ordered(caller.user.id, &message);
            }
            return Ok(Accepted(message.into()));
        }
        Creation::KeyReused => return Err(Reason::IdempotencyKeyReused.into()),
        Creation::NoUser | Creation::Barred => return Err(Reason::NotFound.into()),
        Creation::Unreachable => return Err(Reason::UserUnreachable.into()),
    };
    audit::message_ordered(caller.user.id, &message);
    if let Some(queue) = &ordering.queue {
        hand_over(queue, &message).await;
    }
    Ok(Accepted(message.into()))
}

/// The queue only makes it faster: what it does not take is sent when the table is looked through.
async fn hand_over(queue: &BoundedQueue, message: &Message) {
    if let Err(error) = queue.send(QueueEntry::text_of(message)).await {
        let (request_id, message) = (request::id(), &message.id);
        tracing::warn!(request_id, %message, why = %error, "a message to a user is not queued: it waits in the table");
    }
}

/// The query of a page.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "MessagesQuery")
)]
#[serde(deny_unknown_fields)]
pub struct RawMessagesQuery {
    /// Messages on a page.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "usize", range(min = 1, max = shared::api::MAX_PAGE_LIMIT), extend("default" = shared::api::DEFAULT_PAGE_LIMIT)))]
    limit: Optional<String>,
    /// The `cursor` of the page before this one.
    #[serde(default)]
    cursor: Optional<String>,
}

/// Which messages are on this page.
pub struct MessagesQuery {
    limit: usize,
    cursor: Option<String>,
}

impl Input for MessagesQuery {
    type Raw = RawMessagesQuery;

    fn parse(raw: RawMessagesQuery, checks: &mut Checks) -> Option<Self> {
        Some(Self {
            limit: page_limit(raw.limit.0.as_deref(), checks)?,
            cursor: raw.cursor.0,
        })
    }
}

pub async fn list(
    caller: Administrator,
    State(managed_users): State<ManagedUsers>,
    State(ordering): State<Ordering>,
    State(cursors): State<Cursors>,
    id: Result<Path<String>, PathRejection>,
    Query(query): Query<MessagesQuery>,
) -> Result<Success<MessageList>, ApiError> {
    let id = user_id(id)?;
    // A user who does not exist has no messages either, but a mistyped id should not look like one.
    managed_users.get(id).await?;
    let context = (caller.user.id, id);
    let after: Option<Position> = match &query.cursor {
        Some(cursor) => Some(cursors.read(LIST, &context, cursor)?),
        None => None,
    };
    let page = ordering.messages.page(id, query.limit, after.as_ref());
    let (messages, next) = page.await?;
    let cursor = next.map(|position| cursors.sign(LIST, &context, &position));
    Ok(Success(MessageList {
        messages: messages.into_iter().map(Into::into).collect(),
        cursor: cursor.transpose()?,
    }))
}

pub async fn read(
    _caller: Administrator,
    State(ordering): State<Ordering>,
    ids: Result<Path<(String, String)>, PathRejection>,
) -> Result<Success<ListedMessage>, ApiError> {
    let (user, message) = ids.map(|Path(ids)| ids).map_err(|_| Reason::NotFound)?;
    let user = user.parse().map_err(|_| Reason::NotFound)?;
    let id = message.parse().map_err(|_| Reason::NotFound)?;
    let message = ordering.messages.get(user, &id).await?;
    let message = message.ok_or(Reason::NotFound)?;
    Ok(Success(message.into()))
}
