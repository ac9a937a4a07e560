//! How long sessions and their tokens live. Without the secrets that tokens are made with: a
//! function that only ends sessions is not given those.

use std::time::Duration;

use crate::{
    config::{Env, Number, Period},
    settings,
};

settings! {
    /// The settings of sessions.
    pub DOCUMENTED in Tokens;

    ACCESS_TOKEN_SECONDS: Period = Period::seconds(7200, 600..=86_400),
        "lifetime of an access token",
        "access token 的有效期";
    REFRESH_TOKEN_SECONDS: Period = Period::seconds(2_592_000, 3600..=31_536_000),
        "a session that is not refreshed for this long expires",
        "超过此时间未刷新，会话失效";
    REFRESH_GRACE_SECONDS: Period = Period::seconds(60, 0..=300),
        "how long a refresh token that was just used still gets the same successor; with 0, a client that missed the response has to log in again",
        "刚用过的 refresh token 在此时间内仍得到同一个新令牌；设为 0 时，没收到响应的客户端只能重新登录";
    MAX_SESSIONS: Number = Number::new(20, 1..=100),
        "active sessions of a user; a login beyond it ends the one that was not refreshed for the longest time",
        "每个用户的有效会话数；超过时，登录会结束最久未刷新的会话";
}

/// How long sessions and their tokens live.
pub struct SessionSettings {
    /// `ACCESS_TOKEN_SECONDS`. A repeated login or refresh gets the first one's token again for up to
    /// 5 min, so it lives longer than that.
    pub access_life: Duration,
    /// `REFRESH_TOKEN_SECONDS`: a session expires when it is not refreshed for this long.
    pub refresh_life: Duration,
    /// `REFRESH_GRACE_SECONDS`: how long the refresh token one step behind still gets its successor.
    pub refresh_grace: Duration,
    /// `MAX_SESSIONS`: living sessions of a user.
    pub max: usize,
}

impl SessionSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            access_life: ACCESS_TOKEN_SECONDS.read(env),
            refresh_life: REFRESH_TOKEN_SECONDS.read(env),
            refresh_grace: REFRESH_GRACE_SECONDS.read(env),
            max: usize::try_from(MAX_SESSIONS.read(env)).unwrap_or(usize::MAX),
        }
    }
}
