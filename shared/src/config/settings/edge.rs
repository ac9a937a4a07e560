//! What every request passes.

use std::time::Duration;

use http::HeaderValue;

use super::milliseconds;
use crate::config::Env;

/// What every request passes.
pub struct EdgeSettings {
    /// `REQUEST_TIMEOUT_MS`: a request that takes longer is answered 504, 100 ms to 29 s. Default
    /// 8000.
    pub timeout: Duration,
    /// `MAX_CONCURRENCY`: requests that an instance works on at the same time, 1 to 65535; one more
    /// is answered 503 at once. Default 256. Where Lambda gives an instance one event at a time it
    /// is never reached.
    pub max_concurrency: u32,
    /// `CORS_ORIGINS`: comma list of origins that browsers may call from, or `*`. Mini-programs
    /// need none. Default none.
    pub cors_origins: Vec<HeaderValue>,
}

impl EdgeSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let origin = |(index, text): (usize, &str)| {
            let value = HeaderValue::from_str(text).ok();
            if value.is_none() || !(text == "*" || text.contains("://")) {
                let what = format!(
                    "entry {} is not an origin such as https://example.com",
                    index + 1
                );
                env.problem("CORS_ORIGINS", what);
            }
            value
        };
        Self {
            timeout: milliseconds(env.number("REQUEST_TIMEOUT_MS", 8000, 100..=29_000)),
            max_concurrency: env.number("MAX_CONCURRENCY", 256, 1..=65_535),
            cors_origins: env
                .list("CORS_ORIGINS")
                .enumerate()
                .filter_map(origin)
                .collect(),
        }
    }
}
