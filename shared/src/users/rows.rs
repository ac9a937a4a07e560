//! The kinds of rows, and the keys that they stand under (`docs/state.md` has their attributes).

use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use crate::{
    dynamo::{self, Condition, DynamoError, Item, Write},
    ids::{AppId, OpenId, SessionId, UnionId, UserId},
};

use super::{Status, User};

/// A kind of row.
#[derive(Debug, PartialEq, Eq)]
pub struct RowKind {
    /// How its partition key begins; an id follows.
    pub pk_prefix: &'static str,
    /// Its sort key; one that ends in `#` is how the sort key begins, and an id follows.
    pub sk: &'static str,
    /// How a user's rows of this kind are found ([`UserRows`](super::UserRows)).
    pub found: Found,
    /// What an export shows of them.
    pub export: Export,
}

/// How a user's rows of one kind are found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// They stand in the user's partition.
    InPartition,
    /// Their partition keys are this attribute of the user's profile: a text, or a set of texts.
    NamedByProfile(&'static str),
    /// What follows the prefix of their partition keys is this attribute of the user's rows of
    /// another kind, which the profile names.
    NamedBy(&'static RowKind, &'static str),
    /// Their partition keys are this attribute of the user's rows of another kind, which stand in the
    /// user's partition.
    NamedByOwn(&'static RowKind, &'static str),
    /// No user has any.
    OfNobody,
}

/// What an export shows of the rows of one kind. Each attribute that rows of the kind have is in one
/// of the lists: a test fails where one is in neither.
#[derive(Debug, PartialEq, Eq)]
pub struct Export {
    /// The member of the export that holds the rows.
    pub section: &'static str,
    /// The names of the parts of the partition key behind its prefix, which are separated by `#`.
    pub key_parts: &'static [&'static str],
    /// The attributes that are exported.
    pub shown: &'static [Shown],
    /// Those that are not: secrets, keyed hashes, and what repeats others for the table's sake.
    pub withheld: &'static [&'static str],
}

/// An attribute in an export.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// Under its own name.
    As(&'static str),
    /// Under the name that the API has for it.
    Renamed(&'static str, &'static str),
    /// Seconds since the epoch, as an RFC 3339 time under this name.
    Time(&'static str, &'static str),
}

impl Export {
    /// In place of a section: rows of the kind are in no export.
    pub const LEFT_OUT: &'static str = "";

    /// Whether an export has rows of the kind.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.section != Self::LEFT_OUT
    }
}

impl Shown {
    /// The attribute's name in the row.
    #[must_use]
    pub fn attribute(&self) -> &'static str {
        match self {
            Self::As(name) | Self::Renamed(name, _) | Self::Time(name, _) => name,
        }
    }
}

impl RowKind {
    /// The partition key of the row of this id.
    #[must_use]
    pub fn pk(&self, id: impl Display) -> String {
        format!("{}{id}", self.pk_prefix)
    }

    /// The kind of the row under this key, if it is of one that there is.
    #[must_use]
    pub fn of(pk: &str, sk: &str) -> Option<&'static Self> {
        let has_sk = |kind: &Self| sk == kind.sk || (kind.is_family() && sk.starts_with(kind.sk));
        let mut kinds = ROW_KINDS.into_iter();
        kinds.find(|kind| pk.starts_with(kind.pk_prefix) && has_sk(kind))
    }

    /// Whether one partition can hold several rows of this kind.
    fn is_family(&self) -> bool {
        self.sk.ends_with('#')
    }
}

