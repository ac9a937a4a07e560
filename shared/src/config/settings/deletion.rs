//! The deletion of accounts.

use std::time::Duration;

use crate::{
    config::{Env, Period},
    settings,
};

settings! {
    /// The settings of deletions.
    pub DOCUMENTED in Accounts;

    DELETION_COOLING_DAYS: Period = Period::days(0, 0..=60),
        "how long an account that its user deletes is only barred, and can be called back by a login; 0: it is deleted at once",
        "用户注销账号后的冷静期：期间账号仅被冻结，再次登录时可撤销注销；0 表示立即删除";
    SAGA_RETENTION_DAYS: Period = Period::days(30, 1..=3650),
        "how long it stays on record that a deletion was carried out, without whose it was",
        "注销完成记录的保留时间（不含用户身份）";
}

/// The deletion of accounts.
pub struct DeletionSettings {
    /// `DELETION_COOLING_DAYS`: how long an account is only barred.
    pub deletion_cooling: Duration,
    /// `SAGA_RETENTION_DAYS`: how long the row of a saga that ended is kept.
    pub saga_retention: Duration,
}

impl DeletionSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            deletion_cooling: DELETION_COOLING_DAYS.read(env),
            saga_retention: SAGA_RETENTION_DAYS.read(env),
        }
    }
}
