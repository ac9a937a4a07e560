//! The kinds of rows, and the keys that they stand under (`docs/state.md` has their attributes).

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    dynamo::{self, Condition, DynamoError, Item, Write},
    ids::{AppId, OpenId, UnionId, UserId},
};

use super::User;

/// A kind of row.
#[derive(Debug, PartialEq, Eq)]
pub struct RowKind {
    /// How its partition key begins; an id follows.
    pub pk_prefix: &'static str,
    /// Its sort key; one that ends in `#` is how the sort key begins, and an id follows.
    pub sk: &'static str,
}

impl RowKind {
    pub(crate) fn pk(&self, id: impl Display) -> String {
        format!("{}{id}", self.pk_prefix)
    }
}

/// A user: `USER#{uid}` / `PROFILE`.
pub const PROFILE: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "PROFILE",
};
/// A session of a user: `USER#{uid}` / `SESSION#{sid}`.
pub const SESSION: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "SESSION#",
};
/// A person in one mini-program: `WX#{appId}#{openId}` / `IDENTITY`.
pub const IDENTITY: RowKind = RowKind {
    pk_prefix: "WX#",
    sk: "IDENTITY",
};
/// A person across mini-programs: `UNION#{unionId}` / `IDENTITY`.
pub const UNION_LINK: RowKind = RowKind {
    pk_prefix: "UNION#",
    sk: "IDENTITY",
};
/// Whose a phone number is: `PHONE#{hash}` / `OWNER`.
pub const PHONE_OWNER: RowKind = RowKind {
    pk_prefix: "PHONE#",
    sk: "OWNER",
};

/// All kinds of rows that there are.
pub const ROW_KINDS: [&RowKind; 5] = [&PROFILE, &SESSION, &IDENTITY, &UNION_LINK, &PHONE_OWNER];

/// The listing of users by creation time is spread over this many partitions, so that none is hot.
pub(super) const LISTING_PARTITIONS: u8 = 16;

/// The index of users by creation time.
pub(super) const LISTING_INDEX: &str = "gsi1";

/// A partition of that index.
pub(super) fn listing_pk(partition: u8) -> String {
    format!("USERS#{partition}")
}

/// The partition of a user: their profile and sessions.
pub(crate) fn user_pk(user: UserId) -> String {
    PROFILE.pk(user)
}

pub(super) fn profile_key(user: UserId) -> Item {
    dynamo::key(&user_pk(user), PROFILE.sk)
}

/// The partition key of an identity, which is its name in [`PROFILE`]'s `identities` too.
pub(super) fn identity_pk(app_id: &AppId, open_id: &OpenId) -> String {
    format!("{}{open_id}", identity_pk_prefix(app_id))
}

/// How the partition keys of all identities in a mini-program begin.
pub(super) fn identity_pk_prefix(app_id: &AppId) -> String {
    IDENTITY.pk(format_args!("{app_id}#"))
}

/// The mini-programs of these partition keys of identities.
pub(super) fn app_ids(identities: &[String]) -> impl Iterator<Item = AppId> {
    identities.iter().filter_map(|pk| {
        let id = pk.strip_prefix(IDENTITY.pk_prefix)?;
        id.split_once('#')?.0.parse().ok()
    })
}

pub(super) fn union_pk(union_id: &UnionId) -> String {
    UNION_LINK.pk(union_id)
}

/// The row of a new user, with its place in the listing.
pub(super) fn new_profile_row(user: &User) -> Result<Item, DynamoError> {
    let mut row = dynamo::to_item(&user_pk(user.id), PROFILE.sk, user)?;
    let partition = user.id.0.as_bytes()[15] % LISTING_PARTITIONS;
    row.insert("gsi1pk".into(), dynamo::string(listing_pk(partition)));
    // Always with milliseconds: without trailing zeros the text would not sort as the time does.
    row.insert(
        "gsi1sk".into(),
        dynamo::string(format!("{:.3}#{}", user.created_at, user.id)),
    );
    Ok(row)
}

/// The row of an identity that has no session keys yet: the person has not logged in.
pub(super) fn identity_row(
    pk: &str,
    user: UserId,
    union_id: Option<&UnionId>,
    now: Timestamp,
) -> Item {
    let mut row = dynamo::key(pk, IDENTITY.sk);
    row.insert("uid".into(), dynamo::string(user.to_string()));
    row.insert("createdAt".into(), dynamo::string(now.to_string()));
    if let Some(union_id) = union_id {
        row.insert("unionId".into(), dynamo::string(union_id.as_str()));
        row.insert("unionLinked".into(), AttributeValue::Bool(true));
    }
    row
}

/// What the rows say that name the user whom something belongs to.
#[derive(Deserialize)]
pub(super) struct Owner {
    pub(super) uid: UserId,
}

pub(super) fn union_row(union_id: &UnionId, user: UserId) -> Item {
    let mut row = dynamo::key(&union_pk(union_id), UNION_LINK.sk);
    row.insert("uid".into(), dynamo::string(user.to_string()));
    row
}

pub(super) fn phone_owner_row(pk: &str, user: UserId) -> Item {
    let mut row = dynamo::key(pk, PHONE_OWNER.sk);
    row.insert("uid".into(), dynamo::string(user.to_string()));
    row
}

/// Makes sure that the row under `key`, which says whose something is, is not the user's: it is
/// deleted if it `is_theirs`, or already gone; else it only has to be another user's. Which of the two
/// holds is known by trying.
pub(super) fn release(key: Item, user: UserId, is_theirs: bool) -> Write {
    if is_theirs {
        Write::Delete(key, Condition::absent_or_owned_by(user))
    } else {
        Write::Check(key, Condition::owned_by_another(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_kind() {
        for (number, kind) in ROW_KINDS.iter().enumerate() {
            for other in &ROW_KINDS[number + 1..] {
                let apart = |one: &str, two: &str| !one.starts_with(two) && !two.starts_with(one);
                assert!(
                    apart(kind.pk_prefix, other.pk_prefix) || apart(kind.sk, other.sk),
                    "{kind:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn keys_are_as_documented() {
        let user: UserId = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        assert_eq!(user_pk(user), format!("USER#{user}"));
        let (app_id, open_id) = ("wx1".parse().unwrap(), "o_1".parse().unwrap());
        assert_eq!(identity_pk(&app_id, &open_id), "WX#wx1#o_1");
        assert_eq!(union_pk(&"u1".parse().unwrap()), "UNION#u1");
        let sort_keys = ROW_KINDS.map(|kind| kind.sk);
        assert_eq!(
            sort_keys,
            ["PROFILE", "SESSION#", "IDENTITY", "IDENTITY", "OWNER"]
        );
    }
}
