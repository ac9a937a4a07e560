//! From a WeChat login to a user.

mod first;
mod union_link;

use aws_sdk_dynamodb::types::AttributeValue;
use secrecy::SecretString;

use super::{
    User,
    identities::IdentityRow,
    last_logins::{self, LastLogin, LastLogins},
    rows::{IDENTITY, identity_pk},
};
use crate::{
    clock::Clock,
    crypto::AtRest,
    dynamo::{
        self, Condition, Dynamo, DynamoError, TransactionOutcome, Update, Write, WriteOutcome,
    },
    ids::{AppId, OpenId, UnionId, UserId},
    kv::Kv,
    random::Random,
};

/// A returning login moves the stored session key to `prevSessionKey`. The first login of an identity
/// that was moved in from another backend finds none: then both are the new one.
const NEW_KEY: &str = "SET prevSessionKey = if_not_exists(sessionKey, :key), sessionKey = :key, sessionKeyTag = :tag, lastLoginAt = :now \
    ADD loginCount :one";
/// Where WeChat gave the key that is stored already. Moved, it would push out the previous one, which
/// data that is still on its way may be encrypted with. Encrypted anew, under the first of
/// `DATA_KEYS`.
const SAME_KEY: &str =
    "SET sessionKey = :key, sessionKeyTag = :tag, lastLoginAt = :now ADD loginCount :one";

/// What code2Session returned about the person who logged in.
pub struct WeChatLogin {
    /// The mini-program.
    pub app_id: AppId,
    /// The person's id in that mini-program.
    pub open_id: OpenId,
    /// The person's id across mini-programs; often missing at first.
    pub union_id: Option<UnionId>,
    /// The key of the data that WeChat sends about this person; stored encrypted, never sent.
    pub session_key: SecretString,
}

impl WeChatLogin {
    fn identity_pk(&self) -> String {
        identity_pk(&self.app_id, &self.open_id)
    }
}

/// What the first login of a person writes, all in one transaction with their identity.
pub struct FirstLogin {
    /// The new user.
    pub user: User,
    /// Their session.
    pub session: Write,
}

/// The user of a login.
pub enum Resolved {
    /// A new person, for whom the user of the first login was made, with the session.
    New,
    /// An existing user.
    Known(UserId),
    /// An existing user, while the link by the login's union id leads to another one: the person has
    /// two accounts.
    Split(UserId),
}

/// The user whom a login most probably is of, as their last login left it.
pub struct ExpectedUser {
    /// The user.
    pub id: UserId,
    last: LastLogin,
}

/// Resolves logins to users. Cheap to clone but for its keys: keep one per instance.
pub struct Logins {
    dynamo: Dynamo,
    last: LastLogins,
    clock: Clock,
    random: Random,
    at_rest: AtRest,
}

impl Logins {
    /// Logins of the users in `dynamo`, their session keys encrypted by `at_rest`. What one login
    /// leaves for the next one is kept in `shared`, if instances share anything.
    #[must_use]
    pub fn new(
        dynamo: Dynamo,
        shared: Option<Kv>,
        clock: Clock,
        random: Random,
        at_rest: AtRest,
    ) -> Self {
        Self {
            dynamo,
            last: LastLogins::new(shared, clock.clone()),
            clock,
            random,
            at_rest,
        }
    }

    /// The user of this login as far as it can be told without DynamoDB: to be confirmed by
    /// [`Self::confirm`], together with other writes. `None`: [`Self::resolve`] it.
    pub async fn expect(&self, login: &WeChatLogin) -> Option<ExpectedUser> {
        let identity = last_logins::digest(&login.identity_pk());
        let last = self.last.find(&identity).await?;
        // Linking a union id takes more than one write.
        let is_complete = login.union_id.is_none() || last.has_union_id;
        is_complete.then_some(ExpectedUser {
            id: last.user,
            last,
        })
    }

