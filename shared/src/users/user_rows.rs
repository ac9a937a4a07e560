//! All rows of a user, found by what each kind of row says of how ([`RowKind::found`]): for exports
//! and for whatever else has to leave none out.

use std::{collections::HashSet, vec};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{Stream, StreamExt, TryStreamExt, future::ready, stream};

use super::rows::{Found, PROFILE, ROW_KINDS, RowKind, user_pk};
use crate::{
    dynamo::{self, Dynamo, DynamoError, Item},
    ids::UserId,
};

/// A row of a user.
#[derive(Debug)]
pub struct UserRow {
    /// Its kind; none for a row in the user's partition that this version of the code does not know.
    pub kind: Option<&'static RowKind>,
    /// Its attributes.
    pub item: Item,
}

/// Finds the rows of users. Cheap to clone.
#[derive(Clone)]
pub struct UserRows {
    dynamo: Dynamo,
}

impl UserRows {
    /// Rows in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo) -> Self {
        Self { dynamo }
    }

    /// All rows of the user, read page by page as they are taken: those outside of the user's
    /// partition, those inside, the profile last. A row by which others are found comes after them,
    /// so that a caller that deletes each one and is interrupted finds the rest again.
    ///
    /// Without a profile, only what the partition holds is found.
    pub fn of(
        &self,
        user: UserId,
    ) -> impl Stream<Item = Result<UserRow, DynamoError>> + Send + use<> {
        let rows = self.clone();
        let found = async move {
            let profile = rows.profile(user).await?;
            let linked = rows.linked(user, profile.as_ref());
            let own = rows.own(user, None);
            let profile = profile.map(|item| Ok(UserRow::new(Some(&PROFILE), item)));
            Ok::<_, DynamoError>(linked.chain(own).chain(stream::iter(profile)))
        };
        stream::once(found).try_flatten()
    }

    /// The user's profile.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn profile(&self, user: UserId) -> Result<Option<Item>, DynamoError> {
        self.dynamo.get(&user_pk(user), PROFILE.sk).await
    }

    /// The rows outside of the user's partition that are found by way of their `profile`, and of rows
    /// in the partition. A row that is another user's by now is left out.
    pub fn linked(
        &self,
        user: UserId,
        profile: Option<&Item>,
    ) -> impl Stream<Item = Result<UserRow, DynamoError>> + Send + use<> {
        let named = profile.map(named_by_profile).unwrap_or_default();
        let walk = Walk {
            rows: self.clone(),
            user,
            named: named.into_iter(),
            seen: HashSet::new(),
        };
        let steps = stream::try_unfold(walk, |mut walk| async move {
            let found = walk.step().await?;
            Ok::<_, DynamoError>(found.map(|found| (stream::iter(found).map(Ok), walk)))
        });
        steps.try_flatten().chain(self.named_by_own(user))
    }

    /// The rows that rows in the user's partition name.
    fn named_by_own(
        &self,
        user: UserId,
    ) -> impl Stream<Item = Result<UserRow, DynamoError>> + Send + use<> {
        let rows = self.clone();
        let naming = ROW_KINDS.into_iter().filter_map(|kind| match kind.found {
            Found::NamedByOwn(by, attribute) => Some((kind, by, attribute)),
            _ => None,
        });
        let of_kind = move |(kind, by, attribute): (&'static RowKind, &RowKind, &'static str)| {
            let query = rows
                .dynamo
                .query()
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
                .expression_attribute_values(":sk", dynamo::string(by.sk));
            let owner = rows.clone();
            let named = rows.dynamo.rows(query);
            named.try_filter_map(move |row| {
                let (owner, pks) = (owner.clone(), texts(&row, attribute));
                async move {
                    match pks.first() {
                        Some(pk) => owner.owned(user, kind, pk).await,
                        None => Ok(None),
                    }
                }
            })
        };
        stream::iter(naming).map(of_kind).flatten()
    }

    /// The rows in the user's partition, except the profile, in the order of their sort keys: from
    /// the beginning, or those `after` this sort key.
    pub fn own(
        &self,
        user: UserId,
        after: Option<&str>,
    ) -> impl Stream<Item = Result<UserRow, DynamoError>> + Send + use<> {
        let pk = user_pk(user);
        let query = self
            .dynamo
            .query()
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", dynamo::string(&pk))
            .set_exclusive_start_key(after.map(|sk| dynamo::key(&pk, sk)));
        let rows = self.dynamo.rows(query).map_ok(UserRow::own);
        rows.try_filter(|row| ready(row.kind != Some(&PROFILE)))
    }

    /// The row under this key, if it is the user's.
    async fn owned(
        &self,
        user: UserId,
        kind: &'static RowKind,
        pk: &str,
    ) -> Result<Option<UserRow>, DynamoError> {
        let Some(item) = self.dynamo.get(pk, kind.sk).await? else {
            return Ok(None);
        };
        let is_theirs = text(&item, "uid") == user.to_string();
        Ok(is_theirs.then(|| UserRow::new(Some(kind), item)))
    }
}

