//! Grants: a user agreed to receive one subscribe message of a template. Each is a row
//! (`USER#{uid}` / `GRANT#{appId}#{templateId}#{requestId}`), named by the call of
//! `wx.requestSubscribeMessage` that it is from. A message that uses one up marks its row, which stays
//! for a time: so a call that is recorded again adds nothing.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{TryStreamExt, future::ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    IdempotencyKey, Message,
    store::{absent_or_expired, expires},
};
use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, TransactionOutcome, Update, Write},
    ids::{AppId, OpenId, TemplateId, UserId},
    request,
    users::rows::{GRANT, account_in_use, user_pk},
};

/// The most grants of a template that a user has; more are not recorded.
const MAX_OF_TEMPLATE: usize = 50;
/// The most grants that a user has in a mini-program, whatever their templates.
const MAX_OF_APP: usize = 500;
/// How long a grant that was used up is known, also one that would have expired before: longer than a
/// client repeats a request.
const USED_RETENTION: Duration = Duration::from_hours(7 * 24);

/// A grant of a user for one message of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The mini-program.
    pub app_id: AppId,
    /// The template.
    pub template_id: TemplateId,
    /// Names the call of `wx.requestSubscribeMessage`.
    request_id: String,
    /// Who granted it.
    pub open_id: OpenId,
    /// When.
    pub granted_at: Timestamp,
    /// When it was used up, if it was.
    #[serde(default)]
    used_at: Option<Timestamp>,
    /// The message that uses it up, with its claim.
    #[serde(default)]
    used_by: Option<String>,
    /// When the row expires, in seconds since the epoch.
    ttl: i64,
}

/// What a call of `wx.requestSubscribeMessage` brought.
#[derive(Clone, Debug)]
pub struct GrantRequest {
    /// Whose.
    pub user: UserId,
    /// In which mini-program.
    pub app_id: AppId,
    /// Who granted it there.
    pub open_id: OpenId,
    /// Names the call.
    pub request_id: IdempotencyKey,
    /// The templates that the user accepted, each once.
    pub accepted: Vec<TemplateId>,
}

/// Why grants can't be recorded or read.
#[derive(Debug, Error)]
pub enum GrantsError {
    /// There is no such account, or it is barred.
    #[error("no such account")]
    NotFound,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// The grants. Cheap to clone.
#[derive(Clone)]
pub struct Grants {
    dynamo: Dynamo,
    clock: Clock,
    retention: Duration,
}

impl Grants {
    /// Grants in `dynamo`, which expire after `retention` if they are not used.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, retention: Duration) -> Self {
        Self {
            dynamo,
            clock,
            retention,
        }
    }

