//! The audit trail.

use std::time::Duration;

use crate::{
    config::{Env, Period},
    settings,
};

settings! {
    /// The settings of the audit trail.
    pub DOCUMENTED in Accounts;

    AUDIT_DAYS: Period = Period::days(190, 1..=3650),
        "how long the entries of an account's audit trail are kept; Chinese law wants network logs kept for at least six months",
        "账号活动记录的保留时间；《网络安全法》要求网络日志至少留存六个月";
}

/// `AUDIT_DAYS`: how long entries are kept.
#[must_use]
pub fn audit_retention(env: &Env) -> Duration {
    AUDIT_DAYS.read(env)
}
