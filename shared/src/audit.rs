//! The audit trail: what happened to an account, for its user and for administrators.
//!
//! It is derived from the table's changes, by the worker, so no request writes it. Its rows stand in the
//! user's partition and expire after `AUDIT_DAYS`; they hold neither phone numbers nor tokens. The trail
//! of an account goes with the account.

use std::{fmt, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, WriteOutcome},
    ids::{AppId, DocumentId, SessionId, UserId},
    saga::SagaId,
    users::rows::{AUDIT, PROFILE, user_pk},
};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A session was opened.
    Login,
    /// The user ended a session.
    Logout,
    /// A refresh token was used again, and its session ended for that.
    RefreshReused,
    /// A session was ended by somebody else than its user: an administrator, or with the account.
    SessionEnded,
    /// A session was deleted: a newer one needed its place, or its login did not come about.
    SessionRemoved,
    /// The user may do something else than before.
    RoleChanged,
    /// The account was disabled, or enabled again.
    StatusChanged,
    /// A phone number was bound.
    PhoneBound,
    /// The number is no longer the user's.
    PhoneRemoved,
    /// The user agreed to a document.
    ConsentGiven,
    /// The user withdrew that.
    ConsentWithdrawn,
    /// The account is going to be deleted.
    DeletionRequested,
    /// It is not: the user called it back.
    DeletionCalledOff,
    /// Another account was merged into this one.
    AccountMerged,
}

impl AuditKind {
    /// As it is stored, and as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::RefreshReused => "refresh_reused",
            Self::SessionEnded => "session_ended",
            Self::SessionRemoved => "session_removed",
            Self::RoleChanged => "role_changed",
            Self::StatusChanged => "status_changed",
            Self::PhoneBound => "phone_bound",
            Self::PhoneRemoved => "phone_removed",
            Self::ConsentGiven => "consent_given",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::DeletionRequested => "deletion_requested",
            Self::DeletionCalledOff => "deletion_called_off",
            Self::AccountMerged => "account_merged",
        }
    }
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entry of the trail, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// What happened. A word that a later version wrote is no entry of this one.
    pub event: AuditKind,
    /// When.
    pub at: Timestamp,
    /// The session that it is about.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// The mini-program in which it happened.
    #[serde(default)]
    pub app_id: Option<AppId>,
    /// The client of a login, as it named itself.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// The administrator who did it.
    #[serde(default)]
    pub by: Option<UserId>,
    /// The role or status before.
    #[serde(default)]
    pub from: Option<String>,
    /// The role or status after.
    #[serde(default)]
    pub to: Option<String>,
    /// The document that was agreed to.
    #[serde(default)]
    pub document: Option<DocumentId>,
    /// Its version.
    #[serde(default)]
    pub version: Option<u32>,
    /// The saga that it was a part of.
    #[serde(default)]
    pub saga: Option<SagaId>,
}

impl AuditEvent {
    /// Something that happened at this time, with no particulars.
    #[must_use]
    pub fn new(event: AuditKind, at: Timestamp) -> Self {
        Self {
            event,
            at,
            session: None,
            app_id: None,
            user_agent: None,
            by: None,
            from: None,
            to: None,
            document: None,
            version: None,
            saga: None,
        }
    }
}

/// A page of a trail.
#[derive(Debug)]
pub struct AuditPage {
    /// The newest first.
    pub events: Vec<AuditEvent>,
    /// The sort key after which the next page begins; none on the last one.
    pub next: Option<String>,
}

/// The trails of all users. Cheap to clone.
#[derive(Clone)]
pub struct AuditTrail {
    dynamo: Dynamo,
    clock: Clock,
}

