//! Agreements of an account that is merged into another one.
//!
//! The history of both is kept: rows move, with numbers behind those that the surviving account has.
//! What holds is decided for each document by the last word that the person said in either account.

mod plan;

use std::collections::BTreeSet;

use super::{AgreedVersions, Consents, agreed, rows, rows::ConsentRow};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, TransactionOutcome, Update, Write},
    ids::DocumentId,
    users::{
        Bar, MergePair,
        profiles::invalidate_cached,
        rows::{PROFILE, profile_key, user_pk},
    },
};

use aws_sdk_dynamodb::types::AttributeValue;
use plan::{Change, Plan};

/// Changes of one transaction, each of which is two writes at most; DynamoDB takes 100 writes.
const AT_ONCE: usize = 45;

/// What one account has said about one document.
struct Side {
    /// The version that its row says is agreed to.
    version: Option<u32>,
    /// Whether its row has a map of versions at all.
    has_map: bool,
    rows: Vec<ConsentRow>,
}

impl Consents {
    /// Gives `pair.into` the agreements of `pair.from`, which then has none.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when other requests keep writing the same rows; DynamoDB's.
    pub(in crate::users) async fn take_over(&self, pair: MergePair<'_>) -> Result<(), DynamoError> {
        let rows = self.rows(pair.from, rows::prefix()).await?;
        let Some((agreed, _)) = self.agreed_by(pair.from_bar()).await? else {
            return Ok(());
        };
        let named = rows.into_iter().map(|row| row.consent.document);
        let mut documents: BTreeSet<String> = named.map(|name| name.to_string()).collect();
        documents.extend(agreed.0.into_keys());
        for document in documents {
            let document = document.parse().map_err(DynamoError::unreadable)?;
            self.take_over_document(pair, &document).await?;
        }
        Ok(())
    }

    async fn take_over_document(
        &self,
        pair: MergePair<'_>,
        document: &DocumentId,
    ) -> Result<(), DynamoError> {
        let attempt = || self.try_take_over(pair, document);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        let mut is_complete = false;
        while !is_complete {
            is_complete = self.dynamo.retry_conflicts(attempt, is_conflict).await?;
        }
        invalidate_cached(&self.cache, pair.into).await;
        Ok(())
    }

    /// One transaction. Whether it was the last one.
    async fn try_take_over(
        &self,
        pair: MergePair<'_>,
        document: &DocumentId,
    ) -> Result<bool, DynamoError> {
        let from = self.side(pair.from_bar(), document).await?;
        let into = self.side(pair.into_bar(), document).await?;
        let (Some(from), Some(into)) = (from, into) else {
            return Ok(true);
        };
        let Plan { changes, holds } = Plan::new(&from, &into);
        let is_last = changes.len() <= AT_ONCE;
        // What holds is written with the last rows, so that it has its row.
        let (from_after, into_after) = if is_last {
            (None, holds)
        } else {
            (from.version, into.version)
        };
        let mut writes = vec![
            agreement(pair.from_bar(), document, &from, from_after),
            agreement(pair.into_bar(), document, &into, into_after),
        ];
        for change in changes.iter().take(AT_ONCE) {
            writes.extend(change.writes(pair)?);
        }
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(is_last),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    async fn side(&self, bar: Bar<'_>, document: &DocumentId) -> Result<Option<Side>, DynamoError> {
        let Some((agreed, has_map)) = self.agreed_by(bar).await? else {
            return Ok(None);
        };
        let rows = self.rows(bar.user, rows::prefix_of(document)).await?;
        Ok(Some(Side {
            version: agreed.version(document),
            has_map,
            rows,
        }))
    }

    async fn agreed_by(&self, bar: Bar<'_>) -> Result<Option<(AgreedVersions, bool)>, DynamoError> {
        let profile = self.dynamo.get(&user_pk(bar.user), PROFILE.sk).await?;
        profile.map(agreed).transpose()
    }
}

impl Change {
    fn writes(&self, pair: MergePair<'_>) -> Result<Vec<Write>, DynamoError> {
        let delete = |row: &ConsentRow, user| Write::Delete(row.key(user), Condition::exists());
        Ok(match self {
            Self::Move { old, new } => {
                let put = Write::Put(new.to_item(pair.into)?, Condition::absent());
                vec![delete(old, pair.from), put]
            }
            Self::Drop(row) => vec![delete(row, pair.from)],
            Self::Forget(row) => vec![delete(row, pair.into)],
            Self::Withdraw(row) => {
                vec![Write::Put(row.to_item(pair.into)?, Condition::exists())]
            }
        })
    }
}

/// Makes the account's row say that `after` is agreed to, if it says what was read.
fn agreement(bar: Bar<'_>, document: &DocumentId, read: &Side, after: Option<u32>) -> Write {
    let condition = match read.version {
        Some(before) => bar
            .holds_and(" AND consents.#document = :before")
            .value(":before", dynamo::number(before)),
        None if read.has_map => bar.holds_and(
            " AND attribute_exists(consents) AND attribute_not_exists(consents.#document)",
        ),
        None => bar.holds_and(" AND attribute_not_exists(consents)"),
    };
    let names_document = read.has_map;
    let condition = if names_document {
        condition.name("#document", document.as_str())
    } else {
        condition
    };
    let key = profile_key(bar.user);
    if after == read.version {
        return Write::Check(key, condition);
    }
    Write::Update(match after {
        None => Update::new(key, "REMOVE consents.#document", condition),
        Some(version) if read.has_map => {
            Update::new(key, "SET consents.#document = :version", condition)
                .value(":version", dynamo::number(version))
        }
        Some(version) => {
            let map = Item::from([(document.to_string(), dynamo::number(version))]);
            Update::new(key, "SET consents = :map", condition).value(":map", AttributeValue::M(map))
        }
    })
}
