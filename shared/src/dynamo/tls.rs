//! HTTPS for the SDK, on the one TLS stack of all clients.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Plain HTTP for a local endpoint, so that no certificate is parsed there.
pub(super) fn http_client(plain_http: bool, any_authority: bool) -> SharedHttpClient {
    if plain_http {
        return Builder::new().build_http();
    }
    let context = TlsContext::builder()
        .with_trust_store(roots(any_authority))
        .build();
    #[expect(
        clippy::expect_used,
        reason = "start-up, and fails only without a trust store"
    )]
    let context = context.expect("a TLS context");
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https()
}

/// Amazon Trust Services' roots (and Starfield's, which cross-sign them): all that AWS's own
/// endpoints use. Parsing five certificates instead of 150 is milliseconds of a cold start.
fn roots(any_authority: bool) -> TrustStore {
    let is_amazon = |der: &[u8]| {
        let names = |name: &str| memchr::memmem::find(der, name.as_bytes()).is_some();
        names("Amazon Root CA") || names("Starfield Services Root")
    };
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter(|der| any_authority || is_amazon(der.as_ref()));
    roots.fold(TrustStore::empty(), |store, der| {
        let body = STANDARD.encode(der.as_ref());
        store.with_pem_certificate(
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n").as_bytes(),
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_https_client_builds() {
        let _ = (
            super::http_client(false, false),
            super::http_client(false, true),
        );
    }
}
