//! The settings, each declared beside what reads it; one file for each part that has some.

mod accounts;
mod audit;
mod avatars;
mod breaker;
mod cache;
mod consents;
mod content_check;
mod data_keys;
mod deletion;
mod dynamo;
mod edge;
mod limits;
mod messages;
mod metrics;
mod nicknames;
mod phone_numbers;
mod process;
mod proxies;
mod queues;
mod redis;
mod sessions;
mod signing_keys;
mod tokens;
mod transport_keys;
mod user_data;
mod webhooks;
mod wechat;

use signing_keys::signing_keys;

use super::Documented;

pub(super) use self::process::PARAMETERS_SECRETS_EXTENSION_HTTP_PORT;
pub use self::{
    accounts::administrators,
    audit::audit_retention,
    avatars::{
        AVATAR_BASE_URL, AVATAR_BUCKET, AWS_ENDPOINT_URL_S3, AvatarHosts, AvatarSettings,
        ObjectSettings,
    },
    breaker::BreakerSettings,
    cache::{CacheSettings, CodeCacheSettings, ConfigCacheSettings},
    consents::{ConsentSettings, RequiredConsent},
    content_check::{ContentCheckSettings, OnFailure},
    data_keys::{DATA_KEYS, DataKey, DataKeySettings, LOCAL_DATA_KEYS},
    deletion::DeletionSettings,
    dynamo::{
        AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION, AWS_SECRET_ACCESS_KEY,
        AWS_SESSION_TOKEN, DynamoSettings,
    },
    edge::EdgeSettings,
    limits::{Limit, LimitSettings},
    messages::{
        MESSAGE_QUEUE_URL, MessageSettings, MessageTemplates, USER_MESSAGES, grant_retention,
        message_queue, message_retention,
    },
    metrics::MetricsSettings,
    nicknames::NicknameMin,
    phone_numbers::PhoneNumberSettings,
    process::ProcessSettings,
    proxies::ProxySettings,
    queues::QueueSettings,
    redis::{IamSettings, REDIS_IAM_USER, REDIS_URL, RedisMode, RedisSettings},
    sessions::SessionSettings,
    signing_keys::KeyDocument,
    tokens::{JWT_SECRETS, LOCAL_JWT_SECRET, TokenSettings},
    transport_keys::{Pkcs8Key, TransportSettings},
    user_data::UserDataSettings,
    webhooks::{WEBHOOK_QUEUE_URL, WebhookSettings},
    wechat::{WECHAT_APPIDS, WECHAT_BASE_URL, WECHAT_SECRETS, WeChatSettings, app_ids},
};
pub(crate) use self::{
    limits::{
        RATE_LIMIT_AVATAR, RATE_LIMIT_CODES, RATE_LIMIT_EXPORT, RATE_LIMIT_GUEST, RATE_LIMIT_LOGIN,
        RATE_LIMIT_LOGIN_FAILURES, RATE_LIMIT_MESSAGES, RATE_LIMIT_REFRESH, RATE_LIMIT_SEALED,
        RATE_LIMIT_USER, RATE_LIMIT_WECHAT,
    },
    signing_keys::JWT_KEYS,
};

/// All settings of this crate, for the documents; within a section in the order in which they are
/// shown.
pub static DOCUMENTED: [&[Documented]; 28] = [
    wechat::DOCUMENTED,
    user_data::DOCUMENTED,
    nicknames::DOCUMENTED,
    content_check::DOCUMENTED,
    accounts::DOCUMENTED,
    consents::DOCUMENTED,
    deletion::DOCUMENTED,
    audit::DOCUMENTED,
    phone_numbers::DOCUMENTED,
    avatars::DOCUMENTED,
    webhooks::DOCUMENTED,
    messages::DOCUMENTED,
    tokens::DOCUMENTED,
    signing_keys::DOCUMENTED,
    sessions::DOCUMENTED,
    data_keys::DOCUMENTED,
    transport_keys::DOCUMENTED,
    process::ENCRYPTION,
    dynamo::DOCUMENTED,
    redis::DOCUMENTED,
    cache::DOCUMENTED,
    limits::DOCUMENTED,
    breaker::DOCUMENTED,
    edge::DOCUMENTED,
    proxies::DOCUMENTED,
    process::REQUESTS,
    process::TELEMETRY,
    metrics::DOCUMENTED,
];

#[cfg(test)]
mod tests;
