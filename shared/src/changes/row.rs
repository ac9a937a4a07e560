//! The rows of a change, as types.

use serde::{Deserialize, de::DeserializeOwned};

use super::unreadable::Unreadable;
use crate::{
    auth::Session,
    dynamo::{self, Item},
    ids::{SessionId, UserId},
    saga::{Entry, SAGA_PK_PREFIX, SAGA_SK, SagaId},
    users::{
        Consent, User,
        rows::{
            CONSENT, PROFILE, REMOTE_CONFIG, RowKind, SESSION, WEBHOOK_FAILURE, WEBHOOK_PAUSE,
            WEBHOOK_PENDING,
        },
    },
};

/// A row before and after a change; at least one of them is there.
#[derive(Debug)]
pub struct Images<T> {
    /// None of a row that was added.
    pub old: Option<T>,
    /// None of a row that was deleted.
    pub new: Option<T>,
}

/// The row of a change. Images are as they were written, not as the row is now.
#[derive(Debug)]
pub enum Row {
    /// A user.
    User {
        /// The user's id.
        id: UserId,
        /// The row.
        images: Images<UserImage>,
    },
    /// A session of a user.
    Session {
        /// The user.
        user: UserId,
        /// The session's id.
        id: SessionId,
        /// The row.
        images: Images<Session>,
    },
    /// An agreement of a user.
    Consent {
        /// The user.
        user: UserId,
        /// The row.
        images: Images<Consent>,
    },
    /// A value of remote configuration.
    Config(ConfigKeyText),
    /// A saga.
    Saga {
        /// Its id.
        id: SagaId,
        /// The row.
        images: Images<SagaImage>,
    },
    /// A row of another kind.
    Other(&'static RowKind),
}

/// A key of remote configuration, as the row's key has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigKeyText(pub String);

/// A user's row.
#[derive(Debug)]
pub struct UserImage {
    /// The user.
    pub user: User,
    /// What clients don't see.
    pub hidden: HiddenFields,
}

/// What a user's row has beside the user.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenFields {
    /// The saga that bars the account.
    #[serde(default)]
    pub barred_by: Option<SagaId>,
    /// Who changed `role` or `status` last, if it was an administrator.
    #[serde(default)]
    pub changed_by: Option<UserId>,
}

/// A saga's row.
#[derive(Debug)]
pub struct SagaImage {
    /// What operators see of it.
    pub entry: Entry,
    /// What it is about, and whose it is.
    pub hidden: HiddenSaga,
}

/// What a saga's row has beside that.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenSaga {
    /// Until when a process has it, in milliseconds since the epoch.
    #[serde(default)]
    pub lease_until: Option<i64>,
    /// Whom it is about; gone when it has ended.
    #[serde(default)]
    pub subject: Option<SagaSubject>,
}

/// Whom a saga is about: one user, or two of whom one is merged into the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SagaSubject {
    /// Of a deletion.
    #[serde(default)]
    pub user: Option<UserId>,
    /// Of a merge: the account that ends.
    #[serde(default)]
    pub from: Option<UserId>,
    /// Of a merge: the account that survives.
    #[serde(default)]
    pub into: Option<UserId>,
}

impl Row {
    /// The row under this key.
    pub(super) fn read(
        pk: &str,
        sk: &str,
        old: Option<Item>,
        new: Option<Item>,
    ) -> Result<Self, Unreadable> {
        let images = Images { old, new };
        if images.old.is_none() && images.new.is_none() {
            return Err(Unreadable::Record);
        }
        if let Some(key) = pk.strip_prefix(REMOTE_CONFIG.pk_prefix) {
            let is_config = sk == REMOTE_CONFIG.sk;
            let key = ConfigKeyText(key.to_owned());
            return is_config
                .then_some(Self::Config(key))
                .ok_or(Unreadable::Kind);
        }
        if let Some(id) = pk.strip_prefix(SAGA_PK_PREFIX) {
            let id = id.parse().map_err(|_| Unreadable::Row(SAGA_SK))?;
            let images = images.read(SAGA_SK, saga)?;
            let row = Self::Saga { id, images };
            return (sk == SAGA_SK).then_some(row).ok_or(Unreadable::Kind);
        }
        for kind in [&WEBHOOK_FAILURE, &WEBHOOK_PENDING, &WEBHOOK_PAUSE] {
            if pk.starts_with(kind.pk_prefix) && sk == kind.sk {
                return Ok(Self::Other(kind));
            }
        }
        let kind = RowKind::of(pk, sk).ok_or(Unreadable::Kind)?;
        Self::of_user(kind, pk, sk, images)
    }

    fn of_user(
        kind: &'static RowKind,
        pk: &str,
        sk: &str,
        images: Images<Item>,
    ) -> Result<Self, Unreadable> {
        let unreadable = Unreadable::Row(kind.sk);
        let user = || {
            let id = pk.strip_prefix(PROFILE.pk_prefix);
            id.and_then(|id| id.parse().ok()).ok_or(unreadable)
        };
        if *kind == PROFILE {
            let images = images.read(kind.sk, profile)?;
            return Ok(Self::User {
                id: user()?,
                images,
            });
        }
        if *kind == SESSION {
            let id = sk.strip_prefix(SESSION.sk).unwrap_or_default();
            let id = id.parse().map_err(|_| unreadable)?;
            let (user, images) = (user()?, images.read(kind.sk, parse)?);
            return Ok(Self::Session { user, id, images });
        }
        if *kind == CONSENT {
            let (user, images) = (user()?, images.read(kind.sk, parse)?);
            return Ok(Self::Consent { user, images });
        }
        Ok(Self::Other(kind))
    }
}

impl Images<Item> {
    fn read<T>(
        self,
        kind: &'static str,
        read: fn(Item) -> Option<T>,
    ) -> Result<Images<T>, Unreadable> {
        let read = |image: Option<Item>| match image {
            Some(item) => read(item).map(Some).ok_or(Unreadable::Row(kind)),
            None => Ok(None),
        };
        Ok(Images {
            old: read(self.old)?,
            new: read(self.new)?,
        })
    }
}

fn parse<T: DeserializeOwned>(item: Item) -> Option<T> {
    dynamo::from_item(item).ok()
}

fn profile(item: Item) -> Option<UserImage> {
    Some(UserImage {
        user: parse(item.clone())?,
        hidden: parse(item)?,
    })
}

fn saga(item: Item) -> Option<SagaImage> {
    Some(SagaImage {
        entry: parse(item.clone())?,
        hidden: parse(item)?,
    })
}
