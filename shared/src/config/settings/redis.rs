//! The Redis that instances share their state in.

use std::{fs, time::Duration};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::SecretString;

use crate::{
    config::{Env, Optional, Period, Words},
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
    /// `REDIS_TIMEOUT_MS`: how long a request may wait for Redis in all.
    pub timeout: Duration,
}

impl RedisSettings {
    /// Reads the settings; config errors are recorded in `env`. `None` where there is no Redis.
    #[must_use]
    pub fn read(env: &Env) -> Option<Self> {
        let (mode, ca, timeout) = (REDIS_MODE.read(env), ca(env), REDIS_TIMEOUT_MS.read(env));
        let url = REDIS_URL.get(env)?;
        match mode {
            RedisMode::Standalone if url.into_connection_info().is_err() => {
                REDIS_URL.add_error(env, "is not a redis:// or rediss:// URL");
            }
            RedisMode::Cluster if !url.split(',').all(is_node) => {
                let what = "is not one or more redis:// or rediss:// URLs without a database";
                REDIS_URL.add_error(env, what);
            }
            RedisMode::Standalone | RedisMode::Cluster => {}
        }
        Some(Self {
            url: url.into(),
            mode,
            ca,
            timeout,
        })
    }
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