    /// Records the login of the user who was expected: one update. `false` if the identity is not as
    /// the last login left it; then nothing was written.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn confirm(
        &self,
        login: &WeChatLogin,
        expected: &ExpectedUser,
    ) -> Result<bool, DynamoError> {
        let tags = self.tags(login);
        let is_same_key = tags.iter().any(|(_, tag)| *tag == expected.last.key_tag);
        let (expression, condition) = if is_same_key {
            (SAME_KEY, format!("NOT {}", differs(&tags)))
        } else {
            (NEW_KEY, differs(&tags))
        };
        let condition = Condition::new(format!("uid = :uid AND {condition}"))
            .value(":uid", dynamo::string(expected.id.to_string()));
        let sealed = self.sealed_session_key(login)?;
        let update = self
            .login_update(login, &sealed, expression, condition, tags)
            .returning_old_on_failure();
        match self.dynamo.update(update).await? {
            WriteOutcome::Written(_) => Ok(true),
            // By this call, and the answer was lost: nobody else has sealed the key like this.
            WriteOutcome::ConditionFailed(Some(row)) if row.get("sessionKey") == Some(&sealed) => {
                Ok(true)
            }
            WriteOutcome::ConditionFailed(_) => {
                let identity = last_logins::digest(&login.identity_pk());
                self.last.forget(&identity);
                Ok(false)
            }
        }
    }

    /// Leaves for the next login of this person what this one found out. It may go out before the
    /// login of an existing user is written: what it says is checked by [`Self::confirm`]. A new user
    /// is remembered when they exist: reading one who does not would be remembered, too.
    pub async fn remember(&self, login: &WeChatLogin, user: UserId) {
        let identity = last_logins::digest(&login.identity_pk());
        let last = LastLogin {
            user,
            key_tag: self.session_key_tag(login),
            has_union_id: login.union_id.is_some(),
        };
        self.last.remember(&identity, last).await;
    }

    /// A user for the person of a login, if nobody is known as them.
    #[must_use]
    pub fn new_user(&self) -> User {
        let id = UserId(self.random.uuid_v7(&self.clock));
        User::new(id, self.clock.now())
    }

    /// The user of this login, made at the first one.
    ///
    /// A returning login is one update, which also moves the stored session key to
    /// `prevSessionKey`. A first login is one transaction, so that logins racing for the same
    /// person make one user.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn resolve(
        &self,
        login: &WeChatLogin,
        first: &FirstLogin,
    ) -> Result<Resolved, DynamoError> {
        let attempt = || self.attempt(login, first);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    /// The user, or [`DynamoError::Conflict`] when another login of the same person was faster.
    async fn attempt(
        &self,
        login: &WeChatLogin,
        first: &FirstLogin,
    ) -> Result<Resolved, DynamoError> {
        if let Some(row) = self.returning(login).await? {
            let is_linked = self.link_union_later(login, &row).await?;
            return Ok(if is_linked {
                Resolved::Known(row.uid)
            } else {
                Resolved::Split(row.uid)
            });
        }
        if let Some(owner) = self.union_owner(login).await? {
            return self.link_to(owner, login).await;
        }
        match self
            .dynamo
            .transact(self.first_writes(login, first)?)
            .await?
        {
            TransactionOutcome::Written => Ok(Resolved::New),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// One update. Another one where WeChat gave the key that is stored already.
    async fn returning(&self, login: &WeChatLogin) -> Result<Option<IdentityRow>, DynamoError> {
        let tags = self.tags(login);
        let other_key = differs(&tags);
        let condition = Condition::new(format!("attribute_exists(pk) AND {other_key}"));
        let sealed = self.sealed_session_key(login)?;
        let new_key = self
            .login_update(login, &sealed, NEW_KEY, condition, tags.clone())
            .returning_new()
            .returning_old_on_failure();
        match self.dynamo.update(new_key).await? {
            WriteOutcome::Written(row) => return dynamo::from_item(row).map(Some),
            WriteOutcome::ConditionFailed(None) => return Ok(None),
            WriteOutcome::ConditionFailed(Some(_)) => {}
        }
        let condition = Condition::new(format!("attribute_exists(pk) AND NOT {other_key}"));
        let same_key = self
            .login_update(login, &sealed, SAME_KEY, condition, tags)
            .returning_new();
        match self.dynamo.update(same_key).await? {
            WriteOutcome::Written(row) => dynamo::from_item(row).map(Some),
            // Unlinked, or written by another login, since the first update.
            WriteOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// The tags of the login's session key under all `DATA_KEYS`, with the names of their values:
    /// `:tag` is the one to store.
    fn tags(&self, login: &WeChatLogin) -> Vec<(String, String)> {
        let name = |number: usize| match number {
            0 => ":tag".to_owned(),
            older => format!(":tag{older}"),
        };
        let pk = login.identity_pk();
        let tags = self.at_rest.tags(&login.session_key, &pk).enumerate();
        tags.map(|(number, tag)| (name(number), tag)).collect()
    }

    /// The update of a returning login.
    fn login_update(
        &self,
        login: &WeChatLogin,
        sealed: &AttributeValue,
        expression: &str,
        condition: Condition,
        tags: Vec<(String, String)>,
    ) -> Update {
        let key = dynamo::key(&login.identity_pk(), IDENTITY.sk);
        let update = Update::new(key, expression, condition)
            .value(":key", sealed.clone())
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1));
        let with_tag = |update: Update, (name, tag): (String, String)| {
            update.value(&name, dynamo::string(tag))
        };
        tags.into_iter().fold(update, with_tag)
    }

    fn sealed_session_key(&self, login: &WeChatLogin) -> Result<AttributeValue, DynamoError> {
        let sealed = self
            .at_rest
            .seal(&login.session_key, &login.identity_pk(), &self.random);
        sealed
            .map(dynamo::string)
            .ok_or_else(|| DynamoError::unwritable("session key could not be encrypted"))
    }

    fn session_key_tag(&self, login: &WeChatLogin) -> String {
        self.at_rest.tag(&login.session_key, &login.identity_pk())
    }
}

/// The condition that the stored session key is another one than the login's.
fn differs(tags: &[(String, String)]) -> String {
    let differs: Vec<_> = tags
        .iter()
        .map(|(name, _)| format!("sessionKeyTag <> {name}"))
        .collect();
    format!(
        "(attribute_not_exists(sessionKeyTag) OR ({}))",
        differs.join(" AND ")
    )
}
