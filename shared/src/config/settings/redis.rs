//! The Redis that instances share their state in.

use std::{fs, time::Duration};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::SecretString;

use super::DynamoSettings;
use crate::{
    config::{AwsCredentials, Env, Optional, Period, Setting, Words},
    settings,
};

settings! {
    /// The settings of Redis.
    pub DOCUMENTED in Redis;

    pub REDIS_URL: Optional = Optional::new("a redis:// or rediss:// URL; of a cluster one or more, separated by commas"),
        "the Redis that instances share their state in, with user and password where needed; of a cluster one or more nodes. Not set: on Lambda nothing is cached ([state.md](state.md))",
        "各实例共享状态所用的 Redis，需要时带用户名和密码；集群可写一个或多个节点。未设置时在 Lambda 上不做缓存（见 [state.md](../state.md)，英文）",
        wanted_zh("`redis://` 或 `rediss://` 地址；集群可写多个，逗号分隔"), example("redis://127.0.0.1:6379");
    REDIS_MODE: Words<RedisMode> = Words::new(
        &["standalone", "cluster"],
        &[RedisMode::Standalone, RedisMode::Cluster],
        0,
    ),
        "one server, or a cluster (ElastiCache Serverless is one)",
        "单个服务器，或集群（ElastiCache Serverless 属于集群）";
    pub REDIS_IAM_USER: Optional = Optional::new("the id of a user, which is its name too; needs REDIS_IAM_CACHE, and as REDIS_URL a `rediss://` URL without user and password"),
        "the user of ElastiCache Serverless that IAM authenticates: passwords are then signatures by the function's role",
        "由 IAM 认证的 ElastiCache Serverless 用户：以函数角色的签名代替密码",
        wanted_zh("用户 ID（与用户名相同）；须同时设置 REDIS_IAM_CACHE，且 REDIS_URL 为不带用户名和密码的 `rediss://` 地址"), unset("not set: user and password are those of REDIS_URL", "未设置：使用 REDIS_URL 中的用户名和密码"), example("weapp-functions");
    REDIS_IAM_CACHE: Optional = Optional::new("the cache's name in lower case; needs REDIS_IAM_USER"),
        "the ElastiCache Serverless cache of this user",
        "该用户所属的 ElastiCache Serverless 缓存",
        wanted_zh("缓存名，小写；须同时设置 REDIS_IAM_USER"), example("weapp");
    REDIS_CA_CERT: Optional = Optional::new("a certificate as PEM, or the name of a file with one"),
        "the authority that signed the certificate of a `rediss://` server",
        "`rediss://` 服务器证书的签发者",
        wanted_zh("PEM 内容，或存放 PEM 的文件名"), unset("not set: those that browsers trust", "未设置：浏览器信任的 CA"), example("/etc/ssl/redis-ca.pem");
    REDIS_TIMEOUT_MS: Period = Period::milliseconds(50, 5..=5000),
        "how long a request waits for Redis in all, then it goes on without: lookups and best-effort writes of a request share it; a required write (a first use, how a claim ended, a revocation, an invalidation, a breaker report, returning a lock) has the same time of its own",
        "一个请求等待 Redis 的总时限，用完后不再依赖 Redis：查询和尽力而为的写入共用这一时限；必须送达的写入（首次使用、幂等结果、会话吊销、缓存失效、熔断上报、归还锁）另有同样长的时限";
}

/// How many servers hold the keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RedisMode {
    /// One, perhaps with replicas behind the same name.
    #[default]
    Standalone,
    /// Several, each with some of the keys.
    Cluster,
}

/// Where Redis is, and how it is reached.
pub struct RedisSettings {
    /// `REDIS_URL`: of a cluster one or more of its nodes, separated by commas; user, password and
    /// TLS of the first apply to all.
    pub url: SecretString,
    /// `REDIS_MODE`.
    pub mode: RedisMode,
    /// `REDIS_CA_CERT`: the authority that signed a `rediss://` server's certificate, as PEM. `None`:
    /// one that browsers trust.
    pub ca: Option<Vec<u8>>,
    /// Who gives out the passwords. `None`: the URL has one, or needs none.
    pub iam: Option<IamSettings>,
    /// `REDIS_TIMEOUT_MS`: how long a request may wait for Redis in all.
    pub timeout: Duration,
}

