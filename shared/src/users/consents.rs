//! What users agree to: a row for each agreement
//! (`USER#{uid}` / `CONSENT#{document}#{version}#{number}`), and in the user's own row the version of
//! each document that is agreed to now, so that reading the profile is enough to know what is missing.
//!
//! Both are written together, on the condition that the user's row says what it said when it was read.
//! Of one document, one version is agreed to at most: the one in the user's row. Rows of older versions
//! are history.

mod merge;
mod required;
mod rows;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AccountState, Status, UserError,
    profiles::invalidate_cached,
    rows::{PROFILE, profile_key, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, TransactionOutcome, Update, Write},
    ids::{AppId, DocumentId, UserId},
};

pub use required::RequiredConsents;
use rows::ConsentRow;

/// How many agreements to a document are kept of a user. Who agrees and withdraws more often than
/// anybody would loses the oldest.
const KEPT: usize = 100;

/// The versions of documents that a user agreed to and has not withdrawn, by document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct AgreedVersions(BTreeMap<String, u32>);

impl AgreedVersions {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The version of this document.
    #[must_use]
    pub fn version(&self, document: &DocumentId) -> Option<u32> {
        self.0.get(document.as_str()).copied()
    }
}

impl<const N: usize> From<[(String, u32); N]> for AgreedVersions {
    fn from(versions: [(String, u32); N]) -> Self {
        Self(versions.into())
    }
}

/// An agreement, as it is kept and as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// The document.
    pub document: DocumentId,
    /// The version that was agreed to.
    pub version: u32,
    /// When. The same version again, without a withdrawal in between, keeps the first time.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    pub agreed_at: Timestamp,
    /// In which mini-program.
    pub app_id: AppId,
    /// When it was withdrawn, if it was.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub withdrawn_at: Option<Timestamp>,
    /// In which mini-program it was withdrawn.
    #[serde(default)]
    pub withdrawn_app_id: Option<AppId>,
}

/// A request to agree to a document, or to withdraw the agreement.
pub struct ConsentRequest<'a> {
    /// The user.
    pub user: UserId,
    /// The mini-program that they sent it from.
    pub app_id: &'a AppId,
    /// The document.
    pub document: &'a DocumentId,
}

/// What is known of a user and a document.
struct Known {
    /// What the user's row says.
    agreed: AgreedVersions,
    /// Whether the user's row has the map at all.
    has_map: bool,
    /// The rows of the document.
    rows: Vec<ConsentRow>,
}

/// The consents. Cheap to clone.
#[derive(Clone)]
pub struct Consents {
    dynamo: Dynamo,
    cache: Cache,
    clock: Clock,
}

impl Consents {
    /// Consents in `dynamo`; `cache` remembers the users.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock) -> Self {
        Self {
            dynamo,
            cache,
            clock,
        }
    }

    /// What the user agreed to, and all that is kept of it, the newest first.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn list(&self, user: UserId) -> Result<(AgreedVersions, Vec<Consent>), UserError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        let (agreed, _) = agreed(profile.ok_or(UserError::NotFound)?)?;
        let rows = self.rows(user, rows::prefix()).await?;
        let mut history: Vec<_> = rows.into_iter().map(|row| row.consent).collect();
        history.sort_by(|one, other| {
            let key = |consent: &Consent| (consent.agreed_at, consent.version);
            key(other).cmp(&key(one))
        });
        Ok((agreed, history))
    }

    /// Records that the user agrees to this version, unless they have agreed to it, or to a newer one,
    /// already. The agreement that holds now, with all that do.
    ///
    /// # Errors
    /// [`UserError::NotFound`]; [`DynamoError::Conflict`] when other requests keep writing the same
    /// rows; DynamoDB's.
    pub async fn agree(
        &self,
        by: &ConsentRequest<'_>,
        version: u32,
    ) -> Result<(Consent, AgreedVersions), UserError> {
        self.write(by, || self.try_agree(by, version)).await
    }

    /// Records that the user withdraws the agreement to the document, whatever its version. The last
    /// agreement as it is now, with all that hold; none if there never was one.
    ///
    /// # Errors
    /// As [`Self::agree`].
    pub async fn withdraw(
        &self,
        by: &ConsentRequest<'_>,
    ) -> Result<(Option<Consent>, AgreedVersions), UserError> {
        self.write(by, || self.try_withdraw(by)).await
    }

    async fn write<T, F>(
        &self,
        by: &ConsentRequest<'_>,
        attempt: impl FnMut() -> F,
    ) -> Result<T, UserError>
    where
        F: Future<Output = Result<T, UserError>>,
    {
        let is_conflict =
            |error: &UserError| matches!(error, UserError::Dynamo(DynamoError::Conflict));
        let written = self.dynamo.retry_conflicts(attempt, is_conflict).await;
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, by.user).await;
        written
    }

    async fn try_agree(
        &self,
        by: &ConsentRequest<'_>,
        version: u32,
    ) -> Result<(Consent, AgreedVersions), UserError> {
        let mut known = self.known(by).await?;
        let before = known.agreed.version(by.document);
        match known.holding(before) {
            Some(row) if before >= Some(version) => {
                return Ok((row.consent.clone(), known.agreed));
            }
            // Withdrawn since the user's row was read. What that says is never lowered.
            None if before > Some(version) => return Err(DynamoError::Conflict.into()),
            _ => {}
        }
        let row = ConsentRow::new(self.consent(by, version), known.next_number(version));
        let mut writes = vec![
            Write::Update(known.agree(by, version)),
            Write::Put(row.to_item(by.user)?, Condition::absent()),
        ];
        if let Some(oldest) = known.to_forget(before) {
            writes.push(Write::Delete(oldest.key(by.user), Condition::exists()));
        }
        self.transact(writes).await?;
        known.agreed.0.insert(by.document.to_string(), version);
        Ok((row.consent, known.agreed))
    }

    async fn try_withdraw(
        &self,
        by: &ConsentRequest<'_>,
    ) -> Result<(Option<Consent>, AgreedVersions), UserError> {
        let mut known = self.known(by).await?;
        let Some(before) = known.agreed.version(by.document) else {
            let last = known.rows.into_iter().max_by_key(ConsentRow::time);
            return Ok((last.map(|row| row.consent), known.agreed));
        };
        let mut writes = vec![Write::Update(withdraw(by, before))];
        let now = self.clock.now();
        let mut withdrawn = None;
        // Of accounts that were merged, both may have agreed to it.
        for row in known.standing(Some(before)) {
            writes.push(Write::Update(row.withdraw(by, now)));
            withdrawn = Some(Consent {
                withdrawn_at: Some(now),
                withdrawn_app_id: Some(by.app_id.clone()),
                ..row.consent.clone()
            });
        }
        self.transact(writes).await?;
        known.agreed.0.remove(by.document.as_str());
        Ok((withdrawn, known.agreed))
    }

    /// All or nothing; [`DynamoError::Conflict`] if the rows are not as they were read.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DynamoError> {
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// First the user's row, then the others: the row of the agreement that it says holds is among
    /// those that are read after it.
    async fn known(&self, by: &ConsentRequest<'_>) -> Result<Known, UserError> {
        let profile = self.dynamo.get(&user_pk(by.user), PROFILE.sk).await?;
        let profile = profile.ok_or(UserError::NotFound)?;
        if dynamo::from_item::<AccountState>(profile.clone())?.status == Status::Barred {
            // Its session is refused from here on.
            return Err(UserError::NotFound);
        }
        let (agreed, has_map) = agreed(profile)?;
        let rows = self.rows(by.user, rows::prefix_of(by.document)).await?;
        Ok(Known {
            agreed,
            has_map,
            rows,
        })
    }

    fn consent(&self, by: &ConsentRequest<'_>, version: u32) -> Consent {
        Consent {
            document: by.document.clone(),
            version,
            agreed_at: self.clock.now(),
            app_id: by.app_id.clone(),
            withdrawn_at: None,
            withdrawn_app_id: None,
        }
    }
}