/// A user: `USER#{uid}` / `PROFILE`.
pub const PROFILE: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "PROFILE",
    found: Found::InPartition,
    export: Export {
        section: "user",
        key_parts: &[],
        shown: &[
            Shown::As("id"),
            Shown::As("nickname"),
            Shown::As("avatarUrl"),
            Shown::As("gender"),
            Shown::As("phone"),
            Shown::As("role"),
            Shown::As("status"),
            Shown::As("createdAt"),
            Shown::As("updatedAt"),
            Shown::As("version"),
            Shown::As("consents"),
            Shown::As("lastActiveOn"),
        ],
        // Those of a barred account are not in the list: nobody exports it.
        // `changedBy` is another person's id.
        withheld: &["phoneClaim", "identities", "changedBy", "gsi1pk", "gsi1sk"],
    },
};
/// A session of a user: `USER#{uid}` / `SESSION#{sid}`.
pub const SESSION: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "SESSION#",
    found: Found::InPartition,
    export: Export {
        section: "sessions",
        key_parts: &[],
        shown: &[
            Shown::As("id"),
            Shown::As("appId"),
            Shown::As("openId"),
            Shown::As("userAgent"),
            Shown::As("createdAt"),
            Shown::Renamed("rotatedAt", "refreshedAt"),
            Shown::Renamed("counter", "refreshes"),
            Shown::As("revokedAt"),
            Shown::As("endedBy"),
            Shown::Time("ttl", "expiresAt"),
        ],
        // `endedById` is another person's id.
        withheld: &["user", "endedById"],
    },
};
/// An agreement of a user to a version of a document:
/// `USER#{uid}` / `CONSENT#{document}#{version}#{number}`.
pub const CONSENT: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "CONSENT#",
    found: Found::InPartition,
    export: Export {
        section: "consents",
        key_parts: &[],
        shown: &[
            Shown::As("document"),
            Shown::As("version"),
            Shown::As("agreedAt"),
            Shown::As("appId"),
            Shown::As("withdrawnAt"),
            Shown::As("withdrawnAppId"),
        ],
        withheld: &[],
    },
};
/// An upload of an avatar: `USER#{uid}` / `UPLOAD#{id}`.
pub const UPLOAD: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "UPLOAD#",
    found: Found::InPartition,
    export: Export {
        section: "avatarUploads",
        key_parts: &[],
        shown: &[
            Shown::As("id"),
            Shown::As("appId"),
            Shown::As("contentType"),
            Shown::As("maxBytes"),
            Shown::As("phase"),
            Shown::As("createdAt"),
            Shown::As("askedAt"),
            Shown::Time("ttl", "expiresAt"),
        ],
        withheld: &["etag", "staged", "trace", "busyUntil"],
    },
};
/// A check of an avatar that WeChat was asked for: `MEDIACHECK#{appId}#{traceId}` / `CHECK`.
pub const MEDIA_CHECK: RowKind = RowKind {
    pk_prefix: "MEDIACHECK#",
    sk: "CHECK",
    found: Found::NamedByOwn(&UPLOAD, "trace"),
    export: Export {
        section: "avatarChecks",
        key_parts: &["appId", "traceId"],
        shown: &[
            Shown::Renamed("uid", "userId"),
            Shown::Renamed("upload", "uploadId"),
            Shown::Time("ttl", "expiresAt"),
        ],
        withheld: &[],
    },
};
/// A person in one mini-program: `WX#{appId}#{openId}` / `IDENTITY`.
pub const IDENTITY: RowKind = RowKind {
    pk_prefix: "WX#",
    sk: "IDENTITY",
    found: Found::NamedByProfile("identities"),
    export: Export {
        section: "identities",
        key_parts: &["appId", "openId"],
        shown: &[
            Shown::As("unionId"),
            Shown::As("unionLinked"),
            Shown::As("createdAt"),
            Shown::As("lastLoginAt"),
            Shown::As("loginCount"),
        ],
        withheld: &["uid", "sessionKey", "prevSessionKey", "sessionKeyTag"],
    },
};
/// A person across mini-programs: `UNION#{unionId}` / `IDENTITY`.
pub const UNION_LINK: RowKind = RowKind {
    pk_prefix: "UNION#",
    sk: "IDENTITY",
    found: Found::NamedBy(&IDENTITY, "unionId"),
    export: Export {
        section: "unionLinks",
        key_parts: &["unionId"],
        shown: &[Shown::Renamed("uid", "userId")],
        withheld: &[],
    },
};
/// Whose a phone number is: `PHONE#{hash}` / `OWNER`.
pub const PHONE_OWNER: RowKind = RowKind {
    pk_prefix: "PHONE#",
    sk: "OWNER",
    found: Found::NamedByProfile("phoneClaim"),
    export: Export {
        section: "phoneNumbers",
        // The key is a hash of the number, which the profile has.
        key_parts: &[],
        shown: &[Shown::Renamed("uid", "userId"), Shown::As("provenOn")],
        withheld: &[],
    },
};

