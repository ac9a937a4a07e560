//! `GET /api/v1/user/export`: everything that is stored about the caller, page by page.

#[cfg(feature = "openapi")]
mod openapi;
mod page;

use std::pin::pin;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt;
use http::{HeaderValue, header::CONTENT_DISPOSITION};
use serde::Deserialize;
use shared::{
    api::{ApiError, Checks, Cursors, Input, Optional, Query, Reason, Success},
    clock::Clock,
    edge::AuthenticatedUser,
    ids::UserId,
    instance::Instance,
    resilience::{Limiter, Limits, rate_limit::Identity},
    users::{UserRows, rows::PROFILE},
};

pub use page::Page;

/// The name of the list that cursors are of.
const LIST: &str = "export";
/// For clients that save what they get.
const DISPOSITION: HeaderValue = HeaderValue::from_static("attachment; filename=\"export.json\"");

#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ExportPosition")
)]
#[serde(deny_unknown_fields)]
pub struct RawPosition {
    /// The `nextCursor` of the page before this one.
    #[serde(default)]
    cursor: Optional<String>,
}

/// Where to go on, as the page before said.
pub struct PositionInput(Option<String>);

impl Input for PositionInput {
    type Raw = RawPosition;

    fn parse(raw: RawPosition, _: &mut Checks) -> Option<Self> {
        Some(Self(raw.cursor.0))
    }
}

/// Makes exports. Cheap to clone.
#[derive(Clone)]
pub struct Exports {
    rows: UserRows,
    cursors: Cursors,
    limiter: Limiter,
    limits: Limits,
    clock: Clock,
}

impl Exports {
    pub fn new(instance: &Instance) -> Self {
        Self {
            rows: instance.user_rows(),
            cursors: instance.cursors(),
            limiter: instance.limiter(),
            limits: instance.limits(),
            clock: instance.clock(),
        }
    }

    /// The page that begins after the row of the user's partition with this sort key; the first one
    /// has the rows outside of the partition too.
    async fn page(&self, user: UserId, after: Option<String>) -> Result<Page, ApiError> {
        let mut page = Page::new(self.clock.now());
        if after.is_none() {
            let profile = self.rows.profile(user).await?;
            // Gone since the session was looked at.
            let profile = profile.ok_or(Reason::SessionRevoked)?;
            let mut linked = pin!(self.rows.linked(user, Some(&profile)));
            page.add(&PROFILE, profile)?;
            while let Some(row) = linked.try_next().await? {
                page.add_row(row)?;
            }
        }
        let mut own = pin!(self.rows.own(user, after.as_deref()));
        let mut last: Option<String> = None;
        while let Some(row) = own.try_next().await? {
            let sk = row.sk().to_owned();
            if let Some(last) = last.filter(|_| page.is_full()) {
                page.next_cursor = Some(self.cursors.sign(LIST, &user, &last)?);
                break;
            }
            page.add_row(row)?;
            last = Some(sk);
        }
        Ok(page)
    }
}

pub async fn export(
    caller: AuthenticatedUser,
    State(exports): State<Exports>,
    Query(PositionInput(cursor)): Query<PositionInput>,
) -> Result<Response, ApiError> {
    let user = caller.claims.sub;
    let after = match &cursor {
        Some(cursor) => Some(exports.cursors.read(LIST, &user, cursor)?),
        None => None,
    };
    let Exports {
        limiter, limits, ..
    } = &exports;
    limiter.charge(Identity::User(user), limits.export).await?;
    let page = exports.page(user, after).await?;
    let mut response = Success(page).into_response();
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, DISPOSITION);
    Ok(response)
}