impl Known {
    /// The agreements to this version that were not withdrawn, in the order of their numbers.
    fn standing(&self, version: Option<u32>) -> impl Iterator<Item = &ConsentRow> {
        let rows = self.rows.iter();
        rows.filter(move |row| {
            Some(row.consent.version) == version && row.consent.withdrawn_at.is_none()
        })
    }

    /// The row of the agreement that holds.
    fn holding(&self, version: Option<u32>) -> Option<&ConsentRow> {
        self.standing(version).last()
    }

    /// The number of the next agreement to this version.
    fn next_number(&self, version: u32) -> u32 {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| row.consent.version == version);
        rows.map(|row| row.number).max().unwrap_or(0) + 1
    }

    /// The row that one more would be too many with.
    fn to_forget(&self, holding: Option<u32>) -> Option<&ConsentRow> {
        if self.rows.len() < KEPT {
            return None;
        }
        let holding = self.holding(holding).map(ConsentRow::id);
        let rows = self.rows.iter();
        let rows = rows.filter(|row| Some(row.id()) != holding);
        rows.min_by_key(|row| row.time())
    }

    /// The update of the user's row, if it says what was read.
    fn agree(&self, by: &ConsentRequest<'_>, version: u32) -> Update {
        let number = dynamo::number(version);
        if !self.has_map {
            let condition = in_use("attribute_exists(pk) AND attribute_not_exists(consents)");
            let map = Item::from([(by.document.to_string(), number)]);
            let key = profile_key(by.user);
            let update = Update::new(key, "SET consents = :map", condition);
            return update.value(":map", AttributeValue::M(map));
        }
        let condition = match self.agreed.version(by.document) {
            Some(before) => {
                in_use("consents.#document = :before").value(":before", dynamo::number(before))
            }
            None => {
                in_use("attribute_exists(consents) AND attribute_not_exists(consents.#document)")
            }
        };
        let key = profile_key(by.user);
        Update::new(key, "SET consents.#document = :version", condition)
            .name("#document", by.document.as_str())
            .value(":version", number)
    }
}

/// The update of the user's row, if it says what was read.
fn withdraw(by: &ConsentRequest<'_>, before: u32) -> Update {
    let condition = in_use("consents.#document = :before");
    let condition = condition.value(":before", dynamo::number(before));
    let key = profile_key(by.user);
    Update::new(key, "REMOVE consents.#document", condition).name("#document", by.document.as_str())
}

/// A condition of the user's row that holds only while the account is not barred: what is agreed to
/// then would be lost with it.
fn in_use(condition: &str) -> Condition {
    Condition::new(format!("{condition} AND #status <> :barred"))
        .name("#status", "status")
        .value(":barred", dynamo::string(Status::Barred.as_str()))
}

/// What the user's row says, and whether it has the map.
fn agreed(profile: Item) -> Result<(AgreedVersions, bool), DynamoError> {
    /// The part of the row that this is about.
    #[derive(Deserialize)]
    struct Agreed {
        consents: Option<AgreedVersions>,
    }
    let Agreed { consents } = dynamo::from_item(profile)?;
    let has_map = consents.is_some();
    Ok((consents.unwrap_or_default(), has_map))
}
