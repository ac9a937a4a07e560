//! `GET /api/v1/users`

use axum::extract::State;
use serde::Deserialize;
use shared::{
    api::{
        ApiError, Checks, Cursors, Input, Optional, Query, Rule, Success, Violation, page_limit,
    },
    edge::Administrator,
    users::{Listing, Position, Status, UserFilter, UserPage},
};

use crate::{Apps, summary::UserList};

/// The list's name in cursors.
const LIST: &str = "users";

/// The query. No phone numbers here: addresses end up in logs of proxies and in histories.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ListQuery")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawListQuery {
    /// Users on a page.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "usize", range(min = 1, max = shared::api::MAX_PAGE_LIMIT), extend("default" = shared::api::DEFAULT_PAGE_LIMIT)))]
    limit: Optional<String>,
    /// The `cursor` of the page before this one.
    #[serde(default)]
    cursor: Optional<String>,
    /// Users of this status only.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("enum" = [Status::Active.as_str(), Status::Disabled.as_str(), Status::Barred.as_str()])))]
    status: Optional<String>,
    /// Users of this mini-program only.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "shared::ids::AppId"))]
    app_id: Optional<String>,
}

/// Which users to list, and which of them on this page.
pub struct ListQuery {
    limit: usize,
    cursor: Option<String>,
    status: Option<Status>,
    app_id: Option<String>,
}

impl Input for ListQuery {
    type Raw = RawListQuery;

    fn parse(raw: RawListQuery, checks: &mut Checks) -> Option<Self> {
        let limit = page_limit(raw.limit.0.as_deref(), checks);
        let status = match raw.status.0 {
            Some(text) => checks
                .field("status", Rule::Status, Status::parse(&text))
                .map(Some),
            None => Some(None),
        };
        Some(Self {
            limit: limit?,
            cursor: raw.cursor.0,
            status: status?,
            app_id: raw.app_id.0,
        })
    }
}

impl ListQuery {
    fn filter(&self, apps: &Apps) -> Result<UserFilter, ApiError> {
        let app_id = match &self.app_id {
            None => None,
            Some(id) => {
                let unknown = || ApiError::invalid(vec![Violation::new("appId", Rule::AppId)]);
                Some(apps.find(id).ok_or_else(unknown)?)
            }
        };
        Ok(UserFilter {
            status: self.status,
            app_id,
        })
    }
}

pub async fn list(
    caller: Administrator,
    State(listing): State<Listing>,
    State(cursors): State<Cursors>,
    State(apps): State<Apps>,
    Query(query): Query<ListQuery>,
) -> Result<Success<UserList>, ApiError> {
    let filter = query.filter(&apps)?;
    // A cursor goes on with the same filters, and for the same administrator.
    let context = (
        caller.user.id,
        filter.status.map(Status::as_str),
        &filter.app_id,
    );
    let after: Option<Position> = match &query.cursor {
        Some(cursor) => Some(cursors.read(LIST, &context, cursor)?),
        None => None,
    };
    let UserPage { users, next } = listing.page(&filter, query.limit, after.as_ref()).await?;
    let cursor = next.map(|position| cursors.sign(LIST, &context, &position));
    Ok(Success(UserList {
        users: users.into_iter().map(Into::into).collect(),
        cursor: cursor.transpose()?,
    }))
}
