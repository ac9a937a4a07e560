//! `GET /_playground/about`: what this backend is, as far as the page has to know.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use shared::{
    api::Success,
    config::{BreakerSettings, Env, WECHAT_APPIDS, WeChatSettings},
};

use super::Playground;
use crate::settings::Settings;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    version: &'static str,
    /// Whether WeChat is simulated: without the simulator the page has no phone.
    simulated: bool,
    app_ids: Vec<String>,
    /// Whether the page may make administrators: only where nothing is to be gained. With a real WeChat
    /// or another table, these are users of a real mini-program, and what makes administrators of them is
    /// an operator's command.
    pub(super) makes_administrators: bool,
    /// Whether pictures are kept by this process: the page uploads nowhere else.
    stores_pictures: bool,
    breaker: BreakerRules,
}

/// When the circuit breaker opens, and for how long.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct BreakerRules {
    min_calls: u32,
    failure_percent: u32,
    slow_ms: u128,
    open_ms: u128,
    /// How long a call waits for WeChat.
    timeout_ms: u128,
}

impl About {
    pub(super) fn new(env: &Env, settings: &Settings) -> Self {
        let breaker = BreakerSettings::read(env);
        let app_ids = WECHAT_APPIDS.entries(env);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            simulated: settings.simulate_wechat,
            app_ids: app_ids.map(str::to_owned).collect(),
            makes_administrators: settings.simulate_wechat && settings.dynamodb_endpoint.is_none(),
            stores_pictures: settings.store_objects,
            breaker: BreakerRules {
                min_calls: breaker.min_calls,
                failure_percent: breaker.ratio_percent,
                slow_ms: breaker.slow_call.as_millis(),
                open_ms: breaker.open_min.as_millis(),
                timeout_ms: WeChatSettings::read(env).timeout.as_millis(),
            },
        }
    }
}

pub(super) async fn about(State(playground): State<Arc<Playground>>) -> Success<About> {
    Success(playground.about.clone())
}