/// A user of ElastiCache that IAM authenticates.
pub struct IamSettings {
    /// `REDIS_IAM_USER`.
    pub user: String,
    /// `REDIS_IAM_CACHE`.
    pub cache: String,
    /// `AWS_REGION`.
    pub region: String,
    /// Those of DynamoDB.
    pub credentials: AwsCredentials,
}

impl RedisSettings {
    /// Reads the settings; config errors are recorded in `env`. `None` where there is no Redis.
    #[must_use]
    pub fn read(env: &Env) -> Option<Self> {
        let (mode, ca, timeout) = (REDIS_MODE.read(env), ca(env), REDIS_TIMEOUT_MS.read(env));
        let iam = iam(env);
        let url = REDIS_URL.get(env)?;
        match mode {
            RedisMode::Standalone if url.into_connection_info().is_err() => {
                REDIS_URL.add_error(env, "is not a redis:// or rediss:// URL");
            }
            RedisMode::Cluster if !url.split(',').all(is_node) => {
                let what = "is not one or more redis:// or rediss:// URLs without a database";
                REDIS_URL.add_error(env, what);
            }
            _ if iam.is_some() && !url.split(',').all(has_no_login) => {
                let what =
                    "is not a rediss:// URL without user and password, as REDIS_IAM_USER needs it";
                REDIS_URL.add_error(env, what);
            }
            RedisMode::Standalone | RedisMode::Cluster => {}
        }
        Some(Self {
            url: url.into(),
            mode,
            ca,
            iam,
            timeout,
        })
    }
}

fn iam(env: &Env) -> Option<IamSettings> {
    let is_cache = |name: &str| {
        name.bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let is_user = |id: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        id.bytes().all(fits)
    };
    let user = iam_name(env, &REDIS_IAM_USER, is_user);
    let cache = iam_name(env, &REDIS_IAM_CACHE, is_cache);
    let (user, cache) = match (user, cache) {
        (None, None) => return None,
        (Some(user), Some(cache)) => (user, cache),
        (None, Some(_)) => {
            REDIS_IAM_USER.add_error(env, "is not set; it is needed with REDIS_IAM_CACHE");
            return None;
        }
        (Some(_), None) => {
            REDIS_IAM_CACHE.add_error(env, "is not set; it is needed with REDIS_IAM_USER");
            return None;
        }
    };
    let DynamoSettings {
        region,
        credentials,
        ..
    } = DynamoSettings::read(env);
    Some(IamSettings {
        user,
        cache,
        region,
        credentials,
    })
}

fn iam_name(
    env: &Env,
    setting: &Setting<Optional>,
    fits: impl FnOnce(&str) -> bool,
) -> Option<String> {
    let name = setting.get(env)?.trim();
    if !fits(name) {
        setting.add_error(env, "can't be read; wanted: letters, digits and hyphens");
    }
    Some(name.to_owned())
}

/// IAM authenticates only over TLS.
fn has_no_login(url: &str) -> bool {
    let fits = |info: ConnectionInfo| {
        let (is_tls, redis) = (
            matches!(info.addr(), ConnectionAddr::TcpTls { .. }),
            info.redis_settings(),
        );
        is_tls && redis.username().is_none() && redis.password().is_none()
    };
    url.trim().into_connection_info().is_ok_and(fits)
}

/// There are no Unix sockets in a cluster, and only one database.
fn is_node(url: &str) -> bool {
    let fits = |info: ConnectionInfo| {
        let is_remote = matches!(
            info.addr(),
            ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. }
        );
        is_remote && info.redis_settings().db() == 0
    };
    url.trim().into_connection_info().is_ok_and(fits)
}

fn ca(env: &Env) -> Option<Vec<u8>> {
    let value = REDIS_CA_CERT.get(env)?;
    let pem = if value.contains("-----BEGIN") {
        Some(value.to_owned())
    } else {
        fs::read_to_string(value).ok()
    };
    let pem = pem.filter(|pem| is_certificate(pem));
    if pem.is_none() {
        REDIS_CA_CERT.add_error(env, "is neither a certificate as PEM nor a file with one");
    }
    pem.map(String::into_bytes)
}

fn is_certificate(pem: &str) -> bool {
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(pem.as_bytes().to_vec()),
    };
    pem.contains("-----BEGIN CERTIFICATE-----")
        && Client::build_with_tls("rediss://localhost", certificates).is_ok()
}
