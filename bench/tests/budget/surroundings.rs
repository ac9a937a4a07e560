//! What the functions talk to, fresh, and the settings that lead there.

use bench::{requests::Requests, wechat};
use e2e::{
    binaries, dynamodb::DynamoDb, redis_server::RedisServer, settings::Settings,
    wire_proxy::WireProxy,
};

/// So many times the measured requests are sent before: the first login creates a user, and the second
/// one reads their sessions once.
pub const WARM_UP: usize = 2;

/// Redis, DynamoDB and WeChat. Their servers run on threads of their own.
pub struct Surroundings {
    pub redis: WireProxy,
    pub dynamodb: WireProxy,
    pub wechat: WireProxy,
    /// Past the proxies.
    pub direct: Settings,
    /// Through them.
    pub proxied: Settings,
    _redis: RedisServer,
    _dynamodb: DynamoDb,
}

impl Surroundings {
    pub async fn start() -> Self {
        let (server, table) = (RedisServer::start().await, DynamoDb::start().await);
        let wechat_address = wechat::serve();
        let (redis, dynamodb, wechat) = (
            WireProxy::redis(server.port()).await,
            WireProxy::http(table.port()).await,
            WireProxy::http(wechat_address.port()).await,
        );
        // A slow machine must not count as degraded.
        let settings = |dynamodb: &str, wechat: &str, redis: &str| {
            Settings::new(dynamodb, wechat)
                .redis(redis)
                .with("REDIS_TIMEOUT_MS", "5000")
        };
        Self {
            direct: settings(
                &table.url(),
                &format!("http://{wechat_address}"),
                &server.url(),
            ),
            proxied: settings(
                &dynamodb.http_url(),
                &wechat.http_url(),
                &server.url_via(redis.port()),
            ),
            redis,
            dynamodb,
            wechat,
            _redis: server,
            _dynamodb: table,
        }
    }

    /// The requests to a function; logins are those of this many users in turn.
    pub async fn requests(&self, function: &str, users: usize) -> Requests {
        let users = u64::try_from(users).unwrap();
        Requests::of(function, binaries::path("login"), &self.direct, users).await
    }
}
