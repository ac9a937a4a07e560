//! From a WeChat login to a user.

mod first;

use aws_sdk_dynamodb::types::AttributeValue;
use secrecy::SecretString;

use super::{
    User,
    identities::IdentityRow,
    rows::{IDENTITY, UNION_LINK, identity_pk, union_pk, union_row},
};
use crate::{
    clock::Clock,
    crypto::AtRest,
    dynamo::{
        self, Condition, Dynamo, DynamoError, TransactionOutcome, Update, Write, WriteOutcome,
    },
    ids::{AppId, OpenId, UnionId, UserId},
    random::Random,
    request,
};

/// The position of the union link among the writes of a late link; the other one is the identity.
const LINK_WRITE: usize = 0;

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

/// The user of a login.
pub enum Resolved {
    /// A new person, for whom this user was created.
    New(User),
    /// An existing user.
    Known(UserId),
}

/// Resolves logins to users. Cheap to clone but for its keys: keep one per instance.
pub struct Logins {
    dynamo: Dynamo,
    clock: Clock,
    random: Random,
    at_rest: AtRest,
}

impl Logins {
    /// Logins of the users in `dynamo`, their session keys encrypted by `at_rest`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, random: Random, at_rest: AtRest) -> Self {
        Self {
            dynamo,
            clock,
            random,
            at_rest,
        }
    }

    /// The user of this login, made at the first one.
    ///
    /// A returning login is one update, which also moves the stored session key to
    /// `prevSessionKey`. A first login is one transaction, so that logins racing for the same
    /// person make one user.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn resolve(&self, login: &WeChatLogin) -> Result<Resolved, DynamoError> {
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        self.dynamo
            .retry_conflicts(|| self.attempt(login), is_conflict)
            .await
    }

    /// The user, or [`DynamoError::Conflict`] when another login of the same person was faster.
    async fn attempt(&self, login: &WeChatLogin) -> Result<Resolved, DynamoError> {
        if let Some(row) = self.returning(login).await? {
            self.link_union_later(login, &row).await?;
            return Ok(Resolved::Known(row.uid));
        }
        let (writes, resolved) = if let Some(owner) = self.union_owner(login).await? {
            (self.link_writes(login, owner)?, Resolved::Known(owner))
        } else {
            let id = UserId(self.random.uuid_v7(&self.clock));
            let user = User::new(id, self.clock.now());
            (self.first_writes(login, &user)?, Resolved::New(user))
        };
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(resolved),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// One update. Another one where WeChat gave the key that is stored already: moved, it would
    /// push out the previous one, which data that is still on its way may be encrypted with.
    async fn returning(&self, login: &WeChatLogin) -> Result<Option<IdentityRow>, DynamoError> {
        let (other_key, tags) = self.tag_differs(login);
        let new_key = self
            .login_update(
                login,
                "SET prevSessionKey = sessionKey, sessionKey = :key, sessionKeyTag = :tag, lastLoginAt = :now \
                 ADD loginCount :one",
                Condition::new(format!("attribute_exists(pk) AND {other_key}")),
            )
            .value(":key", self.sealed_session_key(login)?)
            .returning_old_on_failure();
        let with_tags = |update: Update, tags: Vec<(String, AttributeValue)>| {
            tags.into_iter()
                .fold(update, |update, (name, tag)| update.value(&name, tag))
        };
        match self.dynamo.update(with_tags(new_key, tags.clone())).await? {
            WriteOutcome::Written(row) => return dynamo::from_item(row).map(Some),
            WriteOutcome::ConditionFailed(None) => return Ok(None),
            WriteOutcome::ConditionFailed(Some(_)) => {}
        }
        // Encrypted anew, under the first of `DATA_KEYS`.
        let same_key = self
            .login_update(
                login,
                "SET sessionKey = :key, sessionKeyTag = :tag, lastLoginAt = :now ADD loginCount :one",
                Condition::new(format!("attribute_exists(pk) AND NOT {other_key}")),
            )
            .value(":key", self.sealed_session_key(login)?);
        match self.dynamo.update(with_tags(same_key, tags)).await? {
            WriteOutcome::Written(row) => dynamo::from_item(row).map(Some),
            // Unlinked, or written by another login, since the first update.
            WriteOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// The condition that the stored key is another one than the login's, with its values: the tags
    /// of the login's key under all `DATA_KEYS`, of which `:tag` is the one to store.
    fn tag_differs(&self, login: &WeChatLogin) -> (String, Vec<(String, AttributeValue)>) {
        let pk = login.identity_pk();
        let name = |number: usize| match number {
            0 => ":tag".to_owned(),
            older => format!(":tag{older}"),
        };
        let tags: Vec<_> = self.at_rest.tags(&login.session_key, &pk).collect();
        let differs = (0..tags.len())
            .map(|number| format!("sessionKeyTag <> {}", name(number)))
            .collect::<Vec<_>>()
            .join(" AND ");
        let values = tags
            .into_iter()
            .enumerate()
            .map(|(number, tag)| (name(number), dynamo::string(tag)));
        (
            format!("(attribute_not_exists(sessionKeyTag) OR ({differs}))"),
            values.collect(),
        )
    }

    /// What all updates of a returning login have in common.
    fn login_update(&self, login: &WeChatLogin, expression: &str, condition: Condition) -> Update {
        let key = dynamo::key(&login.identity_pk(), IDENTITY.sk);
        Update::new(key, expression, condition)
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1))
            .returning_new()
    }

    /// The user whom another mini-program of ours knows under the same union id.
    async fn union_owner(&self, login: &WeChatLogin) -> Result<Option<UserId>, DynamoError> {
        let Some(union_id) = &login.union_id else {
            return Ok(None);
        };
        let row = self.dynamo.get(&union_pk(union_id), UNION_LINK.sk).await?;
        row.map(dynamo::from_item::<IdentityRow>)
            .transpose()
            .map(|row| row.map(|row| row.uid))
    }

    /// WeChat sent the union id only now: links it, unless it is another user's. Two users who turn
    /// out to be one person stay two; merging them is not ours to decide. Either way the identity
    /// remembers it, so this happens once; link and identity are written together, so that erasing
    /// the identity meanwhile leaves no link behind.
    async fn link_union_later(
        &self,
        login: &WeChatLogin,
        row: &IdentityRow,
    ) -> Result<(), DynamoError> {
        let (Some(union_id), None) = (&login.union_id, &row.union_id) else {
            return Ok(());
        };
        let mark = |linked| {
            let update = Update::new(
                dynamo::key(&login.identity_pk(), IDENTITY.sk),
                "SET unionId = :union, unionLinked = :linked",
                Condition::owned_by(row.uid),
            );
            update
                .value(":union", dynamo::string(union_id.as_str()))
                .value(":linked", AttributeValue::Bool(linked))
        };
        let link = Write::Put(
            union_row(union_id, row.uid),
            Condition::absent_or_owned_by(row.uid),
        );
        let writes = vec![link, Write::Update(mark(true))];
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => return Ok(()),
            TransactionOutcome::ConditionFailed(at) if at == [LINK_WRITE] => {}
            // Unlinked since the login was counted.
            TransactionOutcome::ConditionFailed(_) => return Err(DynamoError::Conflict),
        }
        tracing::info!(
            user_id = %row.uid, request_id = request::id(),
            "the union id belongs to another user already, not linked"
        );
        match self.dynamo.update(mark(false)).await? {
            WriteOutcome::Written(_) => Ok(()),
            WriteOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
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
