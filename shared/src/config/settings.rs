//! The settings, each documented beside its variable; one file for each part that has some.

mod breaker;
mod content_check;
mod data_keys;
mod dynamo;
mod edge;
mod limits;
mod message_push;
mod metrics;
mod proxies;
mod redis;
mod sessions;
mod shared_state;
mod signing_keys;
mod tokens;
mod transport_keys;
mod user_data;
mod wechat;

use std::time::Duration;

use data_keys::data_keys;
use signing_keys::signing_keys;

pub use self::{
    breaker::BreakerSettings,
    content_check::{ContentCheckSettings, OnFailure},
    data_keys::{DataKey, LOCAL_DATA_KEYS},
    dynamo::DynamoSettings,
    edge::EdgeSettings,
    limits::{Limit, LimitSettings},
    message_push::{LOCAL_PUSH_KEY, LOCAL_PUSH_TOKEN, MessagePushSettings, PushApp, push_key},
    metrics::MetricsSettings,
    proxies::ProxySettings,
    redis::{RedisMode, RedisSettings},
    sessions::SessionSettings,
    shared_state::CacheSettings,
    signing_keys::KeyDocument,
    tokens::{LOCAL_JWT_SECRET, TokenSettings},
    transport_keys::{Pkcs8Key, TransportSettings},
    user_data::UserDataSettings,
    wechat::{WeChatSettings, app_ids},
};

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

#[cfg(test)]
mod tests;