impl AuditTrail {
    /// Trails in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock) -> Self {
        Self { dynamo, clock }
    }

    /// Adds an entry that the change `change` of the table caused, once however often this is called;
    /// it is kept for `retention`. Nothing is added to an account that is gone. Whether the entry is new.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn append(
        &self,
        user: UserId,
        event: &AuditEvent,
        change: &str,
        retention: Duration,
    ) -> Result<bool, DynamoError> {
        let retention = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
        let expires = event.at.as_second().saturating_add(retention);
        if expires <= self.clock.now_seconds() {
            return Ok(false);
        }
        let (pk, sk) = (user_pk(user), sort_key(event, change));
        let mut row = dynamo::to_item(&pk, &sk, event)?;
        row.insert("ttl".to_owned(), dynamo::number(expires));
        let written = self.dynamo.put(row, Condition::absent()).await?;
        // After the write: a deletion reads the partition once more when the profile is gone, so it
        // finds what was written while there was one.
        if self.dynamo.get(&pk, PROFILE.sk).await?.is_none() {
            let key = dynamo::key(&pk, &sk);
            self.dynamo.delete(key, Condition::exists()).await?;
            return Ok(false);
        }
        Ok(matches!(written, WriteOutcome::Written(_)))
    }

    /// At most `limit` entries, the newest first: from the newest on, or those older than the one with
    /// the sort key `after`.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn page(
        &self,
        user: UserId,
        limit: usize,
        after: Option<&str>,
    ) -> Result<AuditPage, DynamoError> {
        let pk = user_pk(user);
        let query = self
            .dynamo
            .query()
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", dynamo::string(&pk))
            .expression_attribute_values(":sk", dynamo::string(AUDIT.sk))
            .set_exclusive_start_key(after.map(|sk| dynamo::key(&pk, sk)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = self.dynamo.page(query).await?;
        let last = page.last_evaluated_key.as_ref().and_then(sk_of);
        let now = self.clock.now_seconds();
        let rows = page.items.unwrap_or_default().into_iter();
        let living = rows.filter(|row| ttl_of(row).is_none_or(|ttl| ttl > now));
        // Of a later version, if it can't be read: left out, like everything that it adds.
        let events = living.filter_map(|row| dynamo::from_item(row).ok());
        Ok(AuditPage {
            events: events.collect(),
            next: last,
        })
    }
}

/// In the order of time; a digest of the change tells entries of the same moment apart.
fn sort_key(event: &AuditEvent, change: &str) -> String {
    let digest = Sha256::new()
        .chain_update(change)
        .chain_update([0])
        .chain_update(event.event.as_str())
        .finalize();
    format!("{}{:.3}#{}", AUDIT.sk, event.at, hex::encode(&digest[..8]))
}

fn sk_of(row: &Item) -> Option<String> {
    row.get("sk")?.as_s().ok().cloned()
}

/// In seconds since the epoch.
fn ttl_of(row: &Item) -> Option<i64> {
    row.get("ttl").map(AttributeValue::as_n)?.ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [AuditKind; 14] = [
        AuditKind::Login,
        AuditKind::Logout,
        AuditKind::RefreshReused,
        AuditKind::SessionEnded,
        AuditKind::SessionRemoved,
        AuditKind::RoleChanged,
        AuditKind::StatusChanged,
        AuditKind::PhoneBound,
        AuditKind::PhoneRemoved,
        AuditKind::ConsentGiven,
        AuditKind::ConsentWithdrawn,
        AuditKind::DeletionRequested,
        AuditKind::DeletionCalledOff,
        AuditKind::AccountMerged,
    ];

    #[test]
    fn the_words_of_events_are_those_that_are_stored() {
        for kind in KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_change_has_one_key_for_each_thing_that_it_says() {
        let at = "2026-11-23T01:02:03Z".parse().unwrap();
        let key = |kind, change| sort_key(&AuditEvent::new(kind, at), change);
        let login = key(AuditKind::Login, "c1");
        assert!(
            login.starts_with("AUDIT#2026-11-23T01:02:03.000Z#"),
            "{login}"
        );
        assert_eq!(login, key(AuditKind::Login, "c1"));
        assert_ne!(login, key(AuditKind::Login, "c2"));
        assert_ne!(login, key(AuditKind::Logout, "c1"));
    }

    #[test]
    fn keys_sort_as_the_times_do() {
        let key = |at: &str| sort_key(&AuditEvent::new(AuditKind::Login, at.parse().unwrap()), "c");
        let times = [
            "2026-11-23T01:02:03Z",
            "2026-11-23T01:02:03.1Z",
            "2026-11-23T01:02:04Z",
        ];
        assert!(times.map(key).is_sorted());
    }
}
