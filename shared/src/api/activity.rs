//! What happened to an account, as its user and administrators see it: page by page, the newest first.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ApiError, Checks, Cursors, Input, Optional, page_limit};
use crate::{
    audit::{AuditEvent, AuditKind, AuditTrail},
    ids::{AppId, DocumentId, SessionId, UserId},
    saga::SagaId,
};

/// The list's name in cursors.
const LIST: &str = "activity";

/// The query of a page.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ActivityQuery")
)]
#[serde(deny_unknown_fields)]
pub struct RawActivityQuery {
    /// Entries on a page.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "usize", range(min = 1, max = super::MAX_PAGE_LIMIT), extend("default" = super::DEFAULT_PAGE_LIMIT)))]
    limit: Optional<String>,
    /// The `cursor` of the page before this one.
    #[serde(default)]
    cursor: Optional<String>,
}

/// Which entries are on this page.
pub struct ActivityQuery {
    limit: usize,
    cursor: Option<String>,
}

impl Input for ActivityQuery {
    type Raw = RawActivityQuery;

    fn parse(raw: RawActivityQuery, checks: &mut Checks) -> Option<Self> {
        Some(Self {
            limit: page_limit(raw.limit.0.as_deref(), checks)?,
            cursor: raw.cursor.0,
        })
    }
}

/// Who looks at the trail of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Viewer {
    /// Its user, who is not told which administrator did something.
    User,
    /// This administrator.
    Administrator(UserId),
}

/// A page.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ActivityList {
    /// The newest first. A page that is followed by another one can be short.
    activities: Vec<ActivityEntry>,
    /// The cursor of the next page; none at the end.
    cursor: Option<String>,
}

/// Something that happened. What an event does not have is left out.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Activity"))]
#[serde(rename_all = "camelCase")]
pub struct ActivityEntry {
    event: AuditKind,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    at: Timestamp,
    /// The session that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    /// The mini-program in which it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<AppId>,
    /// The client of a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    /// The role or status before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The role or status after.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The document that was agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<DocumentId>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// The merge that it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    saga: Option<SagaId>,
    /// Whether an administrator did it.
    by_administrator: bool,
    /// Which one. Only administrators see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    administrator_id: Option<UserId>,
}

impl ActivityEntry {
    fn new(event: AuditEvent, viewer: Viewer) -> Self {
        Self {
            event: event.event,
            at: event.at,
            session_id: event.session,
            app_id: event.app_id,
            user_agent: event.user_agent,
            from: event.from,
            to: event.to,
            document: event.document,
            version: event.version,
            saga: event.saga,
            by_administrator: event.by.is_some(),
            administrator_id: event.by.filter(|_| viewer != Viewer::User),
        }
    }
}

impl ActivityList {
    /// The page of this user's trail that the query asks for.
    ///
    /// # Errors
    /// A violation of the field `cursor`; DynamoDB's.
    pub async fn read(
        trail: &AuditTrail,
        cursors: &Cursors,
        user: UserId,
        query: &ActivityQuery,
        viewer: Viewer,
    ) -> Result<Self, ApiError> {
        let context = (user, viewer);
        let after: Option<String> = match &query.cursor {
            Some(cursor) => Some(cursors.read(LIST, &context, cursor)?),
            None => None,
        };
        let page = trail.page(user, query.limit, after.as_deref()).await?;
        let cursor = page.next.map(|after| cursors.sign(LIST, &context, &after));
        let events = page.events.into_iter();
        Ok(Self {
            activities: events
                .map(|event| ActivityEntry::new(event, viewer))
                .collect(),
            cursor: cursor.transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_not_told_which_administrator_it_was() {
        let administrator: UserId = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let event = AuditEvent {
            by: Some(administrator),
            ..AuditEvent::new(
                AuditKind::RoleChanged,
                "2026-11-23T01:02:03Z".parse().unwrap(),
            )
        };
        let shown = |viewer| {
            let entry = ActivityEntry::new(event.clone(), viewer);
            serde_json::to_string(&entry).unwrap()
        };
        assert_eq!(
            shown(Viewer::User),
            r#"{"event":"role_changed","at":"2026-11-23T01:02:03Z","byAdministrator":true}"#
        );
        assert!(shown(Viewer::Administrator(administrator)).contains(&administrator.to_string()));
    }
}