/// What a user was offered who shared a number that another user has: `USER#{uid}` /
/// `PHONE_TICKET#{sid}`. It lives for minutes and says nothing about the user but what they were told,
/// so an export leaves it out; a deletion removes it with the user's partition.
pub const PHONE_TICKET: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "PHONE_TICKET#",
    found: Found::InPartition,
    export: Export {
        section: Export::LEFT_OUT,
        key_parts: &[],
        shown: &[],
        withheld: &["digest", "claim", "owner", "choice", "ttl"],
    },
};

/// An entry of a user's audit trail: `USER#{uid}` / `AUDIT#{at}#{digest}`.
pub const AUDIT: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "AUDIT#",
    found: Found::InPartition,
    export: Export {
        section: "activity",
        key_parts: &[],
        shown: &[
            Shown::As("event"),
            Shown::As("at"),
            Shown::As("session"),
            Shown::As("appId"),
            Shown::As("userAgent"),
            Shown::As("from"),
            Shown::As("to"),
            Shown::As("document"),
            Shown::As("version"),
            Shown::As("saga"),
            Shown::Time("ttl", "expiresAt"),
        ],
        // Another person's id.
        withheld: &["by"],
    },
};

/// A message to a user: `USER#{uid}` / `MESSAGE#{id}`.
pub const MESSAGE: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "MESSAGE#",
    found: Found::InPartition,
    export: Export {
        section: "messages",
        key_parts: &[],
        shown: &[
            Shown::As("id"),
            Shown::As("type"),
            Shown::As("appId"),
            Shown::As("templateId"),
            Shown::As("content"),
            Shown::As("status"),
            Shown::As("reason"),
            Shown::As("errcode"),
            Shown::As("attempts"),
            Shown::As("createdAt"),
            Shown::As("updatedAt"),
            Shown::As("dueAt"),
            Shown::Time("ttl", "expiresAt"),
        ],
        withheld: &["digest", "claim", "gsi1pk", "gsi1sk"],
    },
};
/// A user's agreement to receive one subscribe message of a template:
/// `USER#{uid}` / `GRANT#{appId}#{templateId}#{requestId}`.
pub const GRANT: RowKind = RowKind {
    pk_prefix: "USER#",
    sk: "GRANT#",
    found: Found::InPartition,
    export: Export {
        section: "subscriptions",
        key_parts: &[],
        shown: &[
            Shown::As("appId"),
            Shown::As("templateId"),
            Shown::As("requestId"),
            Shown::As("openId"),
            Shown::As("grantedAt"),
            Shown::As("usedAt"),
            Shown::Time("ttl", "expiresAt"),
        ],
        withheld: &["usedBy"],
    },
};

/// A value of remote configuration: `CONFIG#{key}` / `CONFIG`. No user's row, although it names the
/// administrator who changed it last.
pub const REMOTE_CONFIG: RowKind = RowKind {
    pk_prefix: "CONFIG#",
    sk: "CONFIG",
    found: Found::OfNobody,
    export: Export {
        section: Export::LEFT_OUT,
        key_parts: &[],
        shown: &[],
        withheld: &[],
    },
};

/// Where a value of remote configuration is cached.
#[must_use]
pub fn config_cache_key(key: &str) -> String {
    format!("{{config:{key}}}")
}

/// A delivery of a webhook that was given up: `WEBHOOK#{id}` / `FAILURE`. No user's row, although its
/// event can be about one; it expires.
pub const WEBHOOK_FAILURE: RowKind = webhook_row("FAILURE");
/// A delivery of a webhook that waits for an attempt: `WEBHOOK#{id}` / `PENDING`. As above.
pub const WEBHOOK_PENDING: RowKind = webhook_row("PENDING");
/// A receiver of webhooks that asked for a pause: `WEBHOOK#{receiver}` / `PAUSE`.
pub const WEBHOOK_PAUSE: RowKind = webhook_row("PAUSE");

const fn webhook_row(sk: &'static str) -> RowKind {
    RowKind {
        pk_prefix: "WEBHOOK#",
        sk,
        found: Found::OfNobody,
        export: Export {
            section: Export::LEFT_OUT,
            key_parts: &[],
            shown: &[],
            withheld: &[],
        },
    }
}

