//! What becomes of people who turn out to have two accounts.

use shared::config::{Env, Words};

shared::settings! {
    /// The settings of this function, for the documents.
    pub DOCUMENTED in Accounts;

    UNION_CONFLICT: Words<bool> = Words::new(&["keep", "merge"], &[false, true], 0),
        "what happens when WeChat tells a user's union id and it is another user's: `keep` both accounts, or `merge` the newer one into the older one",
        "用户登录时微信给出的 UnionID 已属于另一账号时：`keep` 保留两个账号，`merge` 把较新的账号合并到较早的账号";
}

/// `UNION_CONFLICT`: whether such accounts are merged; config errors are recorded in `env`.
#[must_use]
pub fn merges_by_union_id(env: &Env) -> bool {
    UNION_CONFLICT.read(env)
}
