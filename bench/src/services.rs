//! The services that the functions run against.

use aws_sdk_dynamodb::Client;
use e2e::{redis_server::RedisServer, settings::Settings};
use local::database_client;

use crate::backends::Backends;

/// Redis, DynamoDB and WeChat on loopback, each in a process of its own.
#[derive(Debug)]
pub struct Services {
    redis: RedisServer,
    backends: Backends,
    /// The environment variables that point to them.
    pub settings: Settings,
}

impl Services {
    /// Starts all of them.
    pub async fn start() -> Self {
        let redis = RedisServer::start().await;
        let backends = Backends::start().await;
        let settings =
            Settings::new(&backends.dynamodb_url, &backends.wechat_url).redis(&redis.url());
        Self {
            redis,
            backends,
            settings,
        }
    }

    /// The Redis server.
    #[must_use]
    pub fn redis(&self) -> &RedisServer {
        &self.redis
    }

    /// The ports of DynamoDB and WeChat.
    #[must_use]
    pub fn http_ports(&self) -> (u16, u16) {
        let port = |url: &str| url.rsplit(':').next().unwrap().parse().unwrap();
        (
            port(&self.backends.dynamodb_url),
            port(&self.backends.wechat_url),
        )
    }

    /// A client of the table.
    #[must_use]
    pub fn table(&self) -> Client {
        database_client(&self.backends.dynamodb_url)
    }
}
