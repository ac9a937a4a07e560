//! The settings, each documented beside its variable; one file for each part that has some.

mod breaker;
mod data_keys;
mod dynamo;
mod edge;
mod limits;
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
    data_keys::{DataKey, LOCAL_DATA_KEYS},
    dynamo::DynamoSettings,
    edge::EdgeSettings,
    limits::{Limit, LimitSettings},
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

/// A setting in seconds.
#[must_use]
pub fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

/// A setting in milliseconds.
#[must_use]
pub fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

#[cfg(test)]
mod tests;
