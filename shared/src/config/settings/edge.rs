//! What every request passes.

use std::time::Duration;

use http::HeaderValue;

use crate::{
    config::{Env, List, Number, Period},
    settings,
};

settings! {
    /// The settings of what every request passes.
    pub DOCUMENTED in Requests;

    REQUEST_TIMEOUT_MS: Period = Period::milliseconds(8000, 100..=29_000),
        "a request that takes longer is answered 504; on Lambda at the latest 200 ms before the function's own timeout",
        "请求超过此时间即返回 504；在 Lambda 上最迟在函数自身超时前 200 毫秒";
    MAX_CONCURRENCY: Number = Number::new(256, 1..=65_535),
        "requests that an instance processes at once; one more is answered 503 immediately",
        "一个实例同时处理的请求数；超出的立即返回 503";
    CORS_ORIGINS: List = List::optional("origins such as https://example.com, or *"),
        "origins that browsers may call from; mini-programs need none",
        "允许哪些网页来源调用；小程序不需要",
        wanted_zh("来源（如 `https://example.com`），逗号分隔，或 `*`"), unset("not set: off", "未设置：关闭"), example("http://localhost:5173");
}

/// What every request passes.
pub struct EdgeSettings {
    /// `REQUEST_TIMEOUT_MS`: a request that takes longer is answered 504.
    pub timeout: Duration,
    /// `MAX_CONCURRENCY`: requests that an instance processes at the same time; one more is answered
    /// 503 immediately. Where Lambda gives an instance one event at a time it is never reached.
    pub max_concurrency: u32,
    /// `CORS_ORIGINS`: origins that browsers may call from, or `*`.
    pub cors_origins: Vec<HeaderValue>,
}

impl EdgeSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let origin = |(index, text): (usize, &str)| {
            let value = HeaderValue::from_str(text).ok();
            if value.is_none() || !(text == "*" || text.contains("://")) {
                let what = "is not an origin such as https://example.com";
                CORS_ORIGINS.add_entry_error(env, index, what);
            }
            value
        };
        let origins = CORS_ORIGINS.entries(env).enumerate();
        Self {
            timeout: REQUEST_TIMEOUT_MS.read(env),
            max_concurrency: MAX_CONCURRENCY.read(env),
            cors_origins: origins.filter_map(origin).collect(),
        }
    }
}
