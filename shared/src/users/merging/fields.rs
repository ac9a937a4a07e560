//! The fields of a profile, and the phone number with the row that says whose it is.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Merging, is_conflict};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, Update, Write},
    users::{
        Bar, MergePair,
        phone_numbers::phone_claim,
        rows::{Owner, PHONE_OWNER, PROFILE, profile_key, user_pk},
    },
};

/// The attributes that are taken over one by one.
const FIELDS: [&str; 3] = ["nickname", "avatarUrl", "gender"];
/// The attributes of a number.
const NUMBER: [&str; 2] = ["phone", "phoneClaim"];

impl Merging {
    /// Gives the surviving account those fields that it lacks, and the phone number if it has none.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when other requests keep writing the same rows; DynamoDB's.
    pub async fn move_fields(&self, pair: MergePair<'_>) -> Result<(), DynamoError> {
        let attempt = || self.try_move_fields(pair);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    async fn try_move_fields(&self, pair: MergePair<'_>) -> Result<(), DynamoError> {
        let (from_pk, into_pk) = (user_pk(pair.from), user_pk(pair.into));
        let read = |pk| self.dynamo.get(pk, PROFILE.sk);
        let (from, into) = futures_util::try_join!(read(&from_pk), read(&into_pk))?;
        let (Some(from), Some(into)) = (from, into) else {
            return Ok(());
        };
        let lacks = |name: &&str| !into.contains_key(*name);
        let mut names: Vec<&str> = FIELDS.into_iter().filter(lacks).collect();
        let has_no_number = NUMBER.iter().all(lacks);
        let claim = match phone_claim(&from).filter(|_| has_no_number) {
            Some(claim) if self.is_theirs(pair, &claim).await? => Some(claim),
            _ => None,
        };
        if claim.is_some() {
            names.extend(NUMBER);
        }
        let moved = |name: &'static str| Some((name, from.get(name)?.clone()));
        let moved: Vec<_> = names.into_iter().filter_map(moved).collect();
        if moved.is_empty() {
            return Ok(());
        }
        let mut writes = vec![
            Write::Update(self.take(pair.from_bar(), &from, &moved)),
            Write::Update(self.give(pair.into_bar(), &into, &moved)),
        ];
        writes.extend(claim.map(|claim| move_number(pair, &claim)));
        self.transact(writes).await
    }

    /// Whether the row of the number says that it is the ending account's.
    async fn is_theirs(&self, pair: MergePair<'_>, claim: &str) -> Result<bool, DynamoError> {
        let row = self.dynamo.get(claim, PHONE_OWNER.sk).await?;
        let owner = row.map(dynamo::from_item::<Owner>).transpose()?;
        Ok(owner.is_some_and(|owner| owner.uid == pair.from))
    }

    fn take(&self, bar: Bar<'_>, read: &Item, moved: &[(&str, AttributeValue)]) -> Update {
        let names: Vec<_> = moved.iter().map(|(name, _)| *name).collect();
        let removed = format!("REMOVE {}", names.join(", "));
        self.update(bar, read, "", &removed)
    }

    fn give(&self, bar: Bar<'_>, read: &Item, moved: &[(&str, AttributeValue)]) -> Update {
        let set = moved.iter().map(|(name, _)| format!("{name} = :{name}"));
        let set: Vec<_> = set.collect();
        let update = self.update(bar, read, &format!("{}, ", set.join(", ")), "");
        let with_value = |update: Update, (name, value): &(&str, AttributeValue)| {
            update.value(&format!(":{name}"), value.clone())
        };
        moved.iter().fold(update, with_value)
    }

    /// An update of a user's row that is as it was read.
    fn update(&self, bar: Bar<'_>, read: &Item, set: &str, removed: &str) -> Update {
        let condition = bar.holds_and(" AND version = :read");
        let expression = format!("SET {set}updatedAt = :now ADD version :one {removed}");
        // A row without a version is not one of ours: nothing is equal to it.
        let version = read.get("version").cloned();
        let version = version.unwrap_or(AttributeValue::Null(true));
        Update::new(profile_key(bar.user), expression, condition)
            .value(":read", version)
            .value(":one", dynamo::number(1))
            .value(":now", dynamo::string(self.clock.now().to_string()))
    }
}

fn move_number(pair: MergePair<'_>, claim: &str) -> Write {
    let key = dynamo::key(claim, PHONE_OWNER.sk);
    let update = Update::new(key, "SET uid = :into", Condition::owned_by(pair.from));
    Write::Update(update.value(":into", dynamo::string(pair.into.to_string())))
}
