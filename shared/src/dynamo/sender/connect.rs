//! Connections to DynamoDB: HTTP/1.1, pooled, on the one TLS stack of all clients.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use aws_sdk_dynamodb::error::BoxError;
use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, pki_types::TrustAnchor};
use tokio::{net::TcpStream, time::timeout};
use tower::Service;

/// Name resolution, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an idle connection is kept. One that the server has closed meanwhile, also while the
/// instance was frozen, is replaced when it is noticed, and a request that could not be written to
/// it goes out on a new one.
const POOL_IDLE: Duration = Duration::from_secs(90);

/// A client with its pool of connections.
pub(super) type HttpClient = Client<Connector, Full<Bytes>>;

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authorities {
    /// Nobody's: the endpoint is plain HTTP.
    None,
    /// Amazon's own, which signs the endpoints of its regions. Those in China are run by others.
    Amazon,
    /// Mozilla's list.
    Any,
}

/// A client whose connections are verified by `authorities`.
pub(super) fn http_client(authorities: Authorities) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls_config(authorities));
    let schemes = if authorities == Authorities::None {
        tls.https_or_http()
    } else {
        tls.https_only()
    };
    let connector = Connector(schemes.enable_http1().wrap_connector(tcp));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector)
}

fn tls_config(authorities: Authorities) -> ClientConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[expect(
        clippy::expect_used,
        reason = "start-up, and the provider supports its own versions"
    )]
    ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(RootCertStore {
            roots: roots(authorities),
        })
        .with_no_client_auth()
}

fn roots(authorities: Authorities) -> Vec<TrustAnchor<'static>> {
    let all = webpki_roots::TLS_SERVER_ROOTS.iter();
    match authorities {
        Authorities::None => Vec::new(),
        Authorities::Amazon => all.filter(|root| is_amazon(root)).cloned().collect(),
        Authorities::Any => all.cloned().collect(),
    }
}

/// Amazon Trust Services' roots, and Starfield's, which cross-sign them: all that AWS's own
/// endpoints use.
fn is_amazon(root: &TrustAnchor<'_>) -> bool {
    let subject: &[u8] = &root.subject;
    ["Amazon Root CA", "Starfield Services Root"]
        .iter()
        .any(|name| {
            subject
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        })
}

/// Connects within [`CONNECT`].
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.0.call(uri);
        Box::pin(async move { timeout(CONNECT, connection).await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_authorities_are_five_and_any_are_many() {
        assert_eq!(roots(Authorities::None).len(), 0);
        assert_eq!(roots(Authorities::Amazon).len(), 5);
        assert!(roots(Authorities::Any).len() > 100);
    }

    #[test]
    fn the_clients_build() {
        for authorities in [Authorities::None, Authorities::Amazon, Authorities::Any] {
            drop(http_client(authorities));
        }
    }
}
