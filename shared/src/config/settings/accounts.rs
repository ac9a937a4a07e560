//! Accounts: who administers them.

use crate::{
    config::{Env, List},
    ids::UserId,
    settings,
};

settings! {
    /// The settings of accounts.
    pub DOCUMENTED in Accounts;

    ADMINS: List = List::optional("user ids, separated by commas"),
        "users who are administrators whatever their `role` says; a disabled one is not",
        "管理员的用户 ID，与用户的 `role` 无关；被停用的用户除外",
        wanted_zh("用户 ID，逗号分隔"), unset("not set: only users with the role `admin`", "未设置：只有 `role` 为 `admin` 的用户"),
        example("0193c0de-0000-7000-8000-00000000abcd");
}

/// `ADMINS`: the users who are administrators by configuration; config errors are recorded in `env`.
pub fn administrators(env: &Env) -> Vec<UserId> {
    let parse = |(index, text): (usize, &str)| {
        let id = text.parse().ok();
        if id.is_none() {
            ADMINS.add_entry_error(env, index, "is not a user id");
        }
        id
    };
    let ids = ADMINS.read(env).into_iter().enumerate();
    ids.filter_map(parse).collect()
}
