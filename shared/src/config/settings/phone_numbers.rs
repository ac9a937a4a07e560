//! Phone numbers that another user has.

use std::time::Duration;

use crate::{
    config::{Env, Period, Words},
    settings,
};

settings! {
    /// The settings of phone numbers.
    pub DOCUMENTED in Accounts;

    PHONE_CONFLICT: Words<bool> = Words::new(&["resolve", "refuse"], &[true, false], 0),
        "when a user shares a number that is bound to another user: `resolve` offers to merge the two accounts or to move the number, which is only safe with the real-time phone number button; `refuse` only refuses",
        "用户授权的手机号已绑定其他账号时：`resolve` 允许合并账号或换绑号码，仅在使用手机号实时验证组件时才安全；`refuse` 直接拒绝";
    PHONE_RECYCLE_DAYS: Period = Period::days(90, 1..=3650),
        "a user who was not active for longer is taken to have lost the number to another person: it can be moved, and the accounts are not merged",
        "原绑定用户超过此天数未活跃，视为号码已被运营商重新分配：只换绑号码，不合并账号";
}

/// Phone numbers that another user has.
pub struct PhoneNumberSettings {
    /// `PHONE_CONFLICT`: whether a user who shares such a number is offered to resolve that.
    pub resolves: bool,
    /// `PHONE_RECYCLE_DAYS`: after how long without activity a number counts as given to somebody
    /// else.
    pub recycled_after: Duration,
}

impl PhoneNumberSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            resolves: PHONE_CONFLICT.read(env),
            recycled_after: PHONE_RECYCLE_DAYS.read(env),
        }
    }
}
