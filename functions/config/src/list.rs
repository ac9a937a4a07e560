//! `GET /api/v1/config`, for administrators: which values there are. The values themselves are read one
//! by one.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Optional, Query, Rule, Success, page_limit},
    edge::Administrator,
};

use crate::{
    key::ConfigKey,
    store::{ConfigPage, ConfigSummary, RemoteConfig},
};

#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ConfigListQuery")
)]
#[serde(deny_unknown_fields)]
pub struct RawListQuery {
    /// Values on a page.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "usize", range(min = 1, max = shared::api::MAX_PAGE_LIMIT), extend("default" = shared::api::DEFAULT_PAGE_LIMIT)))]
    limit: Optional<String>,
    /// The `cursor` of the page before this one.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "ConfigKey"))]
    cursor: Optional<String>,
}

/// Which of the values are on this page.
pub struct ListQuery {
    limit: usize,
    after: Option<ConfigKey>,
}

impl Input for ListQuery {
    type Raw = RawListQuery;

    /// A cursor is the last key of the page before. There is nothing to forge in it: a caller who
    /// may list the keys may begin at any.
    fn parse(raw: RawListQuery, checks: &mut Checks) -> Option<Self> {
        let limit = page_limit(raw.limit.0.as_deref(), checks);
        let after = match raw.cursor.0 {
            Some(text) => checks
                .field("cursor", Rule::Cursor, text.parse().ok())
                .map(Some),
            None => Some(None),
        };
        Some(Self {
            limit: limit?,
            after: after?,
        })
    }
}

/// A page of the list.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConfigList {
    values: Vec<ConfigSummary>,
    /// Where the next page begins; null on the last one.
    cursor: Option<ConfigKey>,
}

pub async fn list(
    _caller: Administrator,
    State(remote_config): State<RemoteConfig>,
    Query(query): Query<ListQuery>,
) -> Result<Success<ConfigList>, ApiError> {
    let page = remote_config.page(query.limit, query.after.as_ref()).await;
    let ConfigPage { values, next } = page?;
    Ok(Success(ConfigList {
        values,
        cursor: next,
    }))
}
