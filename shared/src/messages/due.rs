//! The messages that are due.

use futures_util::{StreamExt, stream};

use super::{Message, Messages, message::due_partition};
use crate::{
    dynamo::{DUE_READS, DuePosition, DynamoError, Item},
    ids::{AppId, UserId},
    request,
    users::rows::{MESSAGE, PROFILE},
};

/// A page of messages that are due.
#[derive(Debug)]
pub struct DuePage {
    /// Those that wait and are due, and those whose sender did not come to an end: their claims ran out
    /// ([`MessageStatus::Sending`](super::MessageStatus::Sending)); and those at their end of which
    /// nobody was told.
    pub messages: Vec<Message>,
    /// How many rows this version can't read. The log says which.
    pub unreadable: usize,
    /// How many rows the table did not give. The log says why.
    pub missed: usize,
    /// Where the next page begins; none on the last one.
    pub next: Option<DuePosition>,
}

impl Messages {
    /// At most `limit` messages of the mini-program that are due, the longest waiting first: from the
    /// first on, or those behind `after`. A row that can't be read is left out, so that those behind it
    /// don't wait for it.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn due(
        &self,
        app_id: &AppId,
        limit: u16,
        after: Option<DuePosition>,
    ) -> Result<DuePage, DynamoError> {
        let now = self.clock.now();
        let due = self.dynamo.due(due_partition(app_id), now, limit, after);
        let due = due.await?;
        let reads = due.rows.into_iter().map(|row| self.read_due(row));
        let found: Vec<_> = stream::iter(reads).buffered(DUE_READS).collect().await;
        let mut page = DuePage {
            messages: Vec::new(),
            unreadable: 0,
            missed: 0,
            next: due.next,
        };
        for read in found {
            match read {
                // The index may be older than the rows.
                Ok(found) => {
                    let is_due = |message: &Message| message.due_at.is_some_and(|due| due <= now);
                    page.messages.extend(found.filter(is_due));
                }
                Err(error) if error.is_about_the_row() => page.unreadable += 1,
                Err(_) => page.missed += 1,
            }
        }
        Ok(page)
    }

    /// The row that a row of the index is about.
    async fn read_due(&self, indexed: Item) -> Result<Option<Message>, DynamoError> {
        let part = |name: &str, prefix: &str| {
            let text = indexed.get(name)?.as_s().ok()?;
            text.strip_prefix(prefix).map(str::to_owned)
        };
        let (user_id, message_id) = (part("pk", PROFILE.pk_prefix), part("sk", MESSAGE.sk));
        let read = self.read_named(user_id.as_deref(), message_id.as_deref());
        read.await.inspect_err(|error| {
            let why = error.to_string();
            tracing::error!(
                request_id = request::id(),
                user_id,
                message_id,
                why,
                "a message that is due can't be read"
            );
        })
    }

    async fn read_named(
        &self,
        user: Option<&str>,
        message: Option<&str>,
    ) -> Result<Option<Message>, DynamoError> {
        let (Some(user), Some(message)) = (user, message) else {
            return Err(DynamoError::unreadable("a key that is no message's"));
        };
        let user: UserId = user.parse().map_err(DynamoError::unreadable)?;
        let message = message.parse().map_err(DynamoError::unreadable)?;
        self.get(user, &message).await
    }
}
