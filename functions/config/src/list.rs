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
#[serde(deny_unknown_fields)]
pub struct RawListQuery {
    #[serde(default)]
    limit: Optional<String>,
    #[serde(default)]
    cursor: Optional<String>,
}

/// Which of the values are on this page.
pub struct ListQuery {
    limit: usize,
    after: Option<ConfigKey>,
}

impl Input for ListQuery {
    type Raw = RawListQuery;

    /// A cursor is the last key of the page before. It holds nothing that could be forged: whoever may
    /// list the keys may begin at any.
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
