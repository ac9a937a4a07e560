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
    PHONE_PROOF_DAYS: Period = Period::days(0, 0..=3650),
        "for how long after a user last shared their number another person who shares it is offered to merge the accounts; after that, and where it is not known when they did, nothing is offered while the user is active; 0: as long as the user is active",
        "绑定该号码的用户最后一次授权号码后，在此天数之内，其他授权该号码的用户可以选择合并账号；超过此天数或授权时间未知，且该用户仍活跃时，不提供选项；0：只要该用户活跃就可合并";
}

/// Phone numbers that another user has.
pub struct PhoneNumberSettings {
    /// `PHONE_CONFLICT`: whether a user who shares such a number is offered to resolve that.
    pub resolves: bool,
    /// `PHONE_RECYCLE_DAYS`: after how long without activity a number counts as given to somebody
    /// else.
    pub recycled_after: Duration,
    /// `PHONE_PROOF_DAYS`: for how long a user who shared a number still counts as its holder in a
    /// merge; zero for as long as they are active.
    pub proven_within: Duration,
}

impl PhoneNumberSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            resolves: PHONE_CONFLICT.read(env),
            recycled_after: PHONE_RECYCLE_DAYS.read(env),
            proven_within: PHONE_PROOF_DAYS.read(env),
        }
    }
}
