//! The Redis that instances share their state in.

use std::{fs, time::Duration};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::SecretString;

use super::milliseconds;
use crate::config::Env;

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
    /// `REDIS_URL`: `redis://` or `rediss://` with user and password where needed; of a cluster one
    /// or more of its nodes, separated by commas, where user, password and TLS of the first hold
    /// for all. Not set: nothing is cached between requests (DynamoDB is asked each time), and a
    /// login is idempotent within one instance only.
    pub url: SecretString,
    /// `REDIS_MODE`: `standalone` or `cluster`. Default `standalone`.
    pub mode: RedisMode,
    /// `REDIS_CA_CERT`: who has to have signed a `rediss://` server's certificate, as PEM or as the
    /// name of a file with PEM. Not set: somebody whom browsers trust.
    pub ca: Option<Vec<u8>>,
    /// `REDIS_TIMEOUT_MS`: how long a request may wait for Redis, all its questions together,
    /// before it goes on without, 5 ms to 5 s. Default 50.
    pub timeout: Duration,
}

impl RedisSettings {
    /// Reads the settings; problems are recorded in `env`. None where there is no Redis.
    #[must_use]
    pub fn read(env: &Env) -> Option<Self> {
        const NAME: &str = "REDIS_URL";
        let (mode, ca) = (mode(env), ca(env));
        let timeout = milliseconds(env.number("REDIS_TIMEOUT_MS", 50, 5..=5000));
        let url = env.get(NAME)?;
        match mode {
            RedisMode::Standalone if url.into_connection_info().is_err() => {
                env.problem(NAME, "is not a redis:// or rediss:// URL");
            }
            RedisMode::Cluster if !url.split(',').all(is_node) => {
                env.problem(
                    NAME,
                    "is not one or more redis:// or rediss:// URLs without a database",
                );
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

fn mode(env: &Env) -> RedisMode {
    const NAME: &str = "REDIS_MODE";
    match env.get(NAME) {
        None | Some("standalone") => RedisMode::Standalone,
        Some("cluster") => RedisMode::Cluster,
        Some(_) => {
            env.problem(NAME, "is neither standalone nor cluster");
            RedisMode::Standalone
        }
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
    const NAME: &str = "REDIS_CA_CERT";
    let value = env.get(NAME)?;
    let pem = if value.contains("-----BEGIN") {
        Some(value.to_owned())
    } else {
        fs::read_to_string(value).ok()
    };
    let pem = pem.filter(|pem| is_certificate(pem));
    if pem.is_none() {
        env.problem(NAME, "is neither a certificate as PEM nor a file with one");
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