/// Finds the rows that a profile leads to, one after the other.
struct Walk {
    rows: UserRows,
    user: UserId,
    named: vec::IntoIter<(&'static RowKind, String)>,
    /// The keys of rows that other rows led to: several can lead to the same one.
    seen: HashSet<String>,
}

impl Walk {
    /// The next row that the profile names, after those that it leads to itself; none after the last.
    async fn step(&mut self) -> Result<Option<Vec<UserRow>>, DynamoError> {
        let Some((kind, pk)) = self.named.next() else {
            return Ok(None);
        };
        let Some(row) = self.rows.owned(self.user, kind, &pk).await? else {
            return Ok(Some(Vec::new()));
        };
        let mut found = Vec::new();
        for (kind, pk) in named_by(kind, &row.item) {
            if !self.seen.contains(&pk) {
                found.extend(self.rows.owned(self.user, kind, &pk).await?);
                self.seen.insert(pk);
            }
        }
        found.push(row);
        Ok(Some(found))
    }
}

impl UserRow {
    fn new(kind: Option<&'static RowKind>, item: Item) -> Self {
        Self { kind, item }
    }

    /// A row of a partition, of the kind that its key says.
    fn own(item: Item) -> Self {
        let kind = RowKind::of(text(&item, "pk"), text(&item, "sk"));
        Self::new(kind, item)
    }

    /// The row's partition key.
    #[must_use]
    pub fn pk(&self) -> &str {
        text(&self.item, "pk")
    }

    /// The row's sort key.
    #[must_use]
    pub fn sk(&self) -> &str {
        text(&self.item, "sk")
    }
}

/// A text attribute; empty if the row does not have it.
fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    let text = item.get(name).and_then(|value| value.as_s().ok());
    text.map_or("", String::as_str)
}

/// The kinds and partition keys of the rows that a profile names.
fn named_by_profile(profile: &Item) -> Vec<(&'static RowKind, String)> {
    let of_kind = |kind: &'static RowKind| {
        let keys = match kind.found {
            Found::NamedByProfile(attribute) => texts(profile, attribute),
            Found::InPartition | Found::NamedBy(..) | Found::NamedByOwn(..) | Found::OfNobody => {
                Vec::new()
            }
        };
        keys.into_iter().map(move |pk| (kind, pk))
    };
    ROW_KINDS.into_iter().flat_map(of_kind).collect()
}

/// The kinds and partition keys of the rows that a row of kind `by` leads to.
fn named_by(by: &RowKind, row: &Item) -> Vec<(&'static RowKind, String)> {
    let of_kind = |kind: &'static RowKind| {
        let ids = match kind.found {
            Found::NamedBy(named_by, attribute) if named_by == by => texts(row, attribute),
            Found::NamedBy(..)
            | Found::InPartition
            | Found::NamedByProfile(_)
            | Found::NamedByOwn(..)
            | Found::OfNobody => Vec::new(),
        };
        ids.into_iter().map(move |id| (kind, kind.pk(id)))
    };
    ROW_KINDS.into_iter().flat_map(of_kind).collect()
}

/// A text, or the texts of a set, sorted: a set has no order.
fn texts(row: &Item, attribute: &str) -> Vec<String> {
    let mut texts = match row.get(attribute) {
        Some(AttributeValue::S(text)) => vec![text.clone()],
        Some(AttributeValue::Ss(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::rows::{IDENTITY, PHONE_OWNER, UNION_LINK};

    #[test]
    fn a_profile_names_its_identities_and_its_number() {
        let set = AttributeValue::Ss(vec!["WX#wx2#o2".into(), "WX#wx1#o1".into()]);
        let profile = Item::from([
            ("identities".to_owned(), set),
            ("phoneClaim".to_owned(), dynamo::string("PHONE#00")),
        ]);
        let named = named_by_profile(&profile);
        let wanted = [
            (&IDENTITY, "WX#wx1#o1"),
            (&IDENTITY, "WX#wx2#o2"),
            (&PHONE_OWNER, "PHONE#00"),
        ];
        assert_eq!(named, wanted.map(|(kind, pk)| (kind, pk.to_owned())));
        assert_eq!(named_by_profile(&Item::new()), []);
    }

    #[test]
    fn an_identity_leads_to_its_union_link() {
        let row = Item::from([("unionId".to_owned(), dynamo::string("u1"))]);
        let link = (&UNION_LINK, "UNION#u1".to_owned());
        assert_eq!(named_by(&IDENTITY, &row), [link]);
        assert_eq!(named_by(&PHONE_OWNER, &row), []);
    }

    /// [`Walk`] follows rows that the profile names, and no further ones; what rows in the partition
    /// name is read once.
    #[test]
    fn each_kind_is_found_by_way_of_the_profile_in_two_steps_at_most() {
        for kind in ROW_KINDS {
            if let Found::NamedBy(by, _) = kind.found {
                assert!(matches!(by.found, Found::NamedByProfile(_)), "{kind:?}");
            }
            if let Found::NamedByOwn(by, _) = kind.found {
                assert_eq!(by.found, Found::InPartition, "{kind:?}");
            }
            let is_own = kind.pk_prefix == PROFILE.pk_prefix;
            assert_eq!(kind.found == Found::InPartition, is_own, "{kind:?}");
        }
    }
}
