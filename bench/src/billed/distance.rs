//! Stores and WeChat at a distance.

use std::time::Duration;

use e2e::{
    settings::Settings,
    wire_proxy::{Fault, WireProxy},
};

use crate::services::Services;

/// How long a round trip takes, beside what the service itself needs.
#[derive(Debug, Clone, Copy)]
pub struct Distances {
    pub redis: Duration,
    pub dynamodb: Duration,
    pub wechat: Duration,
}

/// Services behind proxies that pass requests on later.
#[derive(Debug)]
pub struct FarServices {
    _proxies: [WireProxy; 3],
    /// The environment variables that point to them.
    pub settings: Settings,
}

impl FarServices {
    /// Puts proxies in front of these services.
    pub async fn start(services: &Services, distances: Distances) -> Self {
        let (dynamodb, wechat) = services.http_ports();
        let redis = WireProxy::redis(services.redis().port()).await;
        let dynamodb = WireProxy::http(dynamodb).await;
        let wechat = WireProxy::http(wechat).await;
        for (proxy, latency) in [
            (&redis, distances.redis),
            (&dynamodb, distances.dynamodb),
            (&wechat, distances.wechat),
        ] {
            proxy.set(Fault::Latency(latency)).await;
        }
        let settings = services
            .settings
            .clone()
            .redis(&services.redis().url_via(redis.port()))
            .with("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb.http_url())
            .with("WECHAT_BASE_URL", &wechat.http_url());
        Self {
            _proxies: [redis, dynamodb, wechat],
            settings,
        }
    }
}