    /// Records what the user accepted. The same call again adds nothing, also when its grants have been
    /// used up since.
    ///
    /// # Errors
    /// [`GrantsError`].
    pub async fn record(&self, request: &GrantRequest) -> Result<(), GrantsError> {
        let known = of_user(&self.dynamo, request.user, &request.app_id, None).await?;
        let mut new = self.new_grants(request, &known);
        while !new.is_empty() {
            let now = self.clock.now();
            let mut writes = vec![account_in_use(request.user)];
            for grant in &new {
                writes.push(Write::Put(
                    grant.to_item(request.user)?,
                    absent_or_expired(now),
                ));
            }
            let attempt = || self.dynamo.transact(writes.clone());
            let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
            match self.dynamo.retry_conflicts(attempt, is_conflict).await? {
                TransactionOutcome::Written => break,
                TransactionOutcome::ConditionFailed(failed) if failed.contains(&0) => {
                    return Err(GrantsError::NotFound);
                }
                // Those are there: the call was recorded at the same time.
                TransactionOutcome::ConditionFailed(failed) => {
                    let before = new.len();
                    new = without(new, &failed);
                    if new.len() == before {
                        return Err(DynamoError::Conflict.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// The grants of the call that are not recorded yet, as far as there is room for them.
    fn new_grants(&self, request: &GrantRequest, known: &[Grant]) -> Vec<Grant> {
        let now = self.clock.now();
        let usable = || {
            known
                .iter()
                .filter(|grant| grant.is_usable(now.as_second()))
        };
        let room = MAX_OF_APP.saturating_sub(usable().count());
        let request_id = request.request_id.to_string();
        let is_new = |template: &&TemplateId| {
            let is_this = |grant: &Grant| {
                grant.template_id == **template
                    && grant.request_id == request_id
                    && grant.ttl > now.as_second()
            };
            let of_template = usable().filter(|grant| grant.template_id == **template);
            !known.iter().any(is_this) && of_template.count() < MAX_OF_TEMPLATE
        };
        let new = request.accepted.iter().filter(is_new).take(room);
        new.map(|template| Grant {
            app_id: request.app_id.clone(),
            template_id: template.clone(),
            request_id: request_id.clone(),
            open_id: request.open_id.clone(),
            granted_at: now,
            used_at: None,
            used_by: None,
            ttl: expires(now, self.retention),
        })
        .collect()
    }

    /// How many messages of each template the user agreed to in the mini-program, and has not received.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn remaining(
        &self,
        user: UserId,
        app_id: &AppId,
    ) -> Result<BTreeMap<TemplateId, usize>, DynamoError> {
        let now = self.clock.now_seconds();
        let mut remaining = BTreeMap::new();
        for grant in of_user(&self.dynamo, user, app_id, None).await? {
            let count: &mut usize = remaining.entry(grant.template_id.clone()).or_default();
            *count += usize::from(grant.is_usable(now));
        }
        remaining.retain(|_, count| *count > 0);
        Ok(remaining)
    }
}

/// The grants without those at these positions of a transaction, whose first write is not of a grant.
fn without(grants: Vec<Grant>, failed: &[usize]) -> Vec<Grant> {
    let each = grants.into_iter().enumerate();
    each.filter(|(index, _)| !failed.contains(&(index + 1)))
        .map(|(_, grant)| grant)
        .collect()
}

/// The user's grants in the mini-program, of all templates or of one, with those that were used up.
pub(super) async fn of_user(
    dynamo: &Dynamo,
    user: UserId,
    app_id: &AppId,
    template: Option<&TemplateId>,
) -> Result<Vec<Grant>, DynamoError> {
    let of_template = template.map(|template| format!("{template}#"));
    let prefix = format!("{}{app_id}#{}", GRANT.sk, of_template.unwrap_or_default());
    let query = dynamo
        .query()
        .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
        .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
        .expression_attribute_values(":sk", dynamo::string(prefix));
    let rows = dynamo.rows(query);
    let grants = rows.try_filter_map(|row| ready(Ok(readable(user, row))));
    grants.try_collect().await
}

/// A row that can't be read is left out, so that the others still count.
fn readable(user: UserId, row: Item) -> Option<Grant> {
    match dynamo::from_item(row) {
        Ok(grant) => Some(grant),
        Err(error) => {
            let why = error.to_string();
            tracing::error!(request_id = request::id(), user = %user, why, "a grant can't be read");
            None
        }
    }
}

impl Grant {
    fn key(&self, user: UserId) -> Item {
        dynamo::key(&user_pk(user), &self.sk())
    }

    fn sk(&self) -> String {
        let Self {
            app_id,
            template_id,
            request_id,
            ..
        } = self;
        format!("{}{app_id}#{template_id}#{request_id}", GRANT.sk)
    }

    fn to_item(&self, user: UserId) -> Result<Item, DynamoError> {
        dynamo::to_item(&user_pk(user), &self.sk(), self)
    }

    /// Whether a message can still use it up, at this time in seconds since the epoch.
    pub(super) fn is_usable(&self, now: i64) -> bool {
        self.used_by.is_none() && self.ttl > now
    }

    /// The oldest one is used up first.
    pub(super) fn age(&self) -> (Timestamp, &str) {
        (self.granted_at, &self.request_id)
    }

    /// Uses it up for this message, as it was claimed.
    pub(super) fn use_for(&self, message: &Message, now: Timestamp) -> Write {
        let condition = Condition::new("attribute_not_exists(usedBy) AND #ttl > :seconds")
            .value(":seconds", dynamo::number(now.as_second()));
        let set = "SET usedBy = :by, usedAt = :now, #ttl = :ttl";
        let ttl = expires(now, USED_RETENTION);
        let update = Update::new(self.key(message.user), set, condition)
            .name("#ttl", "ttl")
            .value(":by", dynamo::string(use_of(message)))
            .value(":now", dynamo::string(now.to_string()))
            .value(":ttl", dynamo::number(ttl));
        Write::Update(update)
    }

    /// Gives it back, as it was read before the claim, if this message, as it was claimed, uses it up.
    pub(super) fn give_back(&self, message: &Message) -> Write {
        let condition =
            Condition::new("usedBy = :by").value(":by", dynamo::string(use_of(message)));
        let change = "SET #ttl = :ttl REMOVE usedBy, usedAt";
        let update = Update::new(self.key(message.user), change, condition)
            .name("#ttl", "ttl")
            .value(":ttl", dynamo::number(self.ttl));
        Write::Update(update)
    }
}

/// A message and its claim.
fn use_of(message: &Message) -> String {
    let claim = message.claim.as_deref().unwrap_or_default();
    format!("{}#{claim}", message.id)
}
