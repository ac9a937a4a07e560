//! The addresses of Redis, and how to connect to them.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates,
    io::tcp::TcpSettings,
};
use secrecy::ExposeSecret;

use super::{command::unavailable, iam::IamUser};
use crate::{
    config::{RedisMode, RedisSettings},
    kv::KvError,
};

/// A node's host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Where Redis is: the addresses in the URL, and the settings that all connections share. It has no
/// `Debug`, because it holds credentials.
pub(super) struct Target {
    pub(super) addresses: Vec<Address>,
    base: ConnectionInfo,
    iam: Option<Arc<IamUser>>,
}

/// One server, to be connected to.
pub(super) struct Server {
    client: Client,
    iam: Option<Arc<IamUser>>,
}

impl Target {
    /// What the settings say.
    ///
    /// # Errors
    /// When a URL or a certificate can't be used. The text can contain a password: it must not be
    /// shown.
    pub(super) fn parse(settings: &RedisSettings) -> RedisResult<Self> {
        let urls: Vec<_> = match settings.mode {
            RedisMode::Standalone => vec![settings.url.expose_secret()],
            RedisMode::Cluster => settings
                .url
                .expose_secret()
                .split(',')
                .map(str::trim)
                .collect(),
        };
        let ca = settings.ca.as_deref();
        let infos = urls
            .into_iter()
            .map(|url| connection_info(url, ca))
            .collect::<RedisResult<Vec<_>>>()?;
        let addresses = infos
            .iter()
            .filter_map(|info| Address::of(info.addr()))
            .collect();
        Ok(Self {
            addresses,
            base: infos.into_iter().next().ok_or_else(unusable)?,
            iam: settings.iam.as_ref().map(|iam| Arc::new(IamUser::new(iam))),
        })
    }

    /// The first server of the URL.
    pub(super) fn first(&self) -> RedisResult<Server> {
        self.server(self.base.clone())
    }

    /// The server at this address.
    pub(super) fn at(&self, address: &Address) -> RedisResult<Server> {
        let (host, port) = (address.host.clone(), address.port);
        let address = match self.base.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.server(self.base.clone().set_addr(address))
    }

    fn server(&self, info: ConnectionInfo) -> RedisResult<Server> {
        Ok(Server {
            client: Client::open(info)?,
            iam: self.iam.clone(),
        })
    }
}

impl Server {
    /// What makes a connection now: with a password of this moment where IAM gives them out.
    ///
    /// # Errors
    /// When there is no password.
    pub(super) fn client(&self, now: Timestamp) -> Result<Cow<'_, Client>, KvError> {
        let Some(iam) = &self.iam else {
            return Ok(Cow::Borrowed(&self.client));
        };
        let (info, password) = (self.client.get_connection_info(), iam.password(now)?);
        let login = info.redis_settings().clone().set_username(iam.name());
        let login = login.set_password(password.expose_secret());
        let client = Client::open(info.clone().set_redis_settings(login));
        client.map(Cow::Owned).map_err(unavailable)
    }
}

fn connection_info(url: &str, ca: Option<&[u8]>) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    let info = match (ca, info.addr()) {
        (Some(ca), ConnectionAddr::TcpTls { .. }) => {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(ca.to_vec()),
            };
            Client::build_with_tls(info, certificates)?
                .get_connection_info()
                .clone()
        }
        _ => info,
    };
    // The library's name in the server's list of clients would cost each new connection a round trip.
    let redis = info.redis_settings().clone().set_skip_set_lib_name();
    // Without NODELAY a command can wait for the acknowledgement of the one before it.
    Ok(info
        .set_redis_settings(redis)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

impl Address {
    fn of(address: &ConnectionAddr) -> Option<Self> {
        match address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Self {
                    host: host.clone(),
                    port: *port,
                })
            }
            _ => None,
        }
    }

    /// From a redirection, `host:port`. A node without a known host name leaves the host out, which
    /// then is that of the node that was asked.
    pub(super) fn parse(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if host.is_empty() { &asked.host } else { host };
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

pub(super) fn unusable() -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, "no usable REDIS_URL").into()
}
