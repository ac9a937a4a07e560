//! The list of all users, the newest first, read page by page.
//!
//! The index of users by creation time is spread over 16 partitions, so that no partition takes every
//! new user. A page reads them at the same time and merges what they have ([`Merge`]). A position in
//! the list is the key of an entry, so users who are added or deleted meanwhile neither repeat nor
//! hide others.
//!
//! The index follows the table within milliseconds, not at once: it has no consistent reads.

mod merge;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::{
    Status, User,
    rows::{self, LISTING_INDEX, LISTING_PARTITIONS, listing_pk},
};
use crate::{
    dynamo::{self, Dynamo, DynamoError, Item},
    ids::AppId,
};
use merge::{Due, Merge, Read};

/// How often the partitions are read for one page, at most. Without filters one time mostly suffices,
/// and two always do.
const ROUNDS: usize = 4;
/// The most rows that one query reads.
const MAX_CHUNK: usize = 100;
/// How much more each round reads than the one before it: where filters leave little, the next page
/// is far away.
const GROWTH: usize = 8;

/// What a list needs of a user's row.
const PROJECTION: &str = "gsi1sk, id, nickname, avatarUrl, phone, #role, #status, createdAt, updatedAt, version, \
    identities";

/// Which users a list has: those for whom all that is set holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Their status.
    pub status: Option<Status>,
    /// A mini-program in which they have an identity.
    pub app_id: Option<AppId>,
}

/// A place in the list: `createdAt#uid`. What follows it is older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(String);

/// A part of the list.
#[derive(Debug)]
pub struct UserPage {
    /// The users, the newest first; without `gender`, which lists do not show.
    pub users: Vec<User>,
    /// Where the next page begins; `None` at the end of the list. A page can have less users than
    /// were asked for, even none, and not be the last one: the work for one is bounded.
    pub next: Option<Position>,
}

/// The list. Cheap to clone.
#[derive(Clone)]
pub struct Listing {
    dynamo: Dynamo,
}

impl UserFilter {
    fn takes(&self, user: &User, identities: &[String]) -> bool {
        let has_status = self.status.is_none_or(|status| user.status == status);
        let is_known_to = |app_id: &AppId| rows::app_ids(identities).any(|id| id == *app_id);
        has_status && self.app_id.as_ref().is_none_or(is_known_to)
    }
}

impl Listing {
    /// The users in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo) -> Self {
        Self { dynamo }
    }

    /// At most `limit` users that `filter` takes, after `after` or from the newest one on.
    ///
    /// Each round sends up to 16 queries at the same time.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn page(
        &self,
        filter: &UserFilter,
        limit: usize,
        after: Option<&Position>,
    ) -> Result<UserPage, DynamoError> {
        let after = after.map(|Position(key)| key.as_str());
        let mut merge = Merge::new(LISTING_PARTITIONS.into(), limit, after);
        let mut chunk = first_chunk(limit);
        for _ in 0..ROUNDS {
            let due = merge.due();
            if due.is_empty() {
                break;
            }
            let reads = due.into_iter().map(|due| self.read(filter, due, chunk));
            for read in try_join_all(reads).await? {
                merge.add(read);
            }
            chunk = (chunk * GROWTH).min(MAX_CHUNK);
        }
        let (users, next) = merge.into_page();
        Ok(UserPage {
            users,
            next: next.map(Position),
        })
    }

    /// One query of one partition.
    async fn read(
        &self,
        filter: &UserFilter,
        due: Due,
        chunk: usize,
    ) -> Result<Read<User>, DynamoError> {
        let Due { partition, below } = due;
        let number = u8::try_from(partition).unwrap_or(u8::MAX);
        let query = self
            .dynamo
            .query()
            .consistent_read(false)
            .index_name(LISTING_INDEX)
            .scan_index_forward(false)
            .projection_expression(PROJECTION)
            .expression_attribute_names("#role", "role")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":pk", dynamo::string(listing_pk(number)))
            .limit(i32::try_from(chunk).unwrap_or(i32::MAX));
        let query = match below {
            Some(key) => query
                .key_condition_expression("gsi1pk = :pk AND gsi1sk < :below")
                .expression_attribute_values(":below", dynamo::string(key)),
            None => query.key_condition_expression("gsi1pk = :pk"),
        };
        let page = self.dynamo.page(query).await?;
        let last = page.last_evaluated_key.filter(|key| !key.is_empty());
        let rows = page.items.unwrap_or_default().into_iter();
        let found: Result<Vec<_>, _> = rows
            .filter_map(|row| entry(filter, row).transpose())
            .collect();
        Ok(Read {
            partition,
            found: found?,
            reached: last.map(|key| listing_key(&key)).transpose()?,
        })
    }
}

/// The key and the user of a row, if the filter takes it.
fn entry(filter: &UserFilter, mut row: Item) -> Result<Option<(String, User)>, DynamoError> {
    let key = listing_key(&row)?;
    let identities = match row.remove("identities") {
        Some(AttributeValue::Ss(identities)) => identities,
        _ => Vec::new(),
    };
    let user: User = dynamo::from_item(row)?;
    Ok(filter.takes(&user, &identities).then_some((key, user)))
}

fn listing_key(row: &Item) -> Result<String, DynamoError> {
    let key = row.get("gsi1sk").and_then(|key| key.as_s().ok());
    key.cloned()
        .ok_or_else(|| DynamoError::unreadable("a user in the index has no gsi1sk"))
}

/// How many rows the first round reads of each partition: half as many again as its even share, and a
/// few more. It is rare that a partition has more of a page; rows that are read in vain cost little,
/// because DynamoDB counts by 4 KB, which is about ten of them.
fn first_chunk(limit: usize) -> usize {
    let partitions = usize::from(LISTING_PARTITIONS);
    (limit * 3 / (partitions * 2) + 4).min(limit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_reads_a_little_more_than_a_page() {
        assert_eq!([1, 3, 20, 100].map(first_chunk), [1, 3, 5, 13]);
    }

    #[test]
    fn a_filter_takes_users_for_whom_all_of_it_holds() {
        let id = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let user = User::new(id, jiff::Timestamp::UNIX_EPOCH);
        let identities = ["WX#wx1#o1".to_owned(), "WX#wx2#o2".to_owned()];
        let takes = |status, app_id: Option<&str>| {
            let app_id = app_id.map(|id| id.parse().unwrap());
            UserFilter { status, app_id }.takes(&user, &identities)
        };
        assert!(takes(None, None));
        assert!(takes(Some(Status::Active), Some("wx2")));
        assert!(!takes(Some(Status::Disabled), Some("wx2")));
        // The beginning of an AppID is another AppID.
        assert!(!takes(Some(Status::Active), Some("wx")));
    }
}