/// All kinds of rows that users have.
pub const ROW_KINDS: [&RowKind; 12] = [
    &PROFILE,
    &SESSION,
    &CONSENT,
    &UPLOAD,
    &MEDIA_CHECK,
    &IDENTITY,
    &UNION_LINK,
    &PHONE_OWNER,
    &PHONE_TICKET,
    &AUDIT,
    &MESSAGE,
    &GRANT,
];

/// The listing of users by creation time is spread over this many partitions, so that none is hot.
pub(super) const LISTING_PARTITIONS: u8 = 16;

/// The index of users by creation time.
pub(super) const LISTING_INDEX: &str = "gsi1";

/// A partition of that index.
pub(super) fn listing_pk(partition: u8) -> String {
    format!("USERS#{partition}")
}

/// The partition of a user: their profile, sessions, consents, uploads, audit trail, messages and grants.
pub(crate) fn user_pk(user: UserId) -> String {
    PROFILE.pk(user)
}

pub(super) fn profile_key(user: UserId) -> Item {
    dynamo::key(&user_pk(user), PROFILE.sk)
}

/// Holds while the account is there and not barred: what is written for it then is not left behind.
pub(crate) fn account_in_use(user: UserId) -> Write {
    let condition = Condition::new("attribute_exists(pk) AND #status <> :barred")
        .name("#status", "status")
        .value(":barred", dynamo::string(Status::Barred.as_str()));
    Write::Check(profile_key(user), condition)
}

/// The sort key of a session in its user's partition.
pub(crate) fn session_sk(id: SessionId) -> String {
    format!("{}{id}", SESSION.sk)
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

/// The row of a number that the user shared on the day `proven_on`; none if somebody else said so.
pub(super) fn phone_owner_row(pk: &str, user: UserId, proven_on: Option<Date>) -> Item {
    let mut row = dynamo::key(pk, PHONE_OWNER.sk);
    row.insert("uid".into(), dynamo::string(user.to_string()));
    if let Some(day) = proven_on {
        row.insert("provenOn".into(), dynamo::string(day.to_string()));
    }
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
    use std::collections::BTreeSet;

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
    fn a_row_is_of_one_kind() {
        for (pk, sk, kind) in [
            ("USER#u", "PROFILE", Some(&PROFILE)),
            ("USER#u", "PROFILES", None),
            ("USER#u", "SESSION#s", Some(&SESSION)),
            ("USER#u", "CONSENT#privacy#0000001#0001", Some(&CONSENT)),
            ("USER#u", "UPLOAD#00", Some(&UPLOAD)),
            ("MEDIACHECK#wx1#t1", "CHECK", Some(&MEDIA_CHECK)),
            ("WX#wx1#o_1", "IDENTITY", Some(&IDENTITY)),
            ("UNION#u1", "IDENTITY", Some(&UNION_LINK)),
            ("PHONE#00", "OWNER", Some(&PHONE_OWNER)),
            ("USER#u", "PHONE_TICKET#s", Some(&PHONE_TICKET)),
            ("USER#u", "AUDIT#2026-11-23T01:02:03.000Z#00", Some(&AUDIT)),
            ("USER#u", "MESSAGE#00", Some(&MESSAGE)),
            ("USER#u", "GRANT#wx1#T1#r-000001", Some(&GRANT)),
            ("PROBE", "WRITE", None),
        ] {
            assert_eq!(RowKind::of(pk, sk), kind, "{pk} {sk}");
        }
    }

    #[test]
    fn each_kind_has_a_section_of_the_export_and_says_of_no_attribute_two_things() {
        let exported = || ROW_KINDS.iter().filter(|kind| kind.export.has_rows());
        let sections: BTreeSet<_> = exported().map(|kind| kind.export.section).collect();
        assert_eq!(sections.len(), exported().count());
        for kind in ROW_KINDS {
            let shown = kind.export.shown.iter().map(Shown::attribute);
            let names: Vec<_> = shown.chain(kind.export.withheld.iter().copied()).collect();
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{kind:?}");
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
            [
                "PROFILE",
                "SESSION#",
                "CONSENT#",
                "UPLOAD#",
                "CHECK",
                "IDENTITY",
                "IDENTITY",
                "OWNER",
                "PHONE_TICKET#",
                "AUDIT#",
                "MESSAGE#",
                "GRANT#",
            ]
        );
    }
}
